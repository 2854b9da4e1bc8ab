"""How far the work of a run is, for those who look on from another process."""

from __future__ import annotations

from dataclasses import astuple, dataclass

from orchestrator.store.database import Database


@dataclass(frozen=True)
class Moment:
    """Where one piece of work stood at a moment. Times are seconds since 1970.

    first_done: of `done`, what an earlier run had finished.
    """

    work: str
    unit: str
    done: int
    total: int | None
    first_done: int
    began_at: float
    updated_at: float

    def rate(self) -> float | None:
        """Units a second since it began; None before anything is finished."""
        seconds = self.updated_at - self.began_at
        units = self.done - self.first_done
        return units / seconds if units and seconds > 0 else None

    def left_s(self) -> float | None:
        """Seconds until the end at this rate; None where that cannot be told."""
        rate = self.rate()
        if rate is None or self.total is None:
            return None
        return max(0, self.total - self.done) / rate


def record_moment(db: Database, moment: Moment) -> None:
    """Replaces what was known of this work."""
    db.write(
        "INSERT OR REPLACE INTO progress"
        " (work, unit, done, total, first_done, began_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        astuple(moment),
    )


def latest_moment(db: Database) -> Moment | None:
    """The work that went on last, finished or not."""
    rows = db.rows(
        "SELECT work, unit, done, total, first_done, began_at, updated_at FROM progress"
        " ORDER BY updated_at DESC LIMIT 1"
    )
    return Moment(*rows[0]) if rows else None
