"""The client of the sandbox: any number of servers, behind one synchronous interface."""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TypeVar

import grpc
from grpc import StatusCode

from orchestrator.domain import CheckResult, CheckStatus, Execution
from orchestrator.errors import InputError, SandboxError
from orchestrator.sandbox import convert
from orchestrator.sandbox.access import Tls, read_certificates, read_key
from orchestrator.sandbox.addresses import address_problem, is_single, servers_behind
from orchestrator.sandbox.batch import Batch, Lane, Outcome
from orchestrator.sandbox.bounds import source_problem
from orchestrator.sandbox.info import ServerInfo
from orchestrator.sandbox.stream import Metadata, status_of

_MESSAGE_BYTES = 64 << 20
_OPTIONS: list[tuple[str, str | int]] = [
    ("grpc.max_receive_message_length", _MESSAGE_BYTES),
    ("grpc.max_send_message_length", _MESSAGE_BYTES),
    # A name that stands for many servers (a headless Service) spreads the calls over them.
    ("grpc.service_config", json.dumps({"loadBalancingConfig": [{"round_robin": {}}]})),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 2000),
    ("grpc.max_reconnect_backoff_ms", 5000),
    # A server that vanished without a word is noticed within half a minute.
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
]

#: Streams to an address that may stand for several servers: at least so many, and so many for
#: each server, as a stream goes to one and which one is not ours to say.
_STREAMS = 4
_STREAMS_PER_SERVER = 2
_IN_FLIGHT_PER_SLOT = 8
_LEAST_IN_FLIGHT = 32

_INFO_TIMEOUT_S = 10.0
#: Checks of a full batch take seconds; one that waits in a busy server's queue, minutes.
_CHECK_TIMEOUT_S = 300.0
_CHECKED_TOGETHER = 200
_CHECKED_BYTES = 8 << 20
_CHECKS_AT_ONCE = 2
_BACK_OFF_S = (0.1, 5.0)
_RETRIED = frozenset({StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED, StatusCode.ABORTED})

T = TypeVar("T")
Asked = TypeVar("Asked")


