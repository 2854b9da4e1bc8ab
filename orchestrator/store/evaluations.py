"""Measurements of the policy, before and after training, and what is there of unfinished ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from orchestrator.sampling.sampler import Sampled
from orchestrator.store.database import Database, storable

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


class Journal:
    """Samples and judgements of one measurement, kept until it has ended.

    fingerprint: of everything that they depend on; others' are not seen.
    """

    def __init__(self, db: Database, fingerprint: str) -> None:
        self._db = db
        self._fingerprint = fingerprint

    def samples(self, kind: str) -> list[tuple[Sampled, dict[str, Any] | None]]:
        """What is kept of `kind`, each with its judgement as plain data, or None."""
        rows = self._db.rows(
            "SELECT problem_id, sample_index, text, truncated, judgement FROM evaluation_samples"
            " WHERE fingerprint = ? AND kind = ? ORDER BY rowid",
            (self._fingerprint, kind),
        )
        return [
            (Sampled(problem_id, index, text, bool(cut)), judged and json.loads(judged))
            for problem_id, index, text, cut, judged in rows
        ]

    def add_samples(self, kind: str, samples: Sequence[Sampled]) -> None:
        """Keeps samples, all of them or none."""
        with self._db.transaction():
            self._db.write_many(
                "INSERT OR REPLACE INTO evaluation_samples"
                " (fingerprint, kind, problem_id, sample_index, text, truncated)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (self._fingerprint, kind, s.problem_id, s.index, storable(s.text), s.truncated)
                    for s in samples
                ],
            )

    def judge(self, kind: str, problem_id: str, index: int, judgement: dict[str, Any]) -> None:
        """Keeps what the sandbox said of a sample."""
        self._db.write(
            "UPDATE evaluation_samples SET judgement = ? WHERE fingerprint = ? AND kind = ?"
            " AND problem_id = ? AND sample_index = ?",
            (json.dumps(judgement), self._fingerprint, kind, problem_id, index),
        )

    def clear(self) -> None:
        """Forgets everything, as the measurement has ended."""
        self._db.write("DELETE FROM evaluation_samples WHERE fingerprint = ?", (self._fingerprint,))


def unfinished_measurements(db: Database) -> int:
    """Of how many measurements that have not ended something is kept."""
    count: int = db.value("SELECT count(DISTINCT fingerprint) FROM evaluation_samples")
    return count


def scores(db: Database) -> dict[tuple[str, str], dict[str, dict[str, float]]]:
    """Scores by (benchmark, which policy), then by measure and problem."""
    rows = db.rows(
        "SELECT name, model, json_extract(result, '$.scores') FROM evaluations ORDER BY rowid"
    )
    return {(name, which): json.loads(text) for name, which, text in rows}
