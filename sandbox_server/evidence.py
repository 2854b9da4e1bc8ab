"""Reads what a worker says as evidence: strictly, with bounds, and never as a decision.

A candidate that breaks out of its jail, or a harness with a bug, may put
anything into an answer. What decides something (verdict, phase, proof, numbers)
must be exactly of the protocol, or the whole worker is given up as failed.
Texts, which a candidate can influence without breaking anything, are cut to
their bounds and stripped of what UTF-8 cannot carry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sandbox_server.worker.protocol import (
    MOST_HASH_SEEDS,
    MOST_TESTS,
    PHASES,
    PROOFS,
    VERDICTS,
    Limits,
    ProtocolError,
    Usage,
)

_OUTPUT_BYTES = 64 << 10
_MESSAGE_BYTES = 8 << 10
_EXCERPT_BYTES = 2 << 10
_DIAGNOSTIC_BYTES = 1 << 10
_DIAGNOSTICS = 100
_INT32_MAX = 2**31 - 1
_INT64_MAX = 2**63 - 1
_DURATION_MAX_S = 1e6
_STATUSES = frozenset({"CHECKED", "SYNTAX_ERROR", "NOT_CHECKED"})
_SEVERITIES = frozenset({"ERROR", "WARNING", "NOTE"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class FirstFailure:
    """The first assertion that did not hold."""

    line: int
    expression: str
    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Result:
    """What a worker reports of one execution, checked."""

    verdict: str
    phase: str
    message: str
    passed: int
    failed: int
    first_failure: FirstFailure | None
    proof: str | None
    usage: Usage
    stdout: bytes
    stderr: bytes
    stdout_bytes: int
    stderr_bytes: int


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding of a static check, checked."""

    line: int
    severity: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What a worker reports of one static check, checked."""

    id: str
    status: str
    diagnostics: tuple[Diagnostic, ...]
    message: str


@dataclass(frozen=True)
class Layer:
    """One isolation layer of a worker."""

    name: str
    in_force: bool
    detail: str


@dataclass(frozen=True)
class Ready:
    """What a worker says of itself when it may serve."""

    language: str
    version: str
    slots: int
    #: Suites of one solution that it is to be given together.
    tests: int
    #: Values that the hash seed of an execution may have, from 0 on.
    hash_seeds: int
    default_limits: Limits
    isolation: tuple[Layer, ...]


def parse_result(raw: object) -> Result:
    """A RESULT of the protocol.

    Raises:
        ProtocolError: a field is missing, of the wrong type, or outside its set or range.
    """
    result = _object(raw, "result")
    verdict = _member(result, "verdict", VERDICTS)
    phase = _member(result, "phase", PHASES)
    proof = result.get("proof")
    if verdict == "PASSED":
        if phase != "TEST":
            raise ProtocolError(f"phase={phase!r} cannot be the phase of PASSED")
        proof = _member(result, "proof", PROOFS)
    elif proof is not None:
        raise ProtocolError(f"proof={proof!r:.80} of a {verdict} is outside {{None}}")
    assertions = _object(result.get("assertions"), "assertions")
    failure = assertions.get("first_failure")
    return Result(
        verdict=verdict,
        phase=phase,
        message=_text(result, "message"),
        passed=_integer(assertions, "passed", _INT32_MAX),
        failed=_integer(assertions, "failed", _INT32_MAX),
        first_failure=None if failure is None else _first_failure(failure),
        proof=proof,
        usage=_usage(result.get("usage")),
        stdout=_captured(result, "stdout"),
        stderr=_captured(result, "stderr"),
        stdout_bytes=_integer(result, "stdout_bytes", _INT64_MAX),
        stderr_bytes=_integer(result, "stderr_bytes", _INT64_MAX),
    )


def parse_checked(raw: object, ids: Sequence[str]) -> tuple[Checked, ...]:
    """The results of a check of the candidates called `ids`, in that order.

    Raises:
        ProtocolError: a field is bad, or the results are not exactly those of `ids`.
    """
    results = tuple(_checked(item) for item in _list(raw, "results"))
    by_id = {result.id: result for result in results}
    if len(results) != len(ids) or by_id.keys() != set(ids):
        raise ProtocolError(f"check answered {len(results)} candidates that are not the {len(ids)}")
    return tuple(by_id[name] for name in ids)


def parse_ready(raw: object) -> Ready:
    """The message with which a worker reports for service.

    Raises:
        ProtocolError: a field is missing or of the wrong type.
    """
    ready = _object(raw, "ready message")
    return Ready(
        language=_text(ready, "language"),
        version=_text(ready, "version"),
        slots=_count(ready, "slots", _INT32_MAX),
        tests=_count(ready, "tests", MOST_TESTS),
        hash_seeds=_count({"hash_seeds": 1, **ready}, "hash_seeds", MOST_HASH_SEEDS),
        default_limits=_limits(ready.get("default_limits")),
        isolation=tuple(_layer(item) for item in _list(ready.get("isolation"), "isolation")),
    )


def bounded(text: str, most: int) -> str:
    """`text` within `most` bytes of UTF-8, lone surrogates as backslash escapes."""
    if len(text) <= most and text.isascii():
        return text
    # A character that the cut goes through is left out.
    return text[:most].encode("utf-8", "backslashreplace")[:most].decode("utf-8", "ignore")


def _checked(raw: object) -> Checked:
    item = _object(raw, "check result")
    diagnostics = _list(item.get("diagnostics"), "diagnostics")[:_DIAGNOSTICS]
    return Checked(
        id=_typed(item, "id", str),
        status=_member(item, "status", _STATUSES),
        diagnostics=tuple(_diagnostic(diagnostic) for diagnostic in diagnostics),
        message=_text(item, "message"),
    )


def _diagnostic(raw: object) -> Diagnostic:
    item = _object(raw, "diagnostic")
    return Diagnostic(
        line=_integer(item, "line", _INT32_MAX),
        severity=_member(item, "severity", _SEVERITIES),
        code=_text(item, "code"),
        message=_text(item, "message", most=_DIAGNOSTIC_BYTES),
    )


def _first_failure(raw: object) -> FirstFailure:
    failure = _object(raw, "first_failure")
    return FirstFailure(
        line=_integer(failure, "line", _INT32_MAX),
        expression=_text(failure, "expression", most=_EXCERPT_BYTES),
        left=_text(failure, "left", most=_EXCERPT_BYTES),
        right=_text(failure, "right", most=_EXCERPT_BYTES),
    )


def _usage(raw: object) -> Usage:
    usage = _object(raw, "usage")
    return Usage(
        cpu_time_s=_number(usage, "cpu_time_s"),
        wall_time_s=_number(usage, "wall_time_s"),
        memory_bytes=_integer(usage, "memory_bytes", _INT64_MAX),
    )


def _limits(raw: object) -> Limits:
    limits = _object(raw, "default_limits")
    return Limits(
        cpu_time_s=_number(limits, "cpu_time_s"),
        wall_time_s=_number(limits, "wall_time_s"),
        memory_bytes=_integer(limits, "memory_bytes", _INT64_MAX),
        processes=_integer(limits, "processes", _INT32_MAX),
        output_bytes=_integer(limits, "output_bytes", _INT64_MAX),
        file_bytes=_integer(limits, "file_bytes", _INT64_MAX),
        open_files=_integer(limits, "open_files", _INT32_MAX),
    )


def _layer(raw: object) -> Layer:
    layer = _object(raw, "isolation layer")
    return Layer(
        name=_text(layer, "name"),
        in_force=_typed(layer, "in_force", bool),
        detail=_text(layer, "detail"),
    )


def _object(raw: object, name: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise ProtocolError(f"{name} is {type(raw).__name__}, not an object")
    return raw


def _list(raw: object, name: str) -> list[Any]:
    if not isinstance(raw, list):
        raise ProtocolError(f"{name} is {type(raw).__name__}, not a list")
    return raw


def _typed(holder: dict[str, Any], name: str, kind: type[T]) -> T:
    value = holder.get(name)
    if not isinstance(value, kind):
        raise ProtocolError(f"{name} is {type(value).__name__}, not {kind.__name__}")
    return value


def _member(holder: dict[str, Any], name: str, allowed: frozenset[str]) -> str:
    value = holder.get(name)
    if not isinstance(value, str) or value not in allowed:
        raise ProtocolError(f"{name}={value!r:.80} is outside {sorted(allowed)}")
    return value


def _integer(holder: dict[str, Any], name: str, most: int) -> int:
    value = holder.get(name)
    if type(value) is not int or not 0 <= value <= most:
        raise ProtocolError(f"{name}={value!r:.80} is outside [0, {most}]")
    return value


def _count(holder: dict[str, Any], name: str, most: int) -> int:
    value = _integer(holder, name, most)
    if value < 1:
        raise ProtocolError(f"{name}={value} is outside [1, {most}]")
    return value


def _number(holder: dict[str, Any], name: str) -> float:
    value = holder.get(name)
    # The comparison is false for NaN too.
    if type(value) in (int, float) and value is not None and 0 <= value <= _DURATION_MAX_S:
        return float(value)
    raise ProtocolError(f"{name}={value!r:.80} is outside [0, {_DURATION_MAX_S:.0f}]")


def _text(holder: dict[str, Any], name: str, most: int = _MESSAGE_BYTES) -> str:
    return bounded(_typed(holder, name, str), most)


def _captured(holder: dict[str, Any], name: str) -> bytes:
    text = _typed(holder, name, str)
    try:
        captured = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as e:
        raise ProtocolError(f"{name} is not text made with surrogateescape") from e
    return captured[:_OUTPUT_BYTES]