class SandboxClient:
    """Executes and checks candidates. A context manager; usable from one thread at a time.

    addresses: `host:port`, `dns:///name:port` (every server behind the name is used) or
        `unix:/path`. Work is spread over all of them.
    token: sent as bearer token.
    retry_s: how long an execution that found no server, no room or a lost worker is tried
        again before it is given up with an error.

    Raises:
        InputError: an address is none, or a file of TLS is no good.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        *,
        token: str | None = None,
        tls: Tls | None = None,
        retry_s: float = 60.0,
    ) -> None:
        if not addresses:
            raise InputError("no address of a sandbox is given")
        self._addresses = list(addresses)
        self._retry_s = retry_s
        self._channels = [_channel(address, tls) for address in addresses]
        self._stubs = [convert.Stub(channel) for channel in self._channels]
        self._metadata: Metadata = (("plum-client-id", uuid.uuid4().hex),)
        if token is not None:
            self._metadata += (("authorization", f"Bearer {token}"),)

    def __enter__(self) -> SandboxClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections. What is in flight is given up."""
        for channel in self._channels:
            channel.close()

    def info(self, wait_s: float = _INFO_TIMEOUT_S) -> ServerInfo:
        """What the first server that answers says of itself.

        wait_s: how long to wait for one.

        Raises:
            SandboxError: none answers, or one refuses us.
        """
        request = convert.info_request()
        return convert.server_info(
            self._call(lambda stub: stub.GetServerInfo, request, wait_s, timeout_s=_INFO_TIMEOUT_S)
        )

    def execute_many(
        self, executions: Iterable[Execution | None], in_flight: int | None = None
    ) -> Iterator[Outcome]:
        """Runs `executions` and yields what comes of each, in any order, each exactly once.

        An input may depend on the outcomes: where it has nothing to run before it has seen
        another, it gives None, and is asked again then.

        The input is pulled in the caller's thread, at most `in_flight` ahead of the outcomes
        (None: eight for each slot of a server, more where candidates are compiled for several
        suites at once), so it may be endless. Identifiers need not
        be unique. What cannot be executed is an ExecutionError, never an exception.

        Raises:
            SandboxError: a server refuses us altogether, or none answers at the very start.
        """
        servers = [servers_behind(address) for address in self._addresses]
        if in_flight is None:
            in_flight = max(_LEAST_IN_FLIGHT, self._wanted_in_flight() * sum(servers))
        lanes = [
            Lane(stub, address, replicated=not is_single(address))
            for stub, address, count in zip(self._stubs, self._addresses, servers, strict=True)
            for _ in range(
                1
                if is_single(address)
                else min(max(_STREAMS, _STREAMS_PER_SERVER * count), in_flight)
            )
        ]
        return Batch(lanes, self._metadata, in_flight, self._retry_s).outcomes(executions)

    def _wanted_in_flight(self) -> int:
        """How many executions keep a server busy."""
        return sum(
            language.slots * max(_IN_FLIGHT_PER_SLOT, 2 * language.suites)
            for language in self.info(min(self._retry_s, _INFO_TIMEOUT_S)).languages
        )

    def check(self, language: str, candidates: Iterable[tuple[str, str]]) -> list[CheckResult]:
        """Checks (id, source) pairs statically; one result each, in their order.

        Raises:
            SandboxError: no server could do it in time, or the language is not served.
        """
        everything = list(candidates)
        sendable = [
            (str(index), source)
            for index, (_, source) in enumerate(everything)
            if source_problem("solution", source) is None
        ]
        results: dict[int, CheckResult] = {}
        with ThreadPoolExecutor(_CHECKS_AT_ONCE) as pool:
            for batch in pool.map(lambda some: self._check(language, some), _batches(sendable)):
                results |= {int(result.id): result for result in batch}
        return [
            _renamed(results.get(index), name, source)
            for index, (name, source) in enumerate(everything)
        ]

    def _check(self, language: str, batch: list[tuple[str, str]]) -> list[CheckResult]:
        request = convert.check_request(language, batch)
        response = self._call(lambda stub: stub.Check, request, self._retry_s, _CHECK_TIMEOUT_S)
        try:
            return convert.check_results(response, [name for name, _ in batch])
        except ValueError as e:
            raise SandboxError(f"sandbox {self._where()}: {e}") from e

    def _call(
        self,
        method: Callable[[convert.Stub], grpc.UnaryUnaryMultiCallable[Asked, T]],
        request: Asked,
        retry_s: float,
        timeout_s: float | None,
    ) -> T:
        """Calls one server after the other until one answers.

        timeout_s: how long a server may take. One that is mute for so long is passed over.
        """
        give_up_at = time.monotonic() + retry_s
        delay_s = _BACK_OFF_S[0]
        tries = 0
        while True:
            stub = self._stubs[tries % len(self._stubs)]
            tries += 1
            try:
                return method(stub)(request, timeout=timeout_s, metadata=self._metadata)
            except grpc.RpcError as e:
                code, details = status_of(e)
                if code is StatusCode.DEADLINE_EXCEEDED and tries < max(2, len(self._stubs)):
                    continue
                wait_s = max(delay_s * random.uniform(0.5, 1.5), _asked_s(e))
                if code not in _RETRIED or time.monotonic() + wait_s > give_up_at:
                    raise SandboxError(f"sandbox {self._where()}: {code.name}: {details}") from e
            time.sleep(wait_s)
            delay_s = min(_BACK_OFF_S[1], 2 * delay_s)

    def _where(self) -> str:
        return ", ".join(self._addresses)


def _channel(address: str, tls: Tls | None) -> grpc.Channel:
    wrong = address_problem(address)
    if wrong is not None:
        raise InputError(f"sandbox {address!r} {wrong}")
    if tls is None or address.startswith("unix:"):
        return grpc.insecure_channel(address, options=_OPTIONS)
    authority, key, certificate = read_certificates(tls.ca), None, None
    if tls.certificate is not None and tls.key is not None:
        certificate = read_certificates(tls.certificate)
        key = read_key(tls.key, tls.certificate)
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    return grpc.secure_channel(address, credentials, options=_OPTIONS)


def _asked_s(error: grpc.RpcError) -> float:
    """How long the server that refused a call wants to be left alone."""
    # Every error of a call is also a grpc.Call, which the type of the exception does not say.
    if not hasattr(error, "trailing_metadata"):
        return 0.0
    return convert.retry_delay_s([(m.key, m.value) for m in error.trailing_metadata() or ()])


def _batches(candidates: list[tuple[str, str]]) -> Iterator[list[tuple[str, str]]]:
    batch: list[tuple[str, str]] = []
    characters = 0
    for name, source in candidates:
        if batch and (len(batch) == _CHECKED_TOGETHER or characters + len(source) > _CHECKED_BYTES):
            yield batch
            batch, characters = [], 0
        batch.append((name, source))
        characters += len(source)
    if batch:
        yield batch


def _renamed(result: CheckResult | None, name: str, source: str) -> CheckResult:
    if result is None:
        problem = source_problem("solution", source)
        return CheckResult(name, CheckStatus.NOT_CHECKED, (), problem or "not sent")
    return CheckResult(name, result.status, result.diagnostics, result.message)
