"""Measurements of the policy, before and after training."""

from __future__ import annotations

import json
from typing import Any

from orchestrator.store.database import Database

#: Which policy was measured.
BEFORE, AFTER = "before", "after"


def evaluation(db: Database, name: str, which: str, fingerprint: str) -> dict[str, Any] | None:
    """A stored measurement, as plain data, unless it was made of something else since."""
    text = db.value(
        "SELECT result FROM evaluations WHERE name = ? AND model = ? AND fingerprint = ?",
        (name, which, fingerprint),
    )
    return None if text is None else dict(json.loads(text))


def set_evaluation(
    db: Database, name: str, which: str, fingerprint: str, result: dict[str, Any]
) -> None:
    """Stores a measurement; replaces the one before it."""
    db.write(
        "INSERT OR REPLACE INTO evaluations (name, model, fingerprint, result) VALUES (?, ?, ?, ?)",
        (name, which, fingerprint, json.dumps(result)),
    )


def scores(db: Database) -> dict[tuple[str, str], dict[str, dict[str, float]]]:
    """Scores by (benchmark, which policy), then by measure and problem."""
    rows = db.rows(
        "SELECT name, model, json_extract(result, '$.scores') FROM evaluations ORDER BY rowid"
    )
    return {(name, which): json.loads(text) for name, which, text in rows}
