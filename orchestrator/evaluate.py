"""How good a policy is: greedy pass@1 and pass@k on problems with suites, in the sandbox."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Protocol

from orchestrator.benchmarks.read import JudgedProblem
from orchestrator.domain import (
    Execution,
    ExecutionError,
    ExecutionResult,
    Limits,
    Phase,
    Verdict,
)
from orchestrator.extract import extract_solution
from orchestrator.passk import Estimate, mean_with_interval, paired_difference, pass_at_k
from orchestrator.progress import Progress, progress
from orchestrator.report.data import Comparison, Score
from orchestrator.sampling.prompts import Render
from orchestrator.sampling.sampler import (
    PromptSpec,
    Refused,
    Sampled,
    Sampler,
    SamplingSettings,
    by_problem,
    problem_seed,
)

GREEDY = "greedy pass@1"

#: Kinds of samples.
_GREEDY, _DRAWN = "greedy", "drawn"


class Executor(Protocol):
    """What of the sandbox's client is needed here."""

    def execute_many(
        self, executions: Iterable[Execution], /
    ) -> Iterator[ExecutionResult | ExecutionError]:
        """Runs executions; one outcome each, in any order."""


class Journal(Protocol):
    """Where an interrupted evaluation finds what it had done."""

    def samples(self, kind: str) -> list[tuple[Sampled, dict[str, Any] | None]]:
        """What is kept of `kind`, each with its judgement as plain data, or None."""

    def add_samples(self, kind: str, samples: Sequence[Sampled]) -> None:
        """Keeps samples, all of them or none."""

    def judge(self, kind: str, problem_id: str, index: int, judgement: dict[str, Any]) -> None:
        """Keeps what the sandbox said of a sample."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What is measured: greedily, with `n` samples at `temperature`, or both."""

    max_new_tokens: int
    greedy: bool = True
    n: int = 0  # samples per problem for pass@k; 0 for none
    ks: tuple[int, ...] = (1,)  # each at most n
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class JudgedSample:
    """One completion and what the suite says; `passed` is None where it was not executed."""

    index: int
    completion: str
    truncated: bool
    extraction: str  # how the candidate was found in the completion
    passed: bool | None
    verdict: Verdict | None = None  # None also where the completion holds no code
    phase: Phase | None = None
    message: str = ""


@dataclass(frozen=True)
class ProblemOutcome:
    """Everything about one problem."""

    problem_id: str
    greedy: JudgedSample | None
    samples: tuple[JudgedSample, ...]


@dataclass(frozen=True)
class Evaluation:
    """Scores in [0, 1] by measure and problem, their means, and what they come from.

    A problem with an execution that did not take place has no score in that measure.
    """

    scores: dict[str, dict[str, float]]  # measure, then problem id
    means: dict[str, Estimate]
    not_executed: int  # samples
    problems: tuple[ProblemOutcome, ...]

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

    def summary(self) -> dict[str, Any]:
        """The means with their intervals, as plain JSON values."""
        return {
            "problems": len(self.problems),
            "not_executed": self.not_executed,
            **{
                name: {"value": mean.value, "low": mean.low, "high": mean.high}
                for name, mean in self.means.items()
            },
        }


@dataclass(frozen=True)
class _Draw:
    """A sample, and its judgement where an earlier call has made it.

    refused: why the policy would not take the prompt; the sample is empty then.
    """

    kind: str
    sampled: Sampled
    judgement: dict[str, Any] | None
    refused: str = ""


def evaluate(
    problems: Sequence[JudgedProblem],
    sampler: Sampler,
    client: Executor,
    settings: EvaluationSettings,
    render: Render,
    *,
    journal: Journal | None = None,
) -> Evaluation:
    """Samples the policy on every problem and judges what comes.

    A completion without code counts as wrong, and so does a prompt that the policy refuses.

    journal: what is in it is not done again; None keeps nothing.

    Raises:
        ValueError: nothing is to be measured, or a k is outside [1, n].
        PlumError: the policy or the sandbox cannot be reached.
    """
    for k in settings.ks if settings.n else ():
        if not 1 <= k <= settings.n:
            raise ValueError(f"k={k} is outside [1, n={settings.n}]")
    if not settings.greedy and not settings.n:
        raise ValueError("neither greedy nor n asks for a measure")
    drawn: list[_Draw] = []
    for kind, wanted in ((_GREEDY, int(settings.greedy)), (_DRAWN, settings.n)):
        if wanted:
            drawn += _sample(
                problems, sampler, render, settings, kind=kind, k=wanted, journal=journal
            )
    judged = _judge(problems, drawn, client, settings.limits, journal)
    outcomes = _outcomes(problems, judged)
    scores = _scores(outcomes, settings)
    return Evaluation(
        scores=scores,
        means={m: mean_with_interval(list(by.values())) for m, by in scores.items() if by},
        not_executed=sum(sample.passed is None for *_, sample in judged),
        problems=outcomes,
    )


def compare(
    name: str, before: Mapping[str, float], after: Mapping[str, float] | None = None
) -> Comparison:
    """A line of the report from the scores of one measure, over the problems that both have.

    Raises:
        ValueError: they have no problem in common.
    """
    if after is None:
        first = mean_with_interval([before[id] for id in sorted(before)])
        return Comparison(name, len(before), _score(first))
    common = sorted(before.keys() & after.keys())
    old, new = {id: before[id] for id in common}, {id: after[id] for id in common}
    return Comparison(
        name,
        len(common),
        _score(mean_with_interval(list(old.values()))),
        _score(mean_with_interval(list(new.values()))),
        _score(paired_difference(old, new)),
    )


def _score(estimate: Estimate) -> Score:
    return Score(estimate.value, estimate.low, estimate.high)


