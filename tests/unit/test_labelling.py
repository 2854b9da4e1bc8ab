"""Labelling asks for what it needs and no more, and its labels depend on nothing else."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.domain import (
    Assertions,
    CheckResult,
    CheckStatus,
    Execution,
    ExecutionError,
    ExecutionResult,
    Phase,
    Usage,
    Verdict,
)
from orchestrator.errors import SandboxError
from orchestrator.extract import Extraction
from orchestrator.labels import Label, LabelPolicy, LabelReason
from orchestrator.problem import Problem
from orchestrator.recipe import load_recipe
from orchestrator.run import Run
from orchestrator.sampling.sampler import Sampled
from orchestrator.stages import executing
from orchestrator.stages.labelling import Labelling
from orchestrator.store.answers import Answer, add_answer, add_suite, answers_to_parse, decide_suite
from orchestrator.store.database import open_writer, sha256
from orchestrator.store.labels import labels_of, problems_not_executed_whole, problems_to_label
from orchestrator.store.problems import add_problem
from orchestrator.store.samples import add_checks, add_sample

#: Of each problem: its suites, and its candidates, as texts; equal texts are the same content.
World = list[tuple[list[str], list[str | None]]]
#: By candidate and suite.
Verdicts = Callable[[str, str], Verdict]

WORLDS = st.lists(
    st.tuples(
        st.lists(st.sampled_from("ABC"), min_size=1, max_size=3, unique=True),
        st.lists(st.one_of(st.none(), st.sampled_from("uvwxyz")), min_size=1, max_size=5),
    ),
    min_size=1,
    max_size=4,
)


@contextmanager
def run_of(folder: Path, world: World) -> Iterator[Run]:
    """A run whose samples and suites are those of `world`."""
    (folder / "instructions.jsonl").write_text("")
    recipe = folder / "recipe.toml"
    recipe.write_text('[instructions]\npath = "instructions.jsonl"\n')
    with open_writer(folder) as db, ExitStack() as resources:
        for number, (suites, candidates) in enumerate(world):
            problem = Problem(f"p{number}", "task", "python", None, None, "plain")
            add_problem(db, number, problem)
            for index, _ in enumerate(suites):
                add_answer(db, problem.id, f"r{number}", index, Answer("text", "stop"))
            for index, source in enumerate(candidates):
                add_sample(db, Sampled(problem.id, index, "", False), Extraction(source, "bare"))
        tests = iter([test for suites, _ in world for test in suites])
        for page in answers_to_parse(db, 100):
            for answer in page:
                add_suite(db, answer, reference="r", test=next(tests), start_code=None)
                decide_suite(db, answer.id, True, "reference passes")
        yield Run(folder, load_recipe(recipe), db, resources, [])


def result(name: str, verdict: Verdict) -> ExecutionResult:
    phase = Phase.LOAD if verdict is Verdict.RUNTIME_ERROR else Phase.TEST
    usage = Usage(0.0, 0.0, 0)
    return ExecutionResult(name, verdict, phase, "why", Assertions(), None, usage, b"", b"", 0, 0)


def work(
    run: Run,
    verdicts: Verdicts,
    *,
    early_stop: bool = True,
    together: int = 1,
    chance: random.Random | None = None,
    stop_after: int | None = None,
    failing: bool = False,
) -> list[tuple[str, str]]:
    """Labels what is open, with outcomes in a random order. Returns the pairs executed.

    stop_after: outcomes after which this is killed, with what was not flushed.
    failing: nothing is executed.
    """
    chance = chance or random.Random(0)
    ids = problems_to_label(run.db) if early_stop else problems_not_executed_whole(run.db)
    labelling = Labelling(
        run,
        ids,
        LabelPolicy(),
        early_stop=early_stop,
        together=lambda: together,
        labelled=lambda count: None,
    )
    executions, waiting, asked = labelling.executions(), list[Execution](), list[tuple[str, str]]()
    while True:
        for execution in executions:
            if execution is None:
                break
            waiting.append(execution)
            asked.append((execution.solution, execution.test))
            if len(waiting) >= 4:
                break
        if not waiting:
            labelling.flush()
            return asked
        execution = waiting.pop(chance.randrange(len(waiting)))
        if failing:
            labelling.take(ExecutionError(execution.id, "UNAVAILABLE", "lost"))
        else:
            verdict = verdicts(execution.solution, execution.test)
            labelling.take(result(execution.id, verdict))
        if stop_after is not None and len(asked) - len(waiting) >= stop_after:
            return asked


def all_labels(run: Run, world: World) -> list[dict[int, Label]]:
    return [labels_of(run.db, f"p{number}") for number in range(len(world))]


def drawn(seed: int) -> Verdicts:
    """Verdicts that depend on the pair only."""
    kinds = [Verdict.PASSED] * 5 + [Verdict.ASSERTION_FAILED] * 2
    kinds += [Verdict.TAMPERED, Verdict.TEST_ERROR, Verdict.RUNTIME_ERROR]
    return lambda solution, test: random.Random(f"{seed}{solution}{test}").choice(kinds)


@settings(deadline=None, max_examples=25)
@given(WORLDS, st.integers(0, 10**6))
def test_labels_are_those_of_executing_everything_and_every_row_has_one(
    world: World, seed: int
) -> None:
    verdicts = drawn(seed)
    found = []
    for early_stop in (True, False):
        with TemporaryDirectory() as folder, run_of(Path(folder), world) as run:
            asked = work(run, verdicts, early_stop=early_stop, chance=random.Random(seed))
            if not early_stop:
                work(run, verdicts)  # what needs no execution
                assert problems_not_executed_whole(run.db) == []
            assert len(set(asked)) == len(asked)
            found.append(all_labels(run, world))
            if early_stop:  # and the rest later
                rest = work(run, verdicts, early_stop=False, chance=random.Random(seed))
                assert not set(rest) & set(asked)
                assert problems_not_executed_whole(run.db) == []
                assert all_labels(run, world) == found[0]
    assert found[0] == found[1]
    assert [len(labels) for labels in found[0]] == [len(samples) for _, samples in world]


@settings(deadline=None, max_examples=25)
@given(WORLDS, st.integers(0, 10**6), st.lists(st.integers(1, 8), max_size=4))
def test_a_kill_at_any_moment_changes_no_label(world: World, seed: int, kills: list[int]) -> None:
    with TemporaryDirectory() as folder, run_of(Path(folder), world) as run:
        work(run, drawn(seed))
        calm = all_labels(run, world)
    with TemporaryDirectory() as folder, run_of(Path(folder), world) as run:
        for stop_after in kills:
            work(run, drawn(seed), chance=random.Random(seed), stop_after=stop_after)
        work(run, drawn(seed))
        assert all_labels(run, world) == calm
        assert problems_to_label(run.db) == []


@settings(deadline=None, max_examples=25)
@given(WORLDS, st.integers(0, 10**6))
def test_no_candidate_meets_a_suite_after_one_it_does_not_pass(world: World, seed: int) -> None:
    verdicts = drawn(seed)
    with TemporaryDirectory() as folder, run_of(Path(folder), world) as run:
        asked = set(work(run, verdicts))
    needed = set()
    for suites, candidates in world:
        for candidate in filter(None, candidates):
            for test in suites:
                needed.add((candidate, test))
                if verdicts(candidate, test) is not Verdict.PASSED:
                    break
    assert asked == needed


@settings(deadline=None, max_examples=25)
@given(WORLDS, st.integers(0, 10**6), st.integers(2, 4))
def test_labels_are_the_same_where_suites_are_met_together(
    world: World, seed: int, together: int
) -> None:
    found = []
    for size in (1, together):
        with TemporaryDirectory() as folder, run_of(Path(folder), world) as run:
            asked = work(run, drawn(seed), together=size, chance=random.Random(seed))
            assert len(set(asked)) == len(asked)
            found.append((all_labels(run, world), set(asked)))
    assert found[0][0] == found[1][0]
    assert found[0][1] <= found[1][1]


def test_suites_that_are_met_together_follow_one_another_and_no_more_than_fit(
    tmp_path: Path,
) -> None:
    def verdicts(candidate: str, test: str) -> Verdict:
        return Verdict.ASSERTION_FAILED if candidate == "x" else Verdict.PASSED

    with run_of(tmp_path, [(["A", "B", "C", "D", "E"], ["u", "x"])]) as run:
        asked = work(run, verdicts, together=2)
    first = {tuple(asked[:2]), tuple(asked[2:4])}
    assert first == {(("u", "A"), ("u", "B")), (("x", "A"), ("x", "B"))}
    # Whoever fails meets no further ones.
    assert [pair for pair in asked if pair[0] == "x"] == [("x", "A"), ("x", "B")]
    assert [test for candidate, test in asked if candidate == "u"] == ["A", "B", "C", "D", "E"]


def test_the_suite_that_decided_is_kept_with_the_label(tmp_path: Path) -> None:
    def verdicts(candidate: str, test: str) -> Verdict:
        wrong = candidate == "x" and test == "B"
        return Verdict.ASSERTION_FAILED if wrong else Verdict.PASSED

    with run_of(tmp_path, [(["A", "B", "C"], ["u", "x"])]) as run:
        work(run, verdicts)
        labels = labels_of(run.db, "p0")
    assert labels[0] == Label(True, LabelReason.PASSED)
    assert labels[1].value is False
    assert labels[1].suite == sha256("B")


def test_problems_with_the_same_suite_and_candidate_execute_it_once(tmp_path: Path) -> None:
    with run_of(tmp_path, [(["A", "B"], ["u", "u", "v"])] * 30) as run:
        asked = work(run, lambda candidate, test: Verdict.PASSED)
        assert sorted(asked) == [("u", "A"), ("u", "B"), ("v", "A"), ("v", "B")]
        assert problems_to_label(run.db) == []


def test_what_was_not_executed_is_no_label_and_only_that_is_tried_again(tmp_path: Path) -> None:
    world: World = [(["A"], ["u", "v"]), (["B"], ["u", None])]
    with run_of(tmp_path, world) as run:
        work(run, drawn(1), failing=True)
        reasons = Counter(
            label.reason for labels in all_labels(run, world) for label in labels.values()
        )
        assert reasons == {LabelReason.NOT_EXECUTED: 3, LabelReason.NO_CODE: 1}
        again = work(run, lambda candidate, test: Verdict.PASSED)
        assert sorted(again) == [("u", "A"), ("u", "B"), ("v", "A")]
        assert work(run, drawn(1)) == []


def test_a_sandbox_that_executes_nothing_any_more_stops_the_stage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(executing, "_MOST_ERRORS", 3)
    with (
        run_of(tmp_path, [(["A"], ["u", "v", "w", "x"])]) as run,
        pytest.raises(SandboxError, match=r"3 executions in a row.*UNAVAILABLE: lost"),
    ):
        work(run, drawn(1), failing=True)


def test_what_the_static_check_decides_is_not_executed(tmp_path: Path) -> None:
    with run_of(tmp_path, [(["A"], ["u", "v"])]) as run:
        add_checks(run.db, [CheckResult(sha256("u"), CheckStatus.SYNTAX_ERROR, ())])
        assert work(run, lambda candidate, test: Verdict.PASSED) == [("v", "A")]
        assert labels_of(run.db, "p0")[0].reason is LabelReason.SYNTAX_ERROR
