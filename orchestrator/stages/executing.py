"""Sends pairs of candidate and suite to the sandbox and stores what comes back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.domain import Execution
from orchestrator.progress import Progress
from orchestrator.run import Run
from orchestrator.store.executions import add_outcome, pair_id
from orchestrator.store.samples import source


def execute_pairs(run: Run, pairs: Iterable[tuple[str, str]], total: int, description: str) -> None:
    """Executes pairs (candidate SHA, suite SHA), streaming; each outcome is stored as it comes.

    pairs: taken as the sandbox has room.
    total: how many there are at most, for the display.
    """
    if total == 0:
        return
    under_way: set[str] = set()
    with Progress(total, description, "executions") as bar:
        for outcome in run.sandbox().execute_many(_executions(run, pairs, under_way)):
            add_outcome(run.db, outcome)
            under_way.discard(outcome.id)
            bar.advance()


def _executions(
    run: Run, pairs: Iterable[tuple[str, str]], under_way: set[str]
) -> Iterator[Execution]:
    limits = run.recipe.sandbox.limits
    for candidate_sha, test_sha in pairs:
        identifier = pair_id(candidate_sha, test_sha)
        # Two problems may share a candidate and a suite; one outcome serves both.
        if identifier in under_way:
            continue
        under_way.add(identifier)
        yield Execution(
            id=identifier,
            language=run.recipe.run.language,
            solution=source(run.db, candidate_sha),
            test=source(run.db, test_sha),
            limits=limits,
        )
