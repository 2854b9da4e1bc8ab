"""What the report shows, as plain data. The run store fills it; `render` only reads it."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain import AssertionFailure, Phase, Proof, Verdict


@dataclass(frozen=True)
class FunnelStep:
    """How many things were left after a stage, in the order of the stages."""

    name: str  # for example "problems", "suites kept", "candidates", "preference rows"
    count: int
    detail: str = ""


@dataclass(frozen=True)
class NamedCount:
    """One row of a table of counts."""

    name: str
    count: int
    detail: str = ""


@dataclass(frozen=True)
class ConsistencyRow:
    """The generator's answers for one dataset, and what became of their suites."""

    dataset: str
    answers: int
    suites: int  # that were executed with their own reference solution
    consistent: int  # that it passes
    kept: int  # that no filter left out


@dataclass(frozen=True)
class ContaminatedRow:
    """A row of the instructions that overlaps with problems of benchmarks, and with which."""

    location: str
    detail: str


@dataclass(frozen=True)
class VerdictCount:
    """Executions that ended so."""

    verdict: Verdict
    phase: Phase
    count: int


@dataclass(frozen=True)
class LabelCount:
    """Candidates that got a label for a reason."""

    value: bool | None
    reason: str
    count: int


@dataclass(frozen=True)
class Score:
    """A share in [0, 1] with the ends of its 95 % interval where it was computed."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Comparison:
    """A measure of the policy before training and, where there is one, after."""

    name: str  # for example "held-out, greedy pass@1"
    problems: int
    before: Score
    after: Score | None = None
    difference: Score | None = None  # after minus before, in [-1, 1]; paired bootstrap


@dataclass(frozen=True)
class Timing:
    """Wall time of one stage, all its resumptions together."""

    stage: str
    wall_s: float
    detail: str = ""  # for example "6000 executions, 420 a second"


@dataclass(frozen=True)
class SuiteView:
    """One suite of a problem and whether its own reference solution passes it."""

    id: str
    text: str
    reference: str
    kept: bool
    reason: str


@dataclass(frozen=True)
class ExecutionView:
    """What came of one candidate against one suite; `verdict` is None where it was not executed."""

    suite_id: str
    verdict: Verdict | None
    phase: Phase | None
    message: str
    proof: Proof | None = None
    failure: AssertionFailure | None = None


@dataclass(frozen=True)
class CandidateView:
    """One sample of a problem with everything that led to its label."""

    index: int
    completion: str
    source: str | None
    label: bool | None
    reason: str
    diagnostics: tuple[str, ...] = ()
    executions: tuple[ExecutionView, ...] = ()


@dataclass(frozen=True)
class ProblemView:
    """One problem for the browser of the report."""

    id: str
    instruction: str
    language: str
    suites: tuple[SuiteView, ...] = ()
    candidates: tuple[CandidateView, ...] = ()
    more_candidates: int = 0  # that are left out


@dataclass(frozen=True)
class ReportData:
    """Everything on the page. An empty tuple leaves its section out."""

    title: str
    created_at: str  # ISO 8601
    settings: tuple[tuple[str, str], ...] = ()  # of the recipe, as (key, value)
    funnel: tuple[FunnelStep, ...] = ()
    drops: tuple[NamedCount, ...] = ()  # rows of the instructions that are not used, by reason
    contaminated: tuple[ContaminatedRow, ...] = ()  # the first of them
    consistency: tuple[ConsistencyRow, ...] = ()  # by dataset, as the paper's Table 1
    suites: tuple[NamedCount, ...] = ()  # by what became of them
    checks_left_out: tuple[NamedCount, ...] = ()  # on how many suites, by reason
    refused: tuple[NamedCount, ...] = ()  # problems whose prompt the policy did not take, by reason
    verdicts: tuple[VerdictCount, ...] = ()
    check_codes: tuple[NamedCount, ...] = ()  # static findings by code
    labels: tuple[LabelCount, ...] = ()
    correct_shares: tuple[float, ...] = ()  # per problem, desirable over all its samples
    comparisons: tuple[Comparison, ...] = ()
    timings: tuple[Timing, ...] = ()
    costs: tuple[tuple[str, str], ...] = ()  # what generation took, as (name, amount)
    problems: tuple[ProblemView, ...] = ()  # for the browser
    problems_total: int = 0  # from which those of the browser were drawn
    seed: int = 0  # with which they were drawn
