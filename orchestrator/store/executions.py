"""Outcomes of executions, by the contents of candidate and suite: equal pairs run once."""

from __future__ import annotations

import json
from dataclasses import asdict

from orchestrator.domain import (
    AssertionFailure,
    Assertions,
    CheckStatus,
    ExecutionError,
    ExecutionResult,
    Phase,
    Proof,
    Usage,
    Verdict,
)
from orchestrator.store.database import Database, Row, storable

_COLUMNS = (
    "verdict, phase, message, passed, failed, first_failure, proof,"
    " cpu_time_s, wall_time_s, memory_bytes"
)


def pair_id(candidate_sha: str, test_sha: str) -> str:
    """The id under which a pair is sent to the sandbox."""
    return f"{candidate_sha}:{test_sha}"


def add_outcome(db: Database, outcome: ExecutionResult | ExecutionError) -> None:
    """Stores what came of a pair; the outcome's id is its `pair_id`. A result is final."""
    candidate_sha, test_sha = outcome.id.split(":")
    if isinstance(outcome, ExecutionError):
        db.write(
            "INSERT OR REPLACE INTO execution_errors (candidate_sha, test_sha, code, message)"
            " VALUES (?, ?, ?, ?)",
            (candidate_sha, test_sha, outcome.code, storable(outcome.message)),
        )
        return
    failure = outcome.assertions.first_failure
    with db.transaction():
        db.write(
            f"INSERT OR IGNORE INTO executions (candidate_sha, test_sha, {_COLUMNS})"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                candidate_sha,
                test_sha,
                outcome.verdict,
                outcome.phase,
                storable(outcome.message),
                outcome.assertions.passed,
                outcome.assertions.failed,
                None if failure is None else json.dumps(asdict(failure)),
                outcome.proof,
                outcome.usage.cpu_time_s,
                outcome.usage.wall_time_s,
                outcome.usage.memory_bytes,
            ),
        )
        db.write(
            "DELETE FROM execution_errors WHERE candidate_sha = ? AND test_sha = ?",
            (candidate_sha, test_sha),
        )


def outcome_of(
    db: Database, candidate_sha: str, test_sha: str
) -> ExecutionResult | ExecutionError | None:
    """What came of a pair: its result, else the error of the last attempt, else None.

    Standard output and error are not kept: their fields are empty.
    """
    identifier = pair_id(candidate_sha, test_sha)
    pair = (candidate_sha, test_sha)
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM executions WHERE candidate_sha = ? AND test_sha = ?", pair
    )
    if rows:
        return _result(identifier, rows[0])
    rows = db.rows(
        "SELECT code, message FROM execution_errors WHERE candidate_sha = ? AND test_sha = ?", pair
    )
    return ExecutionError(identifier, *rows[0]) if rows else None


def _result(identifier: str, row: Row) -> ExecutionResult:
    verdict, phase, message, passed, failed, failure, proof, cpu_s, wall_s, memory = row
    first = None if failure is None else AssertionFailure(**json.loads(failure))
    return ExecutionResult(
        id=identifier,
        verdict=Verdict(verdict),
        phase=Phase(phase),
        message=message,
        assertions=Assertions(passed, failed, first),
        proof=None if proof is None else Proof(proof),
        usage=Usage(cpu_s, wall_s, memory),
        stdout=b"",
        stderr=b"",
        stdout_bytes=0,
        stderr_bytes=0,
    )


def kept_suites(db: Database, problem_id: str) -> list[str]:
    """SHA-256 of a problem's kept suites, equal ones once, in the order of their answers."""
    rows = db.rows(
        "SELECT s.test_sha FROM suites s JOIN answers a ON a.id = s.answer_id"
        " WHERE s.problem_id = ? AND s.kept = 1 GROUP BY s.test_sha ORDER BY min(a.answer_index)",
        (problem_id,),
    )
    return [sha for (sha,) in rows]


_PAIRS = (
    " FROM samples s JOIN suites u ON u.problem_id = s.problem_id AND u.kept = 1"
    " LEFT JOIN executions e ON e.candidate_sha = s.candidate_sha AND e.test_sha = u.test_sha"
    " LEFT JOIN checks c ON c.candidate_sha = s.candidate_sha"
    " WHERE s.truncated = 0 AND s.candidate_sha IS NOT NULL AND e.candidate_sha IS NULL"
    f" AND coalesce(c.status, '') != '{CheckStatus.SYNTAX_ERROR}'"  # dropped in any case
)


def count_missing_pairs(db: Database) -> int:
    """Pairs of candidate and kept suite without a result, over the whole run."""
    count: int = db.value(
        f"SELECT count(*) FROM (SELECT DISTINCT s.candidate_sha, u.test_sha{_PAIRS})"
    )
    return count


def missing_pairs(db: Database, problem_id: str) -> list[tuple[str, str]]:
    """A problem's pairs (candidate SHA, suite SHA) without a result."""
    return db.rows(
        f"SELECT DISTINCT s.candidate_sha, u.test_sha{_PAIRS} AND s.problem_id = ?"
        " ORDER BY s.sample_index, u.answer_id",
        (problem_id,),
    )


def error_counts(db: Database) -> dict[str, int]:
    """Errors that stay, by code and message."""
    rows = db.rows(
        "SELECT code, message, count(*) FROM execution_errors GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 20"
    )
    return {f"{code}: {message}": count for code, message, count in rows}


def verdict_counts(db: Database) -> list[tuple[Verdict, Phase, int]]:
    """Executions of sampled candidates by verdict and phase."""
    rows = db.rows(
        "SELECT verdict, phase, count(*) FROM executions e"
        " WHERE EXISTS (SELECT 1 FROM samples s WHERE s.candidate_sha = e.candidate_sha)"
        " GROUP BY verdict, phase ORDER BY 3 DESC"
    )
    return [(Verdict(verdict), Phase(phase), count) for verdict, phase, count in rows]
