"""Outcomes of executions, by the contents of candidate and suite: equal pairs run once.

Trials of suites may have another hash seed than 0; whatever else is asked here is about seed 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.domain import (
    AssertionFailure,
    Assertions,
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


_KEY = "candidate_sha = ? AND test_sha = ? AND hash_seed = ?"


def pair_id(candidate_sha: str, test_sha: str, hash_seed: int = 0) -> str:
    """The id under which a pair is sent to the sandbox."""
    return f"{candidate_sha}:{test_sha}:{hash_seed}"


def add_outcomes(db: Database, outcomes: Iterable[ExecutionResult | ExecutionError]) -> None:
    """Stores what came of pairs, together; an outcome's id is its `pair_id`. A result is final."""
    results: list[Row] = []
    errors: list[Row] = []
    for outcome in outcomes:
        key = tuple(outcome.id.split(":"))
        if isinstance(outcome, ExecutionError):
            errors.append((*key, outcome.code, storable(outcome.message)))
        else:
            results.append((*key, *_row(outcome)))
    with db.transaction():
        db.write_many(
            "INSERT OR REPLACE INTO execution_errors"
            " (candidate_sha, test_sha, hash_seed, code, message) VALUES (?, ?, ?, ?, ?)",
            errors,
        )
        db.write_many(
            f"INSERT OR IGNORE INTO executions (candidate_sha, test_sha, hash_seed, {_COLUMNS})"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            results,
        )
        db.write_many(
            f"DELETE FROM execution_errors WHERE {_KEY}",
            [row[:3] for row in results],
        )


def _row(result: ExecutionResult) -> Row:
    failure = result.assertions.first_failure
    return (
        result.verdict,
        result.phase,
        storable(result.message),
        result.assertions.passed,
        result.assertions.failed,
        None if failure is None else json.dumps(asdict(failure)),
        result.proof,
        result.usage.cpu_time_s,
        result.usage.wall_time_s,
        result.usage.memory_bytes,
    )


def outcome_of(
    db: Database, candidate_sha: str, test_sha: str, hash_seed: int = 0
) -> ExecutionResult | ExecutionError | None:
    """What came of a pair: its result, else the error of the last attempt, else None.

    Standard output and error are not kept: their fields are empty.
    """
    key = (candidate_sha, test_sha, hash_seed)
    identifier = pair_id(*key)
    rows = db.rows(f"SELECT {_COLUMNS} FROM executions WHERE {_KEY}", key)
    if rows:
        return _result(identifier, rows[0])
    rows = db.rows(f"SELECT code, message FROM execution_errors WHERE {_KEY}", key)
    return ExecutionError(identifier, *rows[0]) if rows else None


def results_of_problem(db: Database, problem_id: str) -> dict[tuple[str, str], ExecutionResult]:
    """The results of a problem's samples against its kept suites, by candidate and suite SHA."""
    rows = db.rows(
        f"SELECT DISTINCT e.candidate_sha, e.test_sha, {_COLUMNS} FROM samples s"
        " CROSS JOIN suites u ON u.problem_id = s.problem_id AND u.kept = 1"
        " CROSS JOIN executions e ON e.candidate_sha = s.candidate_sha AND e.test_sha = u.test_sha"
        " AND e.hash_seed = 0"
        " WHERE s.problem_id = ?",
        (problem_id,),
    )
    return {
        (candidate, test): _result(pair_id(candidate, test), row) for candidate, test, *row in rows
    }


def suites_of_several_problems(db: Database) -> frozenset[str]:
    """SHA-256 of the kept suites that more than one problem has."""
    rows = db.rows(
        "SELECT test_sha FROM suites WHERE kept = 1 GROUP BY test_sha"
        " HAVING count(DISTINCT problem_id) > 1"
    )
    return frozenset(sha for (sha,) in rows)


def _result(identifier: str, row: Sequence[Any]) -> ExecutionResult:
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
        " WHERE e.hash_seed = 0"
        " AND EXISTS (SELECT 1 FROM samples s WHERE s.candidate_sha = e.candidate_sha)"
        " GROUP BY verdict, phase ORDER BY 3 DESC"
    )
    return [(Verdict(verdict), Phase(phase), count) for verdict, phase, count in rows]
