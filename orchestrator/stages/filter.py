"""Stage `filter`: suites are read from the answers and kept if their own reference passes them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain

from orchestrator.domain import ExecutionError, ExecutionResult, Verdict
from orchestrator.generation.parser import parse_answer
from orchestrator.run import Run
from orchestrator.stages.executing import execute_pairs
from orchestrator.store.answers import (
    StoredAnswer,
    add_no_suite,
    add_suite,
    answers_to_parse,
    decide_suite,
    problems_with_several_suites,
    references_to_execute,
    start_codes,
    suite_counts,
)
from orchestrator.store.executions import count_missing_references, error_counts, outcome_of
from orchestrator.store.stages import StageSummary

_PAGE = 256
KEPT = "reference passes"


def filter_suites(run: Run) -> StageSummary:
    """Reads, executes and decides what is still open.

    Raises:
        SandboxError: the sandbox cannot be reached, or does not start.
    """
    for page in answers_to_parse(run.db, _PAGE):
        for answer in page:
            with run.db.transaction():
                _parse(run, answer)
    missing = count_missing_references(run.db)
    execute_pairs(run, _references_without_outcome(run), missing, "filter")
    _decide(run)
    _drop_other_names(run)
    by_reason = suite_counts(run.db)
    counts = {"kept": sum(n for (kept, _), n in by_reason.items() if kept)}
    counts |= {f"dropped: {reason}": n for (kept, reason), n in by_reason.items() if kept is False}
    waiting = sum(n for (kept, _), n in by_reason.items() if kept is None)
    if waiting:
        counts["not executed"] = waiting
    notes = tuple(error_counts(run.db)) if waiting else ()
    return StageSummary("filter", not waiting, counts, notes)


def _parse(run: Run, answer: StoredAnswer) -> None:
    if answer.finish_reason == "refused":
        add_no_suite(run.db, answer, "the generator refused the request")
        return
    parsed = parse_answer(answer.text)
    if parsed.solution is None or parsed.test_code is None:
        lacking = "solution" if parsed.solution is None else "test code"
        cut = " (cut by max_tokens)" if answer.finish_reason == "length" else ""
        add_no_suite(run.db, answer, f"answer has no {lacking}{cut}")
        return
    add_suite(
        run.db,
        answer,
        reference=parsed.solution,
        test=parsed.test_code,
        start_code=parsed.start_code,
    )


def _references_without_outcome(run: Run) -> Iterator[tuple[str, str]]:
    for reference in chain.from_iterable(references_to_execute(run.db, _PAGE)):
        outcome = outcome_of(run.db, reference.reference_sha, reference.test_sha)
        if not isinstance(outcome, ExecutionResult):
            yield reference.reference_sha, reference.test_sha


def _decide(run: Run) -> None:
    for page in references_to_execute(run.db, _PAGE):
        with run.db.transaction():
            for reference in page:
                outcome = outcome_of(run.db, reference.reference_sha, reference.test_sha)
                if outcome is None or isinstance(outcome, ExecutionError):
                    continue  # a failure of the sandbox decides nothing: the next run tries again
                passed = outcome.verdict is Verdict.PASSED
                reason = KEPT if passed else f"reference: {outcome.verdict} ({outcome.phase})"
                decide_suite(run.db, reference.answer_id, passed, reason)


def _drop_other_names(run: Run) -> None:
    """Drops suites that call other names than the problem's first: no candidate can pass both."""
    for problem_id in problems_with_several_suites(run.db):
        (_, first), *others = start_codes(run.db, problem_id)
        names = defined_names(first)
        for answer_id, start_code in others:
            if names and not names >= defined_names(start_code):
                decide_suite(run.db, answer_id, False, "asks for other names than the first suite")


def defined_names(start_code: str | None) -> frozenset[str]:
    """Functions and classes at the top level of Python code; none for other languages."""
    return frozenset(
        re.findall(r"^(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", start_code or "", re.MULTILINE)
    )
