"""Sends pairs of candidate and suite to the sandbox and stores what comes back."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from orchestrator.domain import Execution, ExecutionError, ExecutionResult
from orchestrator.errors import SandboxError
from orchestrator.run import Run
from orchestrator.store.database import Database
from orchestrator.store.executions import add_outcomes, pair_id
from orchestrator.store.samples import source

#: What a kill can lose of what was executed: so many outcomes, or those of so long. One
#: transaction for many is what makes the store keep up.
_KEPT_BACK = 1000
_KEPT_BACK_S = 0.5

#: Executions that may fail one after the other, before all others are left to the next run.
_MOST_ERRORS = 2000


class OutcomeBuffer:
    """Outcomes on their way into the store."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[ExecutionResult | ExecutionError] = []
        self._stored_at = 0.0
        self._errors = 0

    def add(self, outcome: ExecutionResult | ExecutionError) -> None:
        """Takes an outcome.

        Raises:
            SandboxError: for a long time there was nothing but errors.
        """
        self._waiting.append(outcome)
        if isinstance(outcome, ExecutionResult):
            self._errors = 0
            return
        self._errors += 1
        if self._errors >= _MOST_ERRORS:
            raise SandboxError(
                f"{self._errors} executions in a row did not take place, the last for "
                f"{outcome.code}: {outcome.message}"
            )

    def full(self) -> bool:
        """Whether it is time to store what is here."""
        return (
            len(self._waiting) >= _KEPT_BACK or time.monotonic() - self._stored_at >= _KEPT_BACK_S
        )

    def flush(self) -> int:
        """Stores what is here; returns how many outcomes that are."""
        stored, self._waiting = self._waiting, []
        if stored:
            add_outcomes(self._db, stored)
        self._stored_at = time.monotonic()
        return len(stored)


#: SHA of a candidate, SHA of a suite, and hash seed.
Pair = tuple[str, str, int]


def execute_pairs(run: Run, pairs: Iterable[Pair], total: int, work: str) -> None:
    """Executes pairs, streaming; outcomes are stored as they come.

    pairs: taken as the sandbox has room. Those of one hash seed are best together.
    total: how many there are at most, for the display.

    Raises:
        SandboxError: the sandbox cannot be reached, or executes nothing any more.
    """
    if total == 0:
        return
    under_way: set[str] = set()
    buffer = OutcomeBuffer(run.db)
    with run.progress(total, work, "executions") as bar:
        try:
            for outcome in run.sandbox().execute_many(_executions(run, pairs, under_way)):
                buffer.add(outcome)
                under_way.discard(outcome.id)
                if buffer.full():
                    bar.advance(buffer.flush())
        finally:
            bar.advance(buffer.flush())


def _executions(run: Run, pairs: Iterable[Pair], under_way: set[str]) -> Iterator[Execution]:
    for candidate_sha, test_sha, hash_seed in pairs:
        identifier = pair_id(candidate_sha, test_sha, hash_seed)
        # Two problems may share a candidate and a suite; one outcome serves both.
        if identifier in under_way:
            continue
        under_way.add(identifier)
        yield Execution(
            id=identifier,
            language=run.recipe.run.language,
            solution=source(run.db, candidate_sha),
            test=source(run.db, test_sha),
            limits=run.recipe.sandbox.limits,
            hash_seed=hash_seed,
        )
