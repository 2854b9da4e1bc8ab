"""Problems and the rows that did not become one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from orchestrator.problem import Problem
from orchestrator.store.database import Database, storable

_COLUMNS = "id, instruction, language, start_code, entry_point, source"


@dataclass(frozen=True)
class Drop:
    """A row of the instructions that is not used, and why."""

    location: str  # file:line
    reason: str
    detail: str = ""


def add_problem(db: Database, ordinal: int, problem: Problem) -> None:
    """Stores a problem. The ordinal gives the order of the run, from 0."""
    db.write(
        f"INSERT INTO problems (ordinal, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            ordinal,
            problem.id,
            storable(problem.instruction),
            problem.language,
            None if problem.start_code is None else storable(problem.start_code),
            problem.entry_point,
            problem.source,
        ),
    )


def add_drop(db: Database, drop: Drop) -> None:
    """Stores why a row is not used."""
    db.write(
        "INSERT INTO problem_drops (location, reason, detail) VALUES (?, ?, ?)",
        (drop.location, drop.reason, storable(drop.detail)),
    )


def count_problems(db: Database) -> int:
    """How many problems the run has."""
    count: int = db.value("SELECT count(*) FROM problems")
    return count


def counts_by_source(db: Database) -> dict[str, int]:
    """Problems by where they came from."""
    return dict(db.rows("SELECT source, count(*) FROM problems GROUP BY source"))


def problem_by_id(db: Database, problem_id: str) -> Problem:
    """The problem with this id, which must be one of the run's."""
    return Problem(*db.rows(f"SELECT {_COLUMNS} FROM problems WHERE id = ?", (problem_id,))[0])


def drop_counts(db: Database) -> dict[str, int]:
    """Rows that did not become a problem, by reason."""
    return dict(db.rows("SELECT reason, count(*) FROM problem_drops GROUP BY reason"))


def drops_for(db: Database, reason: str, limit: int) -> list[Drop]:
    """The first rows that were dropped for a reason, in the order they were read."""
    rows = db.rows(
        "SELECT location, reason, detail FROM problem_drops WHERE reason = ? ORDER BY rowid LIMIT ?",
        (reason, limit),
    )
    return [Drop(*row) for row in rows]


def problem_pages(db: Database, size: int) -> Iterator[list[Problem]]:
    """All problems in their order, at most `size` at a time."""
    last = -1
    while True:
        rows = db.rows(
            f"SELECT ordinal, {_COLUMNS} FROM problems WHERE ordinal > ? ORDER BY ordinal LIMIT ?",
            (last, size),
        )
        if not rows:
            return
        last = rows[-1][0]
        yield [Problem(*row[1:]) for row in rows]


def problems_at(db: Database, places: Sequence[int]) -> list[Problem]:
    """The problems at these places, from 0, in the order of the run."""
    ordinals = db.rows("SELECT ordinal FROM problems ORDER BY ordinal")
    found = (
        db.rows(f"SELECT {_COLUMNS} FROM problems WHERE ordinal = ?", ordinals[place])
        for place in places
    )
    return [Problem(*row) for [row] in found]


def problems_to_sample(db: Database) -> list[Problem]:
    """The problems that have at least one kept suite, in their order."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM problems p WHERE EXISTS"
        " (SELECT 1 FROM suites s WHERE s.problem_id = p.id AND s.kept = 1) ORDER BY ordinal"
    )
    return [Problem(*row) for row in rows]
