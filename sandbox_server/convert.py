"""Between the wire and the worker: the only module that knows both sides' shapes.

Requests are checked here, with the ranges that the protocol's definition gives.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc import StatusCode
from plum.sandbox.v1 import sandbox_pb2 as pb

from sandbox_server.errors import RequestError, invalid
from sandbox_server.evidence import Checked, Ready, Result
from sandbox_server.worker.protocol import Limits

ID_BYTES = 256
_SOURCE_BYTES = 16 << 20
_STREAM_EXECUTIONS = 1024
_CHECK_CANDIDATES = 1000
_CHECK_BYTES = 64 << 20
_NANOS = 10**9

_TIMES_S = {"cpu_time": (0.01, 3600.0), "wall_time": (0.01, 7200.0)}
_COUNTS = {
    "memory_bytes": (16 << 20, 64 << 30),
    "processes": (1, 4096),
    "output_bytes": (1 << 10, 1 << 30),
    "file_bytes": (64 << 10, 16 << 30),
    "open_files": (16, 65536),
}
_WALL_PER_CPU = 3

_VERDICTS = {name.removeprefix("VERDICT_"): value for name, value in pb.Verdict.items()}
_PHASES = {name.removeprefix("PHASE_"): value for name, value in pb.Phase.items()}
_PROOFS = {name.removeprefix("PROOF_").lower(): value for name, value in pb.Proof.items()}
_STATUSES = {name.removeprefix("CHECK_STATUS_"): value for name, value in pb.CheckStatus.items()}
_SEVERITIES = {name.removeprefix("SEVERITY_"): value for name, value in pb.Severity.items()}


def check_execution(execution: pb.Execution) -> int:
    """Checks what can be checked without knowing the language; returns the sources' bytes.

    Raises:
        RequestError: INVALID_ARGUMENT with field, value and bound.
    """
    _check_id(execution.id, "execution.id")
    if not execution.language:
        raise _missing("execution.language")
    return _source_bytes(execution.solution, "execution.solution") + _source_bytes(
        execution.test, "execution.test"
    )


def check_stream_request(request: pb.ExecuteStreamRequest) -> None:
    """Checks how many executions a message of a stream holds.

    Raises:
        RequestError: INVALID_ARGUMENT with field, value and bound.
    """
    if not 1 <= len(request.executions) <= _STREAM_EXECUTIONS:
        raise invalid("len(executions)", len(request.executions), f"[1, {_STREAM_EXECUTIONS}]")


def execute_request(execution: pb.Execution, ready: Ready) -> dict[str, Any]:
    """The message to the worker that is `ready` for a checked execution, without `seq`.

    Raises:
        RequestError: INVALID_ARGUMENT with field, value and bound, for a limit or the hash seed.
    """
    limits = ready.default_limits
    if execution.HasField("limits"):
        limits = _limits(execution.limits, limits)
    request: dict[str, Any] = {
        "op": "execute",
        "solution": execution.solution,
        "tests": [execution.test],
        "limits": vars(limits),
    }
    seed = execution.hash_seed
    if seed >= ready.hash_seeds:
        raise invalid("execution.hash_seed", seed, f"[0, {ready.hash_seeds - 1}]")
    if seed:
        request["hash_seed"] = seed
    return request


def check_request(request: pb.CheckRequest) -> tuple[dict[str, Any], int]:
    """The worker's message for a static check, without `seq`, and its sources' bytes.

    Raises:
        RequestError: INVALID_ARGUMENT with field, value and bound.
    """
    if not request.language:
        raise _missing("language")
    if not 1 <= len(request.candidates) <= _CHECK_CANDIDATES:
        raise invalid("len(candidates)", len(request.candidates), f"[1, {_CHECK_CANDIDATES}]")
    size = 0
    seen: set[str] = set()
    for index, candidate in enumerate(request.candidates):
        field = f"candidates[{index}]"
        _check_id(candidate.id, f"{field}.id")
        if candidate.id in seen:
            raise RequestError(
                StatusCode.INVALID_ARGUMENT, f"{field}.id={candidate.id!r} is there twice"
            )
        seen.add(candidate.id)
        size += _source_bytes(candidate.solution, f"{field}.solution")
    if size > _CHECK_BYTES:
        raise invalid("bytes of all candidates", size, f"[0, {_CHECK_BYTES}]")
    candidates = [{"id": item.id, "solution": item.solution} for item in request.candidates]
    return {"op": "check", "candidates": candidates}, size


def result_message(name: str, result: Result) -> pb.ExecutionResult:
    """The wire's result of the execution called `name`."""
    failure = result.first_failure
    return pb.ExecutionResult(
        id=name,
        verdict=_VERDICTS[result.verdict],
        phase=_PHASES[result.phase],
        message=result.message,
        assertions=pb.Assertions(
            passed=result.passed,
            failed=result.failed,
            first_failure=None
            if failure is None
            else pb.AssertionFailure(
                line=failure.line,
                expression=failure.expression,
                left=failure.left,
                right=failure.right,
            ),
        ),
        proof=pb.PROOF_UNSPECIFIED if result.proof is None else _PROOFS[result.proof],
        usage=pb.Usage(
            cpu_time=_duration(result.usage.cpu_time_s),
            wall_time=_duration(result.usage.wall_time_s),
            memory_bytes=result.usage.memory_bytes,
        ),
        stdout=result.stdout,
        stderr=result.stderr,
        stdout_bytes=result.stdout_bytes,
        stderr_bytes=result.stderr_bytes,
    )


