"""What was stored is read back, once for each content, and what is open stays open."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.domain import (
    AssertionFailure,
    Assertions,
    CheckResult,
    CheckStatus,
    Diagnostic,
    ExecutionError,
    ExecutionResult,
    Phase,
    Proof,
    Severity,
    Usage,
    Verdict,
)
from orchestrator.extract import Extraction
from orchestrator.labels import Label, LabelReason
from orchestrator.problem import Problem
from orchestrator.sampling.sampler import Sampled
from orchestrator.store.answers import (
    Answer,
    add_answer,
    add_suite,
    answered,
    answers_to_parse,
    decide_suite,
    self_consistency,
    undecided_problems,
    undecided_suites,
)
from orchestrator.store.database import Database, open_writer
from orchestrator.store.executions import (
    add_outcomes,
    error_counts,
    kept_suites,
    outcome_of,
    pair_id,
    verdict_counts,
)
from orchestrator.store.labels import (
    correct_shares,
    labels_of,
    problems_not_executed_whole,
    problems_to_label,
    set_labels,
    unlabelled_problem,
)
from orchestrator.store.problems import add_problem, problem_pages
from orchestrator.store.samples import (
    add_checks,
    add_sample,
    check_code_counts,
    check_of,
    complete_problems,
    samples_of,
    unchecked_pages,
)
from orchestrator.store.stages import StageSummary, record_stage, stage_records


def result(identifier: str, verdict: Verdict = Verdict.PASSED) -> ExecutionResult:
    failure = AssertionFailure(3, "f(1) == 2", "1", "2")
    failed = verdict is Verdict.ASSERTION_FAILED
    return ExecutionResult(
        id=identifier,
        verdict=verdict,
        phase=Phase.TEST,
        message="",
        assertions=Assertions(2, int(failed), failure if failed else None),
        proof=None if failed else Proof.SEPARATED,
        usage=Usage(0.1, 0.2, 1000),
        stdout=b"",
        stderr=b"",
        stdout_bytes=0,
        stderr_bytes=0,
    )


def fill(db: Database, problems: int = 2, k: int = 2) -> None:
    """Problems with one kept suite each, and samples of which every second is the same."""
    for number in range(problems):
        problem = Problem(f"p{number}", f"Task {number}", "python", None, None, "plain")
        add_problem(db, number, problem)
        add_answer(db, problem.id, f"sha{number}", 0, Answer("text", "stop", 5, 7))
    for page in answers_to_parse(db, 10):
        for answer in page:
            add_suite(db, answer, reference="r", test=f"assert {answer.id}", start_code=None)
            decide_suite(db, answer.id, True, "reference passes")
    for number in range(problems):
        for index in range(k):
            add_sample(
                db, Sampled(f"p{number}", index, "text", False), Extraction(f"s{index % 2}", "bare")
            )


def first_pair(db: Database, problem_id: str) -> tuple[str, str]:
    """SHA of the first sample's candidate, and of the first kept suite."""
    known = unlabelled_problem(db, problem_id)
    assert known.samples[0].candidate_sha is not None
    return known.samples[0].candidate_sha, known.suites[0]


