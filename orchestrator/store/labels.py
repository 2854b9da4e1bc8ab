"""Labels of samples, and what they are made of. Those of a problem are stored together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.domain import CheckResult, CheckStatus, ExecutionResult
from orchestrator.labels import Label, LabelReason
from orchestrator.store.database import Database, storable
from orchestrator.store.executions import kept_suites, results_of_problem
from orchestrator.store.samples import checks_of_problem, sources_of_problem


@dataclass(frozen=True, slots=True)
class UnlabelledSample:
    """What a label needs to know of a sample itself."""

    index: int
    truncated: bool
    candidate_sha: str | None


@dataclass(frozen=True)
class UnlabelledProblem:
    """A problem with everything that is known for its labels so far.

    suites: SHA-256 of the kept ones, in their order.
    results: by candidate SHA and suite SHA; what was executed.
    sources: texts of candidates and suites, by SHA.
    """

    id: str
    samples: Sequence[UnlabelledSample]
    suites: Sequence[str]
    checks: Mapping[str, CheckResult]
    results: Mapping[tuple[str, str], ExecutionResult]
    sources: Mapping[str, str]


#: As it stands in the schema: a partial index serves it, which a parameter would not let it.
_WAITS = f"reason = '{LabelReason.NOT_EXECUTED}'"


def problems_to_label(db: Database) -> list[str]:
    """The problems with samples that have no label, or one that waits for an execution."""
    rows = db.rows(
        "SELECT id FROM problems p WHERE"
        " (SELECT count(*) FROM samples s WHERE s.problem_id = p.id)"
        " > (SELECT count(*) FROM labels l WHERE l.problem_id = p.id)"
        f" OR EXISTS (SELECT 1 FROM labels w WHERE w.problem_id = p.id AND w.{_WAITS})"
        " ORDER BY ordinal"
    )
    return [problem_id for (problem_id,) in rows]


def problems_not_executed_whole(db: Database) -> list[str]:
    """The problems of which some candidate has not met every kept suite."""
    rows = db.rows(
        "SELECT id FROM problems p WHERE EXISTS (SELECT 1 FROM samples s"
        " JOIN suites u ON u.problem_id = s.problem_id AND u.kept = 1"
        " LEFT JOIN executions e ON e.candidate_sha = s.candidate_sha AND e.test_sha = u.test_sha"
        " AND e.hash_seed = 0"
        " LEFT JOIN checks c ON c.candidate_sha = s.candidate_sha"
        " WHERE s.problem_id = p.id AND s.truncated = 0 AND s.candidate_sha IS NOT NULL"
        " AND e.candidate_sha IS NULL AND coalesce(c.status, '') != ?) ORDER BY ordinal",
        (CheckStatus.SYNTAX_ERROR,),  # dropped in any case
    )
    return [problem_id for (problem_id,) in rows]


def unlabelled_problem(db: Database, problem_id: str) -> UnlabelledProblem:
    """What is known for the labels of a problem."""
    samples = db.rows(
        "SELECT sample_index, truncated, candidate_sha FROM samples WHERE problem_id = ?"
        " ORDER BY sample_index",
        (problem_id,),
    )
    return UnlabelledProblem(
        problem_id,
        [UnlabelledSample(index, bool(truncated), sha) for index, truncated, sha in samples],
        kept_suites(db, problem_id),
        checks_of_problem(db, problem_id),
        results_of_problem(db, problem_id),
        sources_of_problem(db, problem_id),
    )


def count_labelled(db: Database) -> int:
    """Samples with a final label."""
    count: int = db.value(
        f"SELECT (SELECT count(*) FROM labels) - (SELECT count(*) FROM labels WHERE {_WAITS})"
    )
    return count


def set_labels(db: Database, labels: Iterable[tuple[str, int, Label]]) -> None:
    """Replaces labels, given with the problem and the index of their sample."""
    with db.transaction():
        db.write_many(
            "INSERT OR REPLACE INTO labels (problem_id, sample_index, value, reason, detail,"
            " test_sha) VALUES (?, ?, ?, ?, ?, ?)",
            [
                (
                    problem_id,
                    index,
                    None if label.value is None else int(label.value),
                    label.reason,
                    storable(label.detail),
                    label.suite,
                )
                for problem_id, index, label in labels
            ],
        )


def labels_of(db: Database, problem_id: str) -> dict[int, Label]:
    """A problem's labels by the index of their sample."""
    rows = db.rows(
        "SELECT sample_index, value, reason, detail, test_sha FROM labels WHERE problem_id = ?",
        (problem_id,),
    )
    return {
        index: Label(None if value is None else bool(value), LabelReason(reason), detail, suite)
        for index, value, reason, detail, suite in rows
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