def _sample(
    problems: Sequence[JudgedProblem],
    sampler: Sampler,
    render: Render,
    settings: EvaluationSettings,
    *,
    kind: str,
    k: int,
    journal: Journal | None,
) -> list[_Draw]:
    prompts = [
        PromptSpec(
            judged.problem.id,
            render(judged.problem),
            problem_seed(settings.seed, judged.problem.id),
            k,
        )
        for judged in problems
    ]
    temperature = 0.0 if kind == _GREEDY else settings.temperature
    how = SamplingSettings(temperature, settings.max_new_tokens, settings.top_p, settings.stop)
    title = "greedy samples" if kind == _GREEDY else f"samples at temperature {temperature:g}"
    kept = [] if journal is None else journal.samples(kind)
    done = {sampled.problem_id for sampled, _ in kept}
    draws = [_Draw(kind, sampled, judgement) for sampled, judgement in kept]
    with Progress(len(prompts) * k, title, "samples", done=len(draws)) as bar:
        if len(done) < len(prompts):
            drawing = sampler.sample(prompts, how, done)
            for problem_id, found in by_problem(drawing, k):
                if isinstance(found, Refused):  # not kept: another evaluation asks again
                    nothing = (Sampled(problem_id, index, "", False) for index in range(k))
                    draws += [_Draw(kind, sampled, None, found.reason) for sampled in nothing]
                else:
                    if journal is not None:
                        journal.add_samples(kind, found)
                    draws += [_Draw(kind, sampled, None) for sampled in found]
                bar.advance(k)
    return draws


def _judge(
    problems: Sequence[JudgedProblem],
    draws: Sequence[_Draw],
    client: Executor,
    limits: Limits,
    journal: Journal | None,
) -> list[tuple[str, str, JudgedSample]]:
    """(Kind, problem, judgement) of every sample, in their order; equals are executed once."""
    by_id = {judged.problem.id: judged for judged in problems}
    executions: dict[tuple[str, str], Execution] = {}  # by problem and source
    waiting: defaultdict[str, list[int]] = defaultdict(list)  # places in `judged`, by execution
    judged: list[tuple[str, str, JudgedSample]] = []
    for draw in draws:
        sampled, problem = draw.sampled, by_id[draw.sampled.problem_id]
        found = extract_solution(problem.problem, sampled.text)
        sample = JudgedSample(
            sampled.index, sampled.text, sampled.truncated, found.how, False, message="no code"
        )
        if draw.refused:
            sample = replace(sample, message=f"prompt refused: {draw.refused}")
        elif draw.judgement is not None:
            sample = replace(sample, **_read_judgement(draw.judgement))
        elif found.source is not None:
            sample = replace(sample, passed=None, message="no outcome came back")
            key = (sampled.problem_id, found.source)
            if key not in executions:
                name, language = str(len(executions)), problem.problem.language
                executions[key] = Execution(name, language, found.source, problem.suite, limits)
            waiting[executions[key].id].append(len(judged))
        judged.append((draw.kind, sampled.problem_id, sample))
    outcomes = client.execute_many(executions.values())
    for outcome in progress(outcomes, "executions", "executions", total=len(executions)):
        for place in waiting[outcome.id]:
            kind, problem_id, sample = judged[place]
            sample = _read(sample, outcome)
            judged[place] = (kind, problem_id, sample)
            if journal is not None and sample.passed is not None:
                journal.judge(kind, problem_id, sample.index, _judgement(sample))
    return judged


def _read(sample: JudgedSample, outcome: ExecutionResult | ExecutionError) -> JudgedSample:
    if isinstance(outcome, ExecutionError):
        return replace(sample, passed=None, message=f"{outcome.code}: {outcome.message}")
    return replace(
        sample,
        # TEST_ERROR too counts as wrong: a policy must not gain by breaking suites.
        passed=outcome.verdict is Verdict.PASSED,
        verdict=outcome.verdict,
        phase=outcome.phase,
        message=outcome.message,
    )


def _judgement(sample: JudgedSample) -> dict[str, Any]:
    return {name: getattr(sample, name) for name in ("passed", "verdict", "phase", "message")}


def _read_judgement(kept: dict[str, Any]) -> dict[str, Any]:
    return {**kept, "verdict": Verdict(kept["verdict"]), "phase": Phase(kept["phase"])}


def _outcomes(
    problems: Sequence[JudgedProblem], judged: Sequence[tuple[str, str, JudgedSample]]
) -> tuple[ProblemOutcome, ...]:
    """Per problem, in their order."""
    greedy: dict[str, JudgedSample] = {}
    drawn: dict[str, list[JudgedSample]] = {p.problem.id: [] for p in problems}
    for kind, problem_id, sample in judged:
        if kind == _GREEDY:
            greedy[problem_id] = sample
        else:
            drawn[problem_id].append(sample)
    return tuple(
        ProblemOutcome(id, greedy.get(id), tuple(sorted(samples, key=lambda s: s.index)))
        for id, samples in drawn.items()
    )


def _scores(
    outcomes: Sequence[ProblemOutcome], settings: EvaluationSettings
) -> dict[str, dict[str, float]]:
    scores: dict[str, dict[str, float]] = {}
    if settings.greedy:
        scores[GREEDY] = {
            o.problem_id: float(o.greedy.passed)
            for o in outcomes
            if o.greedy is not None and o.greedy.passed is not None
        }
    for k in settings.ks if settings.n else ():
        scores[f"pass@{k}"] = {
            o.problem_id: pass_at_k(settings.n, sum(s.passed is True for s in o.samples), k)
            for o in outcomes
            if len(o.samples) == settings.n and all(s.passed is not None for s in o.samples)
        }
    return scores
