"""Stage `filter`: suites are read from the answers, tried, and kept if they prove their worth."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.domain import ExecutionResult
from orchestrator.generation.parser import parse_answer
from orchestrator.quality.examine import KEPT, Examiner, Finding, SuiteText, Trial
from orchestrator.run import Run
from orchestrator.stages.executing import Pair, execute_pairs
from orchestrator.store.answers import (
    StoredAnswer,
    add_no_suite,
    add_suite,
    answers_to_parse,
    decide_suite,
    self_consistency,
    skipped_counts,
    suite_counts,
    undecided_problems,
    undecided_suites,
)
from orchestrator.store.database import sha256, storable
from orchestrator.store.executions import error_counts, outcome_of, pair_id
from orchestrator.store.stages import StageSummary

_PAGE = 256
#: Problems whose suites are tried together. Each step of the trials waits for the one before it,
#: so that few of them would leave the sandbox idle; all of a large run would fill the memory.
_TRIED_TOGETHER = 2000


def filter_suites(run: Run) -> StageSummary:
    """Reads, tries and decides what is still open.

    Raises:
        SandboxError: the sandbox cannot be reached, or does not start.
    """
    for page in answers_to_parse(run.db, _PAGE):
        for answer in page:
            with run.db.transaction():
                _parse(run, answer)
    for problem_ids in undecided_problems(run.db, _TRIED_TOGETHER):
        _Trials(run, _examiner(run)).decide(problem_ids)
    return _summary(run)


def _examiner(run: Run) -> Examiner:
    recipe = run.recipe
    served = run.sandbox().info().languages
    # A language that is not served has every trial refused, and says so.
    seeds = max((lang.hash_seeds for lang in served if lang.name == recipe.run.language), default=1)
    return Examiner(recipe.quality, recipe.run.language, recipe.run.seed, seeds)


def _summary(run: Run) -> StageSummary:
    by_reason = suite_counts(run.db)
    counts = {"kept": sum(n for (kept, _), n in by_reason.items() if kept)}
    counts |= {f"dropped: {reason}": n for (kept, reason), n in by_reason.items() if kept is False}
    waiting = sum(n for (kept, _), n in by_reason.items() if kept is None)
    if waiting:
        counts["not executed"] = waiting
    notes = [
        f"{c.source}: {c.consistent} of {c.suites} suites are passed by their own reference"
        f" ({c.rate:.1%})"
        for c in self_consistency(run.db)
        if c.rate is not None
    ]
    notes += [f"check left out: {why}: {n} suites" for why, n in skipped_counts(run.db).items()]
    errors = list(error_counts(run.db)) if waiting else []
    return StageSummary("filter", not waiting, counts, (*notes, *errors))


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


class _Trials:
    """Tries the suites of some problems until all are decided, or what is left cannot be executed."""

    def __init__(self, run: Run, quality: Examiner) -> None:
        self._run = run
        self._quality = quality
        #: Trials that this run has already tried again after a failure of the sandbox.
        self._retried: set[str] = set()

    def decide(self, problem_ids: Sequence[str]) -> None:
        """Asks, executes, and asks again, all problems in step."""
        open_ids = list(problem_ids)
        while open_ids:
            pairs: dict[Pair, None] = {}
            waiting = []
            for problem_id in open_ids:
                needed = self._problem(problem_id)
                if needed:
                    waiting.append(problem_id)
                pairs |= dict.fromkeys(needed)
            by_seed = sorted(pairs, key=lambda pair: pair[2])
            execute_pairs(self._run, by_seed, len(pairs), "filter")
            open_ids = waiting

    def _problem(self, problem_id: str) -> list[Pair]:
        """Stores what can be decided; returns the pairs to execute before more can be."""
        db = self._run.db
        suites = undecided_suites(db, problem_id)
        texts = [SuiteText(suite.reference, suite.test, suite.start_code) for suite in suites]
        findings = self._quality.examine(texts, self._result)
        everything_known = not any(finding.needed for finding in findings)
        needed = [trial for finding in findings for trial in finding.needed]
        with db.transaction():
            for suite, finding in zip(suites, findings, strict=True):
                if _is_decided(finding, everything_known):
                    reason = finding.dropped or KEPT
                    kept = finding.dropped is None
                    decide_suite(db, suite.answer_id, kept, reason, finding.skipped)
            pairs = [
                (db.add_source(trial.candidate), db.add_source(trial.test), trial.hash_seed)
                for trial in needed
            ]
        return [pair for pair in pairs if self._worth_trying(*pair)]

    def _result(self, trial: Trial) -> ExecutionResult | None:
        pair = sha256(storable(trial.candidate)), sha256(storable(trial.test))
        outcome = outcome_of(self._run.db, *pair, trial.hash_seed)
        return outcome if isinstance(outcome, ExecutionResult) else None

    def _worth_trying(self, candidate_sha: str, test_sha: str, hash_seed: int) -> bool:
        """Once more after a failure, which may be one of an earlier run; then the next run's turn."""
        if outcome_of(self._run.db, candidate_sha, test_sha, hash_seed) is None:
            return True
        identifier = pair_id(candidate_sha, test_sha, hash_seed)
        if identifier in self._retried:
            return False
        self._retried.add(identifier)
        return True


def _is_decided(finding: Finding, everything_known: bool) -> bool:
    """A suite that is dropped for itself is decided; one that is kept, only beside all others."""
    return finding.dropped is not None or everything_known
