"""The store keeps what was finished, keeps a second writer out, and keeps readers live."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
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
from orchestrator.errors import InputError, PlumError
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
    undecided_problems,
    undecided_suites,
)
from orchestrator.store.database import Database, open_reader, open_writer, writer_pid
from orchestrator.store.executions import (
    add_outcomes,
    error_counts,
    kept_suites,
    outcome_of,
    pair_id,
)
from orchestrator.store.labels import (
    correct_shares,
    labels_of,
    problems_not_executed_whole,
    problems_to_label,
    set_labels,
    unlabelled_problem,
)
from orchestrator.store.problems import add_problem, count_problems, problem_pages
from orchestrator.store.samples import (
    add_checks,
    add_sample,
    check_code_counts,
    check_of,
    complete_problems,
    samples_of,
    unchecked_pages,
)
from orchestrator.store.schema import MIGRATIONS
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


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        problem = Problem("p", "x", "python", None, None, "plain")

        def fail() -> None:
            with db.transaction():
                add_problem(db, 0, problem)
                add_problem(db, 1, problem)

        with pytest.raises(sqlite3.IntegrityError):
            fail()
        assert list(problem_pages(db, 1)) == []


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from orchestrator.store.database import open_writer\n"
        "with open_writer(pathlib.Path(sys.argv[1])):\n"
        "    print('open', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        assert writer_pid(tmp_path) == other.pid
        with (
            pytest.raises(PlumError, match=f"process {other.pid} is writing"),
            open_writer(tmp_path),
        ):
            pass
        other.kill()
    assert writer_pid(tmp_path) is None
    with open_writer(tmp_path):
        pass


def test_readers_see_what_is_committed_while_a_writer_is_at_work(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        fill(db, problems=1)
        with open_reader(tmp_path) as reader:
            with db.transaction():
                add_problem(db, 5, Problem("late", "x", "python", None, None, "plain"))
                assert [[p.id for p in page] for page in problem_pages(reader, 9)] == [["p0"]]
            assert len(next(problem_pages(reader, 9))) == 2
            with pytest.raises(sqlite3.OperationalError):
                reader.write("DELETE FROM problems")


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run here"), open_reader(tmp_path):
        pass


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with open_writer(tmp_path):
        pass
    connection = sqlite3.connect(tmp_path / "plum.sqlite3")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    for opened in (open_writer, open_reader):
        with pytest.raises(PlumError, match="knows versions up to"), opened(tmp_path):
            pass


def store_of_version(folder: Path, version: int) -> None:
    """A store as an older plum left it, with a problem that has a label."""
    with closing(sqlite3.connect(folder / "plum.sqlite3")) as connection:
        for step in range(version):
            connection.executescript(MIGRATIONS[step])
        connection.executescript(
            f"PRAGMA user_version = {version};"
            "INSERT INTO problems VALUES ('p', 0, 'task', 'python', NULL, NULL, 'plain');"
            "INSERT INTO samples VALUES ('p', 0, 'text', 0, NULL, 'bare');"
            "INSERT INTO labels (problem_id, sample_index, value, reason, detail)"
            " VALUES ('p', 0, 1, 'passed every suite', '');"
        )


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_store_of_an_older_version_is_brought_up_to_date_with_all_it_holds(
    tmp_path: Path, version: int
) -> None:
    store_of_version(tmp_path, version)
    with (
        pytest.raises(PlumError, match=f"has version {version}.*plum run"),
        open_reader(tmp_path),
    ):
        pass
    with open_writer(tmp_path) as db:
        assert labels_of(db, "p") == {0: Label(True, LabelReason.PASSED)}
    with open_reader(tmp_path) as db:
        assert db.value("PRAGMA user_version") == len(MIGRATIONS)
        assert [s.index for s in samples_of(db, "p")] == [0]


def test_an_older_and_a_new_store_have_the_same_tables(tmp_path: Path) -> None:
    schemas = []
    for name, version in (("new", 0), ("old", 1)):
        (tmp_path / name).mkdir()
        if version:
            store_of_version(tmp_path / name, version)
        with open_writer(tmp_path / name) as db:
            schemas.append(db.rows("SELECT name, sql FROM sqlite_master ORDER BY name"))
    assert schemas[0] == schemas[1]


def test_a_store_that_is_being_made_is_no_run_yet(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "plum.sqlite3").close()
    with pytest.raises(InputError, match="no run here yet"), open_reader(tmp_path):
        pass


def test_a_transaction_inside_another_is_stored_with_it_or_not_at_all(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:

        def fail() -> None:
            with db.transaction():
                with db.transaction():
                    add_problem(db, 0, Problem("p", "x", "python", None, None, "plain"))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert list(problem_pages(db, 1)) == []
        with db.transaction():
            pass


_FILLS_A_SMALL_DISK = """
import pathlib, resource, signal, sys
from orchestrator.errors import PlumError
from orchestrator.problem import Problem
from orchestrator.store.database import open_writer
from orchestrator.store.problems import add_problem
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if sys.argv[2] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    with open_writer(pathlib.Path(sys.argv[1])) as db:
        for n in range(1000):
            with db.transaction():
                add_problem(db, n, Problem(f"p{n}", "x" * 5000, "python", None, None, ""))
            print(n, flush=True)
except PlumError as e:
    print(e)
"""


@pytest.mark.parametrize("kind", ["tmpfs", "limited-file"])
def test_a_full_disk_keeps_every_finished_transaction_and_goes_on_with_room(
    tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if kind == "tmpfs" and subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        limit = "0" if kind == "tmpfs" else "1000000"
        command = [sys.executable, "-c", _FILLS_A_SMALL_DISK, str(folder), limit]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        *finished, message = done.stdout.splitlines()
        assert "what was stored before is kept" in message
        assert 10 < len(finished) < 1000
        if kind == "tmpfs":
            room = ["mount", "-o", "remount,size=16m", str(folder)]
            subprocess.run(room, check=True, capture_output=True)
        with open_writer(folder) as db:
            assert count_problems(db) == len(finished)
            add_problem(db, 5000, Problem("last", "x", "python", None, None, ""))
    finally:
        if kind == "tmpfs":
            subprocess.run(["umount", str(folder)], check=True, capture_output=True)


def test_a_file_that_is_no_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "plum.sqlite3").write_text("not a database" * 100)
    with pytest.raises(PlumError, match="not a database"), open_writer(tmp_path):
        pass


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
