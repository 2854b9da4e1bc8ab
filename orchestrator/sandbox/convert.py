"""Between the wire and `orchestrator.domain`: the only module that sees the stubs' messages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo  # type: ignore[import-untyped]
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]
from plum.sandbox.v1 import sandbox_pb2 as pb
from plum.sandbox.v1 import sandbox_pb2_grpc

from orchestrator.domain import (
    AssertionFailure,
    Assertions,
    CheckResult,
    CheckStatus,
    Diagnostic,
    Execution,
    ExecutionResult,
    Limits,
    Phase,
    Proof,
    Severity,
    Usage,
    Verdict,
)
from orchestrator.sandbox.bounds import ID_BYTES, hash_seed_from, source_problem
from orchestrator.sandbox.info import IsolationLayer, LanguageInfo, ServerInfo

StreamRequest = pb.ExecuteStreamRequest
StreamResponse = pb.ExecuteStreamResponse
WireOutcome = pb.ExecutionOutcome
Stub = sandbox_pb2_grpc.SandboxServiceStub

_NANOS = 10**9
_NO_LIMITS = Limits()
_VERDICTS: dict[int, Verdict] = {
    pb.Verdict.Value(f"VERDICT_{verdict}"): verdict for verdict in Verdict
}
_PHASES: dict[int, Phase] = {pb.Phase.Value(f"PHASE_{phase}"): phase for phase in Phase}
_PROOFS: dict[int, Proof | None] = {pb.PROOF_UNSPECIFIED: None}
_PROOFS |= {pb.Proof.Value(f"PROOF_{proof.name}"): proof for proof in Proof}
_STATUSES: dict[int, CheckStatus] = {
    pb.CheckStatus.Value(f"CHECK_STATUS_{status}"): status for status in CheckStatus
}
_SEVERITIES: dict[int, Severity] = {
    pb.Severity.Value(f"SEVERITY_{severity}"): severity for severity in Severity
}
_CODES = {code.value[0]: code for code in grpc.StatusCode}

T = TypeVar("T")


def check_execution(execution: Execution) -> None:
    """Checks that `execution` can be sent.

    Raises:
        ValueError: a text or a number cannot be sent; the message names the field.
    """
    for field in ("language", "solution", "test"):
        problem = source_problem(field, getattr(execution, field))
        if problem is not None:
            raise ValueError(problem)
    if not execution.language or len(execution.language.encode()) > ID_BYTES:
        raise ValueError(f"language={execution.language!r:.80} is outside [1, {ID_BYTES}] bytes")
    hash_seed_from(execution.hash_seed)
    if execution.limits != _NO_LIMITS:
        _limits(execution.limits)


def stream_request(executions: Iterable[tuple[str, Execution]]) -> StreamRequest:
    """The message that asks for checked executions under the names that stand before them."""
    request = pb.ExecuteStreamRequest()
    for wire_id, execution in executions:
        message = request.executions.add(
            id=wire_id,
            language=execution.language,
            solution=execution.solution,
            test=execution.test,
            hash_seed=execution.hash_seed,
        )
        if execution.limits != _NO_LIMITS:
            message.limits.CopyFrom(_limits(execution.limits))
    return request


def execution_result(name: str, wire: pb.ExecutionResult) -> ExecutionResult:
    """The result of the execution that its caller calls `name`.

    Raises:
        ValueError: the server sent a value that this version does not know.
    """
    counted = wire.assertions
    failure = counted.first_failure
    return ExecutionResult(
        id=name,
        verdict=_known(_VERDICTS, wire.verdict, "verdict"),
        phase=_known(_PHASES, wire.phase, "phase"),
        message=wire.message,
        assertions=Assertions(
            passed=counted.passed,
            failed=counted.failed,
            first_failure=AssertionFailure(
                failure.line, failure.expression, failure.left, failure.right
            )
            if counted.HasField("first_failure")
            else None,
        ),
        proof=_known(_PROOFS, wire.proof, "proof"),
        usage=Usage(
            cpu_time_s=_seconds(wire.usage.cpu_time),
            wall_time_s=_seconds(wire.usage.wall_time),
            memory_bytes=wire.usage.memory_bytes,
        ),
        stdout=wire.stdout,
        stderr=wire.stderr,
        stdout_bytes=wire.stdout_bytes,
        stderr_bytes=wire.stderr_bytes,
    )


def error_of(wire: pb.ExecutionError) -> tuple[grpc.StatusCode, str, float]:
    """Code, message and retry delay in seconds (0 where there is none) of an item's error."""
    code = _CODES.get(wire.code, grpc.StatusCode.UNKNOWN)
    return code, wire.message, _seconds(wire.retry_delay)