def outcome_message(name: str, outcome: object) -> pb.ExecutionOutcome:
    """The stream's item for the execution called `name`."""
    if isinstance(outcome, Result):
        return pb.ExecutionOutcome(id=name, result=result_message(name, outcome))
    if isinstance(outcome, RequestError):
        return pb.ExecutionOutcome(id=name, error=_error_message(outcome))
    raise TypeError(f"an execution was answered with {type(outcome).__name__}")


def _error_message(error: RequestError) -> pb.ExecutionError:
    message = pb.ExecutionError(code=_number(error.code), message=error.message)
    if error.retry_delay_s is not None:
        message.retry_delay.CopyFrom(_duration(error.retry_delay_s))
    return message


def status_details(error: RequestError) -> bytes:
    """The serialized google.rpc.Status that goes with the status of a failed call."""
    status = status_pb2.Status(code=_number(error.code), message=error.message)
    if error.retry_delay_s is not None:
        retry = error_details_pb2.RetryInfo(retry_delay=_duration(error.retry_delay_s))
        status.details.add().Pack(retry)
    serialized: bytes = status.SerializeToString()
    return serialized


def check_response(results: Iterable[Checked]) -> pb.CheckResponse:
    """The wire's results of a static check."""
    return pb.CheckResponse(
        results=[
            pb.CheckResult(
                id=result.id,
                status=_STATUSES[result.status],
                diagnostics=[
                    pb.Diagnostic(
                        line=diagnostic.line,
                        severity=_SEVERITIES[diagnostic.severity],
                        code=diagnostic.code,
                        message=diagnostic.message,
                    )
                    for diagnostic in result.diagnostics
                ],
                message=result.message,
            )
            for result in results
        ]
    )


def language_info(ready: Ready) -> pb.LanguageInfo:
    """What GetServerInfo says of a language."""
    limits = ready.default_limits
    return pb.LanguageInfo(
        name=ready.language,
        version=ready.version,
        slots=ready.slots,
        suites=ready.tests,
        hash_seeds=ready.hash_seeds,
        default_limits=pb.Limits(
            cpu_time=_duration(limits.cpu_time_s),
            wall_time=_duration(limits.wall_time_s),
            memory_bytes=limits.memory_bytes,
            processes=limits.processes,
            output_bytes=limits.output_bytes,
            file_bytes=limits.file_bytes,
            open_files=limits.open_files,
        ),
        isolation=[
            pb.IsolationLayer(name=layer.name, in_force=layer.in_force, detail=layer.detail)
            for layer in ready.isolation
        ],
    )


def _limits(asked: pb.Limits, defaults: Limits) -> Limits:
    given: dict[str, Any] = {}
    for name, (least, most) in _TIMES_S.items():
        if asked.HasField(name):  # type: ignore[arg-type]
            seconds = _seconds(getattr(asked, name), f"limits.{name}")
            if seconds == 0:
                continue
            if not least <= seconds <= most:
                raise invalid(f"limits.{name}", f"{seconds:g} s", f"[{least:g} s, {most:g} s]")
            given[f"{name}_s"] = seconds
    for name, (low, high) in _COUNTS.items():
        value = getattr(asked, name)
        if value == 0:
            continue
        if not low <= value <= high:
            raise invalid(f"limits.{name}", value, f"[{low}, {high}]")
        given[name] = value
    if "cpu_time_s" in given and "wall_time_s" not in given:
        most_s = _TIMES_S["wall_time"][1]
        wall_s = max(defaults.wall_time_s, _WALL_PER_CPU * given["cpu_time_s"])
        given["wall_time_s"] = min(wall_s, most_s)
    return replace(defaults, **given)


def _seconds(duration: Duration, field: str) -> float:
    # protobuf checks neither: a Duration on the wire may be anything.
    if duration.seconds < 0 or duration.nanos < 0 or duration.nanos >= _NANOS:
        value = f"{{seconds: {duration.seconds}, nanos: {duration.nanos}}}"
        raise invalid(field, value, f"seconds >= 0 and nanos in [0, {_NANOS - 1}]")
    return duration.seconds + duration.nanos / _NANOS


def _duration(seconds: float) -> Duration:
    whole = int(seconds)
    return Duration(seconds=whole, nanos=min(int((seconds - whole) * _NANOS), _NANOS - 1))


def _check_id(name: str, field: str) -> None:
    if not name:
        raise _missing(field)
    if len(name) > ID_BYTES or (not name.isascii() and len(name.encode()) > ID_BYTES):
        raise invalid(f"bytes of {field}", len(name.encode()), f"[1, {ID_BYTES}]")


def _source_bytes(source: str, field: str) -> int:
    size = len(source) if source.isascii() else len(source.encode())
    if size > _SOURCE_BYTES:
        raise invalid(f"bytes of {field}", size, f"[0, {_SOURCE_BYTES}]")
    return size


def _missing(field: str) -> RequestError:
    return RequestError(StatusCode.INVALID_ARGUMENT, f"{field} is missing")


def _number(code: StatusCode) -> int:
    number, _ = code.value
    return int(number)
