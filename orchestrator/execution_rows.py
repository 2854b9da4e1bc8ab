"""Rows of `plum execute`: reading its input strictly, writing its output."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import astuple
from pathlib import Path
from typing import Any

from orchestrator.domain import Execution, ExecutionError, ExecutionResult, Limits
from orchestrator.errors import InputError
from orchestrator.jsonl import Row, read_rows
from orchestrator.sandbox.bounds import ID_BYTES, hash_seed_from, limits_from, source_problem

_REQUIRED = ("id", "language", "solution", "test")


def read_executions(path: Path, name: str) -> Iterator[Execution]:
    """The executions that the rows of `path` ask for, one at a time.

    name: what messages call the file.

    Raises:
        InputError: the file or a row is not JSON, a row lacks a field, or a field is of the
            wrong type or out of range; or an id is there twice. Names file, line, field,
            value and bound.
    """
    seen: dict[str, str] = {}
    for row in read_rows(path, name):
        execution = _execution(row)
        first = seen.setdefault(execution.id, row.where)
        if first != row.where:
            raise InputError(f"{row.where}: id {execution.id!r:.80} is that of {first} already")
        yield execution


def input_sha256(execution: Execution) -> str:
    """What tells whether an output row belongs to this very input row."""
    content: list[Any] = [execution.language, execution.solution, execution.test]
    content.append(astuple(execution.limits))
    if execution.hash_seed:  # so that what was written before there were seeds stays valid
        content.append(execution.hash_seed)
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def result_row(result: ExecutionResult, sha256: str) -> dict[str, Any]:
    """The output row of an execution that took place."""
    counted = result.assertions
    failure = counted.first_failure
    assertions: dict[str, Any] = {"passed": counted.passed, "failed": counted.failed}
    if failure is not None:
        assertions["first_failure"] = {
            "line": failure.line,
            "expression": failure.expression,
            "left": failure.left,
            "right": failure.right,
        }
    return {
        "id": result.id,
        "verdict": result.verdict,
        "phase": result.phase,
        "message": result.message,
        "assertions": assertions,
        "proof": result.proof,
        "usage": {
            "cpu_time_s": result.usage.cpu_time_s,
            "wall_time_s": result.usage.wall_time_s,
            "memory_bytes": result.usage.memory_bytes,
        },
        "stdout": _text(result.stdout),
        "stderr": _text(result.stderr),
        "truncated": {
            "stdout": result.stdout_bytes > len(result.stdout),
            "stderr": result.stderr_bytes > len(result.stderr),
        },
        "input_sha256": sha256,
    }


def error_row(error: ExecutionError, sha256: str) -> dict[str, Any]:
    """The output row of an execution that did not take place; a rerun tries it again."""
    return {
        "id": error.id,
        "verdict": None,
        "error": {"code": error.code, "message": error.message},
        "input_sha256": sha256,
    }


def _execution(row: Row) -> Execution:
    texts = {field: _source(row, field) for field in _REQUIRED}
    for field in ("id", "language"):
        size = len(texts[field].encode("utf-8", "replace"))
        if not 1 <= size <= ID_BYTES:
            value = f"{field} = {texts[field]!r:.80}"
            raise InputError(f"{row.where}: {value} has {size} bytes, outside [1, {ID_BYTES}]")
    limits = row.fields.get("limits")
    try:
        return Execution(
            **texts,
            limits=Limits() if limits is None else limits_from(limits),
            hash_seed=hash_seed_from(row.fields.get("hash_seed")),
        )
    except ValueError as e:
        raise InputError(f"{row.where}: {e}") from e


def _source(row: Row, field: str) -> str:
    value = row.text(field)
    problem = source_problem(field, value)
    if problem is not None:
        raise InputError(f"{row.where}: {problem}")
    return value


def _text(captured: bytes) -> str:
    return captured.decode("utf-8", "backslashreplace")