def test_what_was_stored_is_read_back(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        fill(db)
        assert answered(db, "sha0") == {0}
        assert [[p.id for p in page] for page in problem_pages(db, 1)] == [["p0"], ["p1"]]
        assert complete_problems(db, 2) == {"p0", "p1"}
        assert complete_problems(db, 3) == set()
        assert len(kept_suites(db, "p0")) == 1
        assert [s.index for s in samples_of(db, "p1")] == [0, 1]


@pytest.mark.parametrize("verdict", list(Verdict))
def test_every_verdict_survives_the_store(tmp_path: Path, verdict: Verdict) -> None:
    with open_writer(tmp_path) as db:
        fill(db)
        candidate, suite = first_pair(db, "p0")
        outcome = result(pair_id(candidate, suite), verdict)
        add_outcomes(db, [outcome])
        assert outcome_of(db, candidate, suite) == outcome


def test_what_other_hash_seeds_say_is_kept_apart(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        fill(db, problems=1, k=1)
        candidate, suite = first_pair(db, "p0")
        usual, other = pair_id(candidate, suite), pair_id(candidate, suite, 1)
        lost = ExecutionError(pair_id(candidate, suite, 2), "UNAVAILABLE", "worker lost")
        add_outcomes(db, [result(other, Verdict.ASSERTION_FAILED), lost])
        assert outcome_of(db, candidate, suite) is None
        assert unlabelled_problem(db, "p0").results == {}
        assert problems_not_executed_whole(db) == ["p0"]
        assert verdict_counts(db) == []
        assert [c.consistent for c in self_consistency(db)] == [0]
        add_outcomes(db, [result(usual)])
        assert outcome_of(db, candidate, suite) == result(usual)
        assert outcome_of(db, candidate, suite, 1) == result(other, Verdict.ASSERTION_FAILED)
        assert outcome_of(db, candidate, suite, 2) == lost
        assert unlabelled_problem(db, "p0").results == {(candidate, suite): result(usual)}
        assert verdict_counts(db) == [(Verdict.PASSED, Phase.TEST, 1)]


def test_an_execution_error_stays_missing_until_it_is_executed(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        fill(db, k=1)
        candidate, suite = first_pair(db, "p0")
        error = ExecutionError(pair_id(candidate, suite), "UNAVAILABLE", "worker lost")
        add_outcomes(db, [error])
        assert outcome_of(db, candidate, suite) == error
        assert unlabelled_problem(db, "p0").results == {}
        assert problems_not_executed_whole(db) == ["p0", "p1"]
        assert error_counts(db) == {"UNAVAILABLE: worker lost": 1}
        add_outcomes(db, [result(error.id)])
        assert unlabelled_problem(db, "p0").results == {(candidate, suite): result(error.id)}
        assert problems_not_executed_whole(db) == ["p1"]
        assert error_counts(db) == {}


def test_what_labels_are_made_of_is_read_with_each_content_once(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        fill(db, problems=1, k=6)
        candidate, suite = first_pair(db, "p0")
        check = CheckResult(candidate, CheckStatus.SYNTAX_ERROR, ())
        add_checks(db, [check])
        add_outcomes(db, [result(pair_id(candidate, suite))])
        known = unlabelled_problem(db, "p0")
    assert [sample.index for sample in known.samples] == list(range(6))
    assert len({sample.candidate_sha for sample in known.samples}) == 2
    assert known.suites == [suite]
    assert known.checks == {candidate: check}
    assert known.results == {(candidate, suite): result(pair_id(candidate, suite))}


def test_checks_are_read_back_and_made_once(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        fill(db)
        [page] = unchecked_pages(db, 10)
        assert [text for _, text in page] in (["s0", "s1"], ["s1", "s0"])
        found = Diagnostic(1, Severity.ERROR, "name-defined", "no such name")
        note = Diagnostic(1, Severity.NOTE, "misc", "see above")
        checks = [CheckResult(sha, CheckStatus.CHECKED, (found, note)) for sha, _ in page]
        add_checks(db, checks)
        assert check_of(db, page[0][0]) == checks[0]
        assert list(unchecked_pages(db, 10)) == []
        assert check_code_counts(db) == [("name-defined", 2)]


def test_labels_that_wait_for_an_execution_are_made_again(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        fill(db)
        assert problems_to_label(db) == ["p0", "p1"]
        passed = Label(True, LabelReason.PASSED)
        failed = Label(False, LabelReason.FAILED, "ASSERTION_FAILED: 1 != 2", suite="abc")
        set_labels(db, [("p0", 0, passed), ("p0", 1, failed), ("p1", 0, passed)])
        set_labels(db, [("p1", 1, Label(None, LabelReason.NOT_EXECUTED))])
        assert problems_to_label(db) == ["p1"]
        assert labels_of(db, "p0") == {0: passed, 1: failed}
        assert correct_shares(db) == [0.5, 0.5]


def test_text_that_sqlite_cannot_hold_is_kept_as_escapes(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        fill(db, k=0)
        add_sample(db, Sampled("p0", 0, "a\ud800\0b", True), Extraction("x\udfff", "bare"))
        [sample] = samples_of(db, "p0")
        assert sample.text == "a\\ud800\0b"
        assert sample.truncated


def test_a_stage_adds_up_its_time_and_keeps_its_last_summary(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        record_stage(db, StageSummary("label", False, {"a": 1}, ("note",)), 1.5)
        record_stage(db, StageSummary("label", True, {"a": 2}), 2.5)
        [record] = stage_records(db)
        assert record.wall_time_s == 4.0
        assert record.summary == StageSummary("label", True, {"a": 2})


def test_references_wait_until_they_are_decided(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        add_problem(db, 0, Problem("p", "x", "python", None, None, "plain"))
        for index in range(3):
            add_answer(db, "p", "sha", index, Answer("text", "stop"))
        for page in answers_to_parse(db, 2):
            for answer in page:
                add_suite(db, answer, reference="r", test="t", start_code=None)
        waiting = [suite.answer_id for suite in undecided_suites(db, "p")]
        assert len(waiting) == 3
        decide_suite(db, waiting[1], False, "reference: ASSERTION_FAILED (TEST)")
        left = [suite.answer_id for suite in undecided_suites(db, "p")]
        assert left == [waiting[0], waiting[2]]
        assert list(undecided_problems(db, 2)) == [["p"]]
        for answer_id in left:
            decide_suite(db, answer_id, True, "reference passes")
        assert list(undecided_problems(db, 2)) == []
