"""Labels of samples. Those of a problem are stored together."""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.labels import Label, LabelReason
from orchestrator.store.database import Database, storable


def problems_to_label(db: Database) -> list[str]:
    """The problems with samples that have no label, or one that waits for an execution."""
    rows = db.rows(
        "SELECT id FROM problems p WHERE EXISTS (SELECT 1 FROM samples s"
        " LEFT JOIN labels l ON l.problem_id = s.problem_id AND l.sample_index = s.sample_index"
        " WHERE s.problem_id = p.id AND (l.reason IS NULL OR l.reason = ?)) ORDER BY ordinal",
        (LabelReason.NOT_EXECUTED,),
    )
    return [problem_id for (problem_id,) in rows]


def set_labels(db: Database, problem_id: str, labels: Sequence[tuple[int, Label]]) -> None:
    """Replaces a problem's labels, given with the index of their sample."""
    with db.transaction():
        db.write_many(
            "INSERT OR REPLACE INTO labels (problem_id, sample_index, value, reason, detail)"
            " VALUES (?, ?, ?, ?, ?)",
            [
                (
                    problem_id,
                    index,
                    None if label.value is None else int(label.value),
                    label.reason,
                    storable(label.detail),
                )
                for index, label in labels
            ],
        )


def labels_of(db: Database, problem_id: str) -> dict[int, Label]:
    """A problem's labels by the index of their sample."""
    rows = db.rows(
        "SELECT sample_index, value, reason, detail FROM labels WHERE problem_id = ?", (problem_id,)
    )
    return {
        index: Label(None if value is None else bool(value), LabelReason(reason), detail)
        for index, value, reason, detail in rows
    }


def label_counts(db: Database) -> list[tuple[bool | None, str, int]]:
    """Labels by value and reason."""
    rows = db.rows(
        "SELECT value, reason, count(*) FROM labels GROUP BY value, reason ORDER BY value DESC, 3 DESC"
    )
    return [(None if v is None else bool(v), reason, count) for v, reason, count in rows]


def correct_shares(db: Database) -> list[float]:
    """Per problem, the share of its samples that pass every kept suite."""
    rows = db.rows(
        "SELECT avg(coalesce(l.value, 0) = 1) FROM labels l JOIN problems p ON p.id = l.problem_id"
        " GROUP BY l.problem_id ORDER BY p.ordinal"
    )
    return [float(share) for (share,) in rows]
