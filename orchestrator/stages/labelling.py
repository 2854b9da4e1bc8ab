"""Which candidate meets which suite when, and what label it gets in the end.

Problems are taken one after the other, as the sandbox has room; a candidate meets the next
suite of its problem only while its label is open, or the next few where they cost less together:
a language that is compiled. Only the problems under way are in memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from orchestrator.domain import Execution, ExecutionError, ExecutionResult
from orchestrator.labels import (
    Label,
    LabelPolicy,
    LabelReason,
    decisive,
    label_candidate,
    label_problem,
)
from orchestrator.run import Run
from orchestrator.stages.executing import OutcomeBuffer
from orchestrator.store.executions import outcome_of, pair_id, suites_of_several_problems
from orchestrator.store.labels import (
    UnlabelledProblem,
    UnlabelledSample,
    set_labels,
    unlabelled_problem,
)

#: Labels that may wait to be stored, where no outcome comes in between.
_KEPT_BACK = 2000

_Outcome = ExecutionResult | ExecutionError


@dataclass(eq=False, slots=True)
class _Candidate:
    """A candidate of a problem. outcomes: one for each suite, in their order."""

    problem: _Problem
    sha: str
    outcomes: list[_Outcome | None]
    under_way: int = 0


@dataclass(eq=False, slots=True)
class _Problem:
    """A problem that is being labelled. open: candidates whose label is not settled."""

    known: UnlabelledProblem
    candidates: dict[str, _Candidate] = field(default_factory=dict)
    open: int = 0


class Labelling:
    """Labels the problems `problem_ids`.

    Give `executions` to the sandbox, and each outcome to `take`, in one thread, and call `flush`
    at the end. Nothing is lost but what was not flushed, and that is done again.

    early_stop: False makes every candidate meet every suite.
    together: how many suites a candidate is to meet at once; asked when the first is to be met.
    labelled: told how many samples have got a final label, once they are stored.
    """

    def __init__(
        self,
        run: Run,
        problem_ids: Iterable[str],
        policy: LabelPolicy,
        *,
        early_stop: bool,
        together: Callable[[], int],
        labelled: Callable[[int], None],
    ) -> None:
        self._run = run
        self._problem_ids = iter(problem_ids)
        self._policy = policy
        self._early_stop = early_stop
        self._ask_together = together
        self._labelled = labelled
        self._ready: deque[tuple[_Candidate, int]] = deque()
        self._under_way: dict[str, list[tuple[_Candidate, int]]] = {}
        self._buffer = OutcomeBuffer(run.db)
        self._labels: list[tuple[str, int, Label]] = []
        #: Only for these can another problem have executed a pair since this one was read.
        self._shared = suites_of_several_problems(run.db)

    def executions(self) -> Iterator[Execution | None]:
        """What is to be executed; None where that depends on outcomes to come."""
        while True:
            while self._ready:
                asked = self._ask(*self._ready.popleft())
                if asked is not None:
                    yield asked
            problem_id = next(self._problem_ids, None)
            if problem_id is not None:
                self._begin(unlabelled_problem(self._run.db, problem_id))
            elif self._under_way:
                yield None
            else:
                return

    def take(self, outcome: _Outcome) -> None:
        """Notes what came of an execution.

        Raises:
            SandboxError: for a long time there was nothing but errors.
        """
        self._buffer.add(outcome)
        for candidate, index in self._under_way.pop(outcome.id):
            self._note(candidate, index, outcome)
        if self._buffer.full():
            self.flush()

    def flush(self) -> None:
        """Stores the outcomes and labels that are here, together."""
        labels, self._labels = self._labels, []
        with self._run.db.transaction():
            self._buffer.flush()
            set_labels(self._run.db, labels)
        self._labelled(sum(label.reason is not LabelReason.NOT_EXECUTED for *_, label in labels))

    def _begin(self, known: UnlabelledProblem) -> None:
        problem = _Problem(known)
        for sample in known.samples:
            sha = sample.candidate_sha
            if sha is None or sample.truncated or sha in problem.candidates:
                continue
            by_check = label_candidate(known.checks.get(sha), (), self._policy)
            if by_check.reason is not LabelReason.NO_SUITE:
                continue  # the static check alone decides
            outcomes: list[_Outcome | None] = [
                known.results.get((sha, suite)) for suite in known.suites
            ]
            problem.candidates[sha] = _Candidate(problem, sha, outcomes)
        problem.open = len(problem.candidates)
        for candidate in problem.candidates.values():
            if not self._early_stop:
                missing = [i for i, outcome in enumerate(candidate.outcomes) if outcome is None]
                self._ready.extend((candidate, index) for index in missing)
                candidate.under_way = len(missing)
            self._go_on(candidate)
        if not problem.candidates:
            self._finish(problem)

    def _go_on(self, candidate: _Candidate) -> None:
        """Sends a candidate to its next suite, or notes that its label is settled."""
        if candidate.under_way:
            return
        needed = decisive(candidate.outcomes)
        if needed and needed[-1] is None:
            missing = [i for i, outcome in enumerate(candidate.outcomes) if outcome is None]
            missing = missing[: self._together]
            candidate.under_way = len(missing)
            # First in the line: what was begun is to be finished before more is begun.
            self._ready.extendleft((candidate, index) for index in reversed(missing))
            return
        candidate.problem.open -= 1
        if not candidate.problem.open:
            self._finish(candidate.problem)

    @cached_property
    def _together(self) -> int:
        return self._ask_together()

    def _ask(self, candidate: _Candidate, index: int) -> Execution | None:
        """The execution for this pair, unless it has an outcome or one is to come."""
        test_sha = candidate.problem.known.suites[index]
        identifier = pair_id(candidate.sha, test_sha)
        if identifier in self._under_way:
            self._under_way[identifier].append((candidate, index))
            return None
        if test_sha in self._shared:
            self._buffer.flush()
            found = outcome_of(self._run.db, candidate.sha, test_sha)
            if isinstance(found, ExecutionResult):
                self._note(candidate, index, found)
                return None
        self._under_way[identifier] = [(candidate, index)]
        recipe, sources = self._run.recipe, candidate.problem.known.sources
        return Execution(
            id=identifier,
            language=recipe.run.language,
            solution=sources[candidate.sha],
            test=sources[test_sha],
            limits=recipe.sandbox.limits,
        )

    def _note(self, candidate: _Candidate, index: int, outcome: _Outcome) -> None:
        candidate.outcomes[index] = outcome
        candidate.under_way -= 1
        self._go_on(candidate)

    def _finish(self, problem: _Problem) -> None:
        samples = problem.known.samples
        labels = label_problem([self._label(problem, sample) for sample in samples])
        self._labels += [
            (problem.known.id, sample.index, label)
            for sample, label in zip(samples, labels, strict=True)
        ]
        if len(self._labels) >= _KEPT_BACK:
            self.flush()

    def _label(self, problem: _Problem, sample: UnlabelledSample) -> Label:
        sha = sample.candidate_sha
        candidate = None if sha is None else problem.candidates.get(sha)
        outcomes: Sequence[_Outcome | None] = (
            () if candidate is None else decisive(candidate.outcomes)
        )
        label = label_candidate(
            None if sha is None else problem.known.checks.get(sha),
            outcomes,
            self._policy,
            extracted=sha is not None,
            truncated=sample.truncated,
        )
        if not outcomes or label.value is True:
            return label
        return replace(label, suite=problem.known.suites[len(outcomes) - 1])
