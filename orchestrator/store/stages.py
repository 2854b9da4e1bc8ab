"""What is remembered of the run as a whole and of each stage."""

from __future__ import annotations

import json
from dataclasses import dataclass

from orchestrator.store.database import Database


@dataclass(frozen=True)
class StageSummary:
    """What a stage came to. `complete` False: something is left that a rerun may do."""

    stage: str
    complete: bool
    counts: dict[str, int]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class StageRecord:
    """A stage's last summary, and its wall time over all of its runs."""

    summary: StageSummary
    wall_time_s: float


def meta(db: Database, key: str) -> str | None:
    """A remembered text."""
    value: str | None = db.value("SELECT value FROM meta WHERE key = ?", (key,))
    return value


def set_meta(db: Database, key: str, value: str) -> None:
    """Remembers a text."""
    db.write("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", (key, value))


def nothing_done(db: Database) -> bool:
    """Whether the run remembers nothing but its recipe: no input was read, and no stage ended."""
    others = "SELECT EXISTS (SELECT 1 FROM meta WHERE key NOT IN ('recipe', 'recipe_base'))"
    return not db.value(others) and not db.value("SELECT EXISTS (SELECT 1 FROM stages)")


def record_stage(db: Database, summary: StageSummary, wall_time_s: float) -> None:
    """Replaces a stage's summary and adds to its wall time."""
    body = {"counts": summary.counts, "notes": list(summary.notes)}
    db.write(
        "INSERT INTO stages (name, complete, wall_time_s, summary) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (name) DO UPDATE SET complete = excluded.complete,"
        " wall_time_s = wall_time_s + excluded.wall_time_s, summary = excluded.summary",
        (summary.stage, int(summary.complete), wall_time_s, json.dumps(body)),
    )


def stage_records(db: Database) -> list[StageRecord]:
    """Every stage that has ended at least once, in the order of their first end."""
    rows = db.rows("SELECT name, complete, wall_time_s, summary FROM stages ORDER BY rowid")
    records = []
    for name, complete, wall_time_s, text in rows:
        body = json.loads(text)
        summary = StageSummary(name, bool(complete), body["counts"], tuple(body["notes"]))
        records.append(StageRecord(summary, wall_time_s))
    return records