def retry_delay_s(metadata: Sequence[tuple[str, str | bytes]]) -> float:
    """Seconds that the trailing metadata of a failed call asks us to wait; 0 if it does not."""
    retry = RetryInfo()
    for key, value in metadata:
        if key == "grpc-status-details-bin" and isinstance(value, bytes):
            try:
                for detail in Status.FromString(value).details:
                    if detail.Unpack(retry):
                        return _seconds(retry.retry_delay)
            except DecodeError:
                return 0.0  # a hint that cannot be read is no reason to fail
    return 0.0


def check_request(language: str, candidates: Sequence[tuple[str, str]]) -> pb.CheckRequest:
    """Asks for the static check of (id, source) pairs."""
    return pb.CheckRequest(
        language=language,
        candidates=[pb.CheckCandidate(id=name, solution=source) for name, source in candidates],
    )


def check_results(wire: pb.CheckResponse, names: Sequence[str]) -> list[CheckResult]:
    """The results of candidates that their caller calls `names`, in the order of the request.

    Raises:
        ValueError: the server sent a value that this version does not know, or too few results.
    """
    return [_check_result(name, item) for name, item in zip(names, wire.results, strict=True)]


def info_request() -> pb.GetServerInfoRequest:
    """Asks a server about itself."""
    return pb.GetServerInfoRequest()


def server_info(wire: pb.GetServerInfoResponse) -> ServerInfo:
    """What a server says of itself."""
    return ServerInfo(
        version=wire.version,
        languages=tuple(_language(language) for language in wire.languages),
        queue_capacity=wire.queue_capacity,
        launcher=wire.launcher,
    )


def _check_result(name: str, wire: pb.CheckResult) -> CheckResult:
    return CheckResult(
        id=name,
        status=_known(_STATUSES, wire.status, "status"),
        diagnostics=tuple(
            Diagnostic(
                line=item.line,
                severity=_known(_SEVERITIES, item.severity, "severity"),
                code=item.code,
                message=item.message,
            )
            for item in wire.diagnostics
        ),
        message=wire.message,
    )


def _language(wire: pb.LanguageInfo) -> LanguageInfo:
    limits = wire.default_limits
    return LanguageInfo(
        name=wire.name,
        version=wire.version,
        slots=wire.slots,
        suites=max(1, wire.suites),
        hash_seeds=max(1, wire.hash_seeds),
        default_limits=Limits(
            cpu_time_s=_seconds(limits.cpu_time),
            wall_time_s=_seconds(limits.wall_time),
            memory_bytes=limits.memory_bytes,
            processes=limits.processes,
            output_bytes=limits.output_bytes,
            file_bytes=limits.file_bytes,
            open_files=limits.open_files,
        ),
        isolation=tuple(
            IsolationLayer(layer.name, layer.in_force, layer.detail) for layer in wire.isolation
        ),
    )


def _limits(limits: Limits) -> pb.Limits:
    return pb.Limits(
        cpu_time=_duration(limits.cpu_time_s),
        wall_time=_duration(limits.wall_time_s),
        memory_bytes=limits.memory_bytes or 0,
        processes=limits.processes or 0,
        output_bytes=limits.output_bytes or 0,
        file_bytes=limits.file_bytes or 0,
        open_files=limits.open_files or 0,
    )


def _duration(seconds: float | None) -> Duration | None:
    if seconds is None:
        return None
    whole, nanos = divmod(round(seconds * _NANOS), _NANOS)
    return Duration(seconds=whole, nanos=nanos)


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / _NANOS


def _known(names: dict[int, T], value: int, field: str) -> T:
    if value not in names:
        raise ValueError(f"the server sent {field} {value}, which this version does not know")
    return names[value]
