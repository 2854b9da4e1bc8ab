"""How good a policy is: greedy pass@1 and pass@k on problems with suites, in the sandbox."""

from __future__ import annotations

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
from orchestrator.progress import progress
from orchestrator.report.data import Comparison, Score
from orchestrator.sampling.prompts import Render
from orchestrator.sampling.sampler import (
    PromptSpec,
    Sampled,
    Sampler,
    SamplingSettings,
    problem_seed,
)

GREEDY = "greedy pass@1"


class Executor(Protocol):
    """What of the sandbox's client is needed here."""

    def execute_many(
        self, executions: Iterable[Execution], /
    ) -> Iterator[ExecutionResult | ExecutionError]:
        """Runs executions; one outcome each, in any order."""


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


def evaluate(
    problems: Sequence[JudgedProblem],
    sampler: Sampler,
    client: Executor,
    settings: EvaluationSettings,
    render: Render,
) -> Evaluation:
    """Samples the policy on every problem and judges what comes.

    A completion without code counts as wrong.

    Raises:
        ValueError: nothing is to be measured, or a k is outside [1, n].
        PlumError: the policy or the sandbox cannot be reached.
    """
    for k in settings.ks if settings.n else ():
        if not 1 <= k <= settings.n:
            raise ValueError(f"k={k} is outside [1, n={settings.n}]")
    if not settings.greedy and not settings.n:
        raise ValueError("neither greedy nor n asks for a measure")
    greedy, drawn = [], []
    if settings.greedy:
        greedy = _sample(problems, sampler, render, settings, temperature=0.0, k=1)
    if settings.n:
        drawn = _sample(
            problems, sampler, render, settings, temperature=settings.temperature, k=settings.n
        )
    judged = _judge(problems, [*greedy, *drawn], client, settings.limits)
    outcomes = _outcomes(problems, judged, len(greedy))
    scores = _scores(outcomes, settings)
    return Evaluation(
        scores=scores,
        means={m: mean_with_interval(list(by.values())) for m, by in scores.items() if by},
        not_executed=sum(sample.passed is None for _, sample in judged),
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
    temperature: float,
    k: int,
) -> list[Sampled]:
    prompts = [
        PromptSpec(
            judged.problem.id,
            render(judged.problem),
            problem_seed(settings.seed, judged.problem.id),
            k,
        )
        for judged in problems
    ]
    how = SamplingSettings(temperature, settings.max_new_tokens, settings.top_p, settings.stop)
    title = "greedy samples" if temperature == 0 else f"samples at temperature {temperature:g}"
    drawing = sampler.sample(prompts, how)
    return list(progress(drawing, title, "samples", total=len(prompts) * k))


def _judge(
    problems: Sequence[JudgedProblem], samples: Sequence[Sampled], client: Executor, limits: Limits
) -> list[tuple[str, JudgedSample]]:
    """One judgement per sample, with its problem, in their order; equals are executed once."""
    by_id = {judged.problem.id: judged for judged in problems}
    numbers: dict[tuple[str, str], str] = {}  # of executions, by problem and source
    executions: list[Execution] = []
    waiting: list[tuple[str, JudgedSample, str | None]] = []
    for sample in samples:
        judged = by_id[sample.problem_id]
        found = extract_solution(judged.problem, sample.text)
        unjudged = JudgedSample(
            sample.index, sample.text, sample.truncated, found.how, passed=False, message="no code"
        )
        if found.source is None:
            waiting.append((sample.problem_id, unjudged, None))
            continue
        key = (sample.problem_id, found.source)
        if key not in numbers:
            numbers[key] = str(len(executions))
            language, suite = judged.problem.language, judged.suite
            executions.append(Execution(numbers[key], language, found.source, suite, limits))
        waiting.append((sample.problem_id, unjudged, numbers[key]))
    outcomes = {
        outcome.id: outcome
        for outcome in progress(
            client.execute_many(executions), "executions", "executions", total=len(executions)
        )
    }
    return [
        (id, sample if number is None else _read(sample, outcomes.get(number)))
        for id, sample, number in waiting
    ]


def _read(sample: JudgedSample, outcome: ExecutionResult | ExecutionError | None) -> JudgedSample:
    if outcome is None:
        return replace(sample, passed=None, message="no outcome came back")
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


def _outcomes(
    problems: Sequence[JudgedProblem], judged: Sequence[tuple[str, JudgedSample]], greedy: int
) -> tuple[ProblemOutcome, ...]:
    """Per problem, in their order; the first `greedy` of what was judged are greedy samples."""
    best = dict(judged[:greedy])
    drawn: dict[str, list[JudgedSample]] = {p.problem.id: [] for p in problems}
    for problem_id, sample in judged[greedy:]:
        drawn[problem_id].append(sample)
    return tuple(
        ProblemOutcome(id, best.get(id), tuple(sorted(samples, key=lambda s: s.index)))
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
