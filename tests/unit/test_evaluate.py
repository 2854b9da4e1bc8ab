"""Evaluation scores what was executed, once each, and never takes a sandbox failure for a score."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from orchestrator.benchmarks.read import JudgedProblem
from orchestrator.domain import (
    Assertions,
    Execution,
    ExecutionError,
    ExecutionResult,
    Phase,
    Proof,
    Usage,
    Verdict,
)
from orchestrator.evaluate import GREEDY, EvaluationSettings, compare, evaluate
from orchestrator.problem import Problem
from orchestrator.sampling.prompts import plain_prompt
from orchestrator.sampling.sampler import Drawn, PromptSpec, Refused, Sampled, SamplingSettings
from orchestrator.store.database import open_writer
from orchestrator.store.evaluations import Journal

RIGHT = "```python\ndef f(x):\n    return x\n```"
WRONG = "```python\ndef f(x):\n    return 0\n```"
PROSE = "I would rather not."


def judged(id: str) -> JudgedProblem:
    return JudgedProblem(Problem(id, f"do {id}", "python", None, "f", "test"), "assert f(1) == 1\n")


class Script:
    """A policy that answers each problem from a list, over and over, or refuses it."""

    def __init__(self, answers: dict[str, list[str]], fail_after: int | None = None) -> None:
        self._answers = answers
        self._fail_after = fail_after
        self.drawn = 0

    def sample(
        self,
        prompts: Sequence[PromptSpec],
        settings: SamplingSettings,
        done: AbstractSet[str] = frozenset(),
    ) -> Iterator[Drawn]:
        for spec in prompts:
            if spec.problem_id in done:
                continue
            answers = self._answers[spec.problem_id]
            if answers == ["too long"]:
                yield Refused(spec.problem_id, "too long")
                continue
            for i in range(spec.k):
                if self.drawn == self._fail_after:
                    raise KeyboardInterrupt
                self.drawn += 1
                yield Sampled(spec.problem_id, i, answers[i % len(answers)], False)


class Here:
    """Runs the programs of this file where they stand; loses those of `lost` problems."""

    def __init__(self, lost: str | None = None, fail_after: int | None = None) -> None:
        self.executions: list[Execution] = []
        self._lost = lost
        self._fail_after = fail_after

    def execute_many(
        self, executions: Iterable[Execution]
    ) -> Iterator[ExecutionResult | ExecutionError]:
        self.executions = list(executions)
        for number, execution in enumerate(reversed(self.executions)):
            if number == self._fail_after:
                raise KeyboardInterrupt
            if self._lost is not None and self._lost in execution.solution:
                yield ExecutionError(execution.id, "UNAVAILABLE", "worker lost")
                continue
            try:
                exec(execution.solution + execution.test, {})
                verdict, proof = Verdict.PASSED, Proof.SEPARATED
            except AssertionError:
                verdict, proof = Verdict.ASSERTION_FAILED, None
            usage = Usage(0.0, 0.0, 0)
            counts = Assertions()
            yield ExecutionResult(
                execution.id, verdict, Phase.TEST, "", counts, proof, usage, b"", b"", 0, 0
            )


SETTINGS = EvaluationSettings(max_new_tokens=9, n=4, ks=(1, 2))
PROBLEMS = [judged("a"), judged("b"), judged("c")]
ANSWERS = {"a": [RIGHT, WRONG], "b": [WRONG, RIGHT, WRONG, WRONG], "c": [PROSE]}


def test_scores_are_greedy_and_unbiased_per_problem() -> None:
    found = evaluate(PROBLEMS, Script(ANSWERS), Here(), SETTINGS, plain_prompt)
    assert found.scores[GREEDY] == {"a": 1.0, "b": 0.0, "c": 0.0}
    assert found.scores["pass@1"] == pytest.approx({"a": 0.5, "b": 0.25, "c": 0.0})
    assert found.scores["pass@2"] == pytest.approx({"a": 1 - 1 / 6, "b": 0.5, "c": 0.0})
    assert found.means["pass@1"].value == pytest.approx(0.25)
    assert found.not_executed == 0


def test_a_prompt_that_the_policy_refuses_counts_as_wrong_and_says_why() -> None:
    policy = Script(ANSWERS | {"b": ["too long"]})
    found = evaluate(PROBLEMS, policy, Here(), SETTINGS, plain_prompt)
    assert found.scores[GREEDY] == {"a": 1.0, "b": 0.0, "c": 0.0}
    assert found.scores["pass@1"]["b"] == 0.0
    assert found.not_executed == 0
    outcome = found.problems[1]
    assert len(outcome.samples) == 4
    assert {sample.message for sample in outcome.samples} == {"prompt refused: too long"}


def test_equal_candidates_are_executed_once() -> None:
    client = Here()
    evaluate(PROBLEMS, Script(ANSWERS), client, SETTINGS, plain_prompt)
    assert len(client.executions) == 4


def test_what_was_not_executed_has_no_score() -> None:
    found = evaluate(PROBLEMS, Script(ANSWERS), Here(lost="return 0"), SETTINGS, plain_prompt)
    assert found.scores[GREEDY] == {"a": 1.0, "c": 0.0}
    assert found.scores["pass@1"] == {"c": 0.0}
    assert found.not_executed == 6


def test_a_completion_without_code_is_wrong_and_kept() -> None:
    found = evaluate(PROBLEMS, Script(ANSWERS), Here(), SETTINGS, plain_prompt)
    outcome = found.problems[2]
    assert outcome.greedy is not None
    assert (outcome.greedy.passed, outcome.greedy.verdict) == (False, None)
    assert outcome.greedy.completion == PROSE


def test_the_result_is_plain_json() -> None:
    found = evaluate(PROBLEMS, Script(ANSWERS), Here(), SETTINGS, plain_prompt)
    again = json.loads(json.dumps(found.to_json()))
    assert again["scores"] == found.scores
    assert again["problems"][0]["samples"][1]["verdict"] == "ASSERTION_FAILED"


@pytest.mark.parametrize(
    "settings",
    [
        EvaluationSettings(max_new_tokens=9, greedy=False),
        EvaluationSettings(max_new_tokens=9, n=2, ks=(3,)),
    ],
)
def test_measuring_nothing_or_too_much_is_refused(settings: EvaluationSettings) -> None:
    with pytest.raises(ValueError, match=r"neither|outside"):
        evaluate(PROBLEMS, Script(ANSWERS), Here(), settings, plain_prompt)


def test_a_comparison_is_over_what_both_have() -> None:
    before = {"a": 0.0, "b": 0.0, "c": 1.0}
    line = compare("held out", before, {"a": 1.0, "b": 0.0, "d": 1.0})
    assert line.problems == 2
    assert line.after is not None
    assert line.difference is not None
    assert (line.before.value, line.after.value, line.difference.value) == (0.0, 0.5, 0.5)
    alone = compare("held out", before)
    assert (alone.problems, alone.after) == (3, None)


@pytest.mark.parametrize("drawn", range(16))
def test_samples_that_were_drawn_whole_are_not_drawn_again(tmp_path: Path, drawn: int) -> None:
    calm = evaluate(PROBLEMS, Script(ANSWERS), Here(), SETTINGS, plain_prompt)
    with open_writer(tmp_path) as db:
        journal = Journal(db, "this")
        first, second = Script(ANSWERS, fail_after=drawn), Script(ANSWERS)
        if drawn < 15:
            with pytest.raises(KeyboardInterrupt):
                evaluate(PROBLEMS, first, Here(), SETTINGS, plain_prompt, journal=journal)
        else:
            evaluate(PROBLEMS, first, Here(), SETTINGS, plain_prompt, journal=journal)
        again = evaluate(PROBLEMS, second, Here(), SETTINGS, plain_prompt, journal=journal)
    assert again == calm
    whole = drawn if drawn <= 3 else 3 + (drawn - 3) // SETTINGS.n * SETTINGS.n
    assert second.drawn == 15 - whole


@pytest.mark.parametrize("executed", range(4))
def test_what_was_judged_is_not_executed_again(tmp_path: Path, executed: int) -> None:
    calm = evaluate(PROBLEMS, Script(ANSWERS), Here(), SETTINGS, plain_prompt)
    second = Here()
    with open_writer(tmp_path) as db:
        journal = Journal(db, "this")
        with pytest.raises(KeyboardInterrupt):
            evaluate(
                PROBLEMS, Script(ANSWERS), Here(fail_after=executed), SETTINGS, plain_prompt,
                journal=journal,
            )  # fmt: skip
        again = evaluate(PROBLEMS, Script({}), second, SETTINGS, plain_prompt, journal=journal)
    assert again == calm
    assert len(second.executions) == 4 - executed


def test_only_what_was_not_executed_is_tried_again(tmp_path: Path) -> None:
    second = Here()
    with open_writer(tmp_path) as db:
        journal = Journal(db, "this")
        lost = Here(lost="return 0")
        evaluate(PROBLEMS, Script(ANSWERS), lost, SETTINGS, plain_prompt, journal=journal)
        found = evaluate(PROBLEMS, Script({}), second, SETTINGS, plain_prompt, journal=journal)
    assert found == evaluate(PROBLEMS, Script(ANSWERS), Here(), SETTINGS, plain_prompt)
    assert all("return 0" in execution.solution for execution in second.executions)


def test_another_measurement_finds_nothing_in_the_journal(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        journal = Journal(db, "this")
        evaluate(PROBLEMS, Script(ANSWERS), Here(), SETTINGS, plain_prompt, journal=journal)
        assert len(journal.samples("drawn")) == 12
        assert Journal(db, "other").samples("drawn") == []
        journal.clear()
        assert journal.samples("drawn") == []
