"""The line to one worker: framed messages over a socket, without a task per execution."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sandbox_server.errors import WorkerFailed, WorkerRefused
from sandbox_server.evidence import (
    Checked,
    Ready,
    Result,
    bounded,
    parse_checked,
    parse_ready,
    parse_result,
)
from sandbox_server.worker import protocol
from sandbox_server.worker.protocol import ProtocolError
from sandbox_server.worker.wire import Wire

#: A worker compiles its self-check before it is ready; slow toolchains take their time.
READY_TIMEOUT_S = 120.0

#: How much longer than its wall limit an execution may go unanswered (compiling
#: does not count against that limit) before its worker is taken for hung.
_HUNG_AFTER_S = 600.0
_WATCH_EVERY_S = 10.0

_REASON_BYTES = 2 << 10


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker is well, but could not carry out this request."""

    message: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker is gone, and with it what it was doing."""

    message: str


Answer = Result | tuple[Checked, ...] | Failed | Lost


@dataclass(slots=True)
class _Pending:
    """A request with answers to come. answers: how many in all; place: of the next one."""

    request: dict[str, Any]
    answered: Callable[[int, Answer], None]
    answers: int
    patience_s: float
    hung_at: float
    place: int = 0


class WorkerLink:
    """One worker, from its first message to its end.

    Requests are answered through call-backs, in any order, and each test of one exactly once,
    in the order of its tests; when the worker is lost everything unanswered is answered with
    `Lost`.
    """

    #: Set by `open`.
    ready: Ready

    def __init__(self, release: Callable[[], Awaitable[None]]) -> None:
        loop = asyncio.get_running_loop()
        #: Resolves with the reason when the worker is gone.
        self.lost: asyncio.Future[str] = loop.create_future()
        self._loop = loop
        self._release = release
        self._first: asyncio.Future[dict[str, Any]] = loop.create_future()
        #: None until it is open.
        self._wire: Wire | None = None
        self._pending: dict[int, _Pending] = {}
        self._next_seq = 1
        self._watch = loop.call_later(_WATCH_EVERY_S, self._look_for_hung)

    @classmethod
    async def open(
        cls, connection: socket.socket, release: Callable[[], Awaitable[None]]
    ) -> WorkerLink:
        """Waits for the worker behind `connection` to report for service.

        release: ends whatever the worker runs in; awaited once, by `close` or
            here when opening fails.

        Raises:
            WorkerRefused: it says that it may not serve.
            WorkerFailed: it ended, broke the protocol, or took longer than READY_TIMEOUT_S.
        """
        connection.setblocking(False)
        link = cls(release)
        link._wire = await Wire.open(connection, link._take, link._ended)
        try:
            link.ready = await link._wait_ready()
        except BaseException:
            await link.close()
            raise
        return link

    async def _wait_ready(self) -> Ready:
        try:
            async with asyncio.timeout(READY_TIMEOUT_S):
                first = await self._first
        except TimeoutError:
            raise WorkerFailed(f"worker was not ready within {READY_TIMEOUT_S:.0f} s") from None
        if first.get("op") == "refused":
            raise WorkerRefused(bounded(str(first.get("reason")), _REASON_BYTES))
        try:
            return parse_ready(first)
        except ProtocolError as e:
            raise WorkerFailed(f"worker broke the protocol: {e}") from e

    @property
    def has_room(self) -> bool:
        """Whether the worker is there and has a slot free. Cancelled requests hold theirs
        until they are answered."""
        return not self.lost.done() and len(self._pending) < self.ready.slots

    def send(self, request: dict[str, Any], answered: Callable[[int, Answer], None]) -> int:
        """Sends an `execute` or `check` request and returns the number it goes by.

        answered: called for each test with its place, or once where there are none.

        Raises:
            ProtocolError: it is too large for a frame.
        """
        seq = self._next_seq
        frame = protocol.encode(request | {"seq": seq})
        self._next_seq += 1
        wall_s = request["limits"]["wall_time_s"] if "limits" in request else 0.0
        patience_s = 2 * wall_s + _HUNG_AFTER_S
        answers = len(request.get("tests", ("check",)))
        hung_at = self._loop.time() + patience_s
        self._pending[seq] = _Pending(request, answered, answers, patience_s, hung_at)
        self._send(frame)
        return seq

    def cancel(self, seq: int, place: int) -> None:
        """Tells the worker to stop a test of `seq`. The slot is free when all are answered."""
        if seq in self._pending:
            self._send(protocol.encode({"op": "cancel", "seq": seq, "test": place}))

    async def close(self) -> None:
        """Ends the worker; returns once nothing of it is left. Idempotent."""
        self._give_up("worker was stopped")
        release, self._release = self._release, _nothing
        await release()

    def _take(self, body: bytes) -> None:
        message = protocol.decode(body)
        if not self._first.done():
            self._first.set_result(message)
            return
        seq = message.get("seq")
        pending = self._pending.get(seq) if isinstance(seq, int) else None
        if pending is None or not isinstance(seq, int):
            raise ProtocolError(f"answer to request {seq!r:.40}, which is not open")
        answer = _parse_answer(message, pending.request)
        place = pending.place
        pending.place += 1
        pending.hung_at = self._loop.time() + pending.patience_s
        if pending.place == pending.answers:
            del self._pending[seq]
        pending.answered(place, answer)

    def _send(self, frame: bytes) -> None:
        assert self._wire is not None
        self._wire.send(frame)

    def _ended(self, error: Exception | None) -> None:
        if isinstance(error, ProtocolError):
            self._give_up(f"worker broke the protocol: {error}")
        else:
            self._give_up("worker ended" if error is None else f"worker ended: {error}")

    def _look_for_hung(self) -> None:
        now = self._loop.time()
        if any(pending.hung_at < now for pending in self._pending.values()):
            self._give_up("worker hung: it left an execution unanswered long past its wall limit")
        else:
            self._watch = self._loop.call_later(_WATCH_EVERY_S, self._look_for_hung)

    def _give_up(self, reason: str) -> None:
        if self.lost.done():
            return
        self.lost.set_result(reason)
        self._watch.cancel()
        if self._wire is not None:
            self._wire.abort()
        if not self._first.done():
            self._first.set_exception(WorkerFailed(reason))
            # Nobody need be waiting: without this asyncio would complain about it.
            self._first.exception()
        pending, self._pending = self._pending, {}
        for request in pending.values():
            for place in range(request.place, request.answers):
                request.answered(place, Lost(reason))


def _parse_answer(message: dict[str, Any], request: dict[str, Any]) -> Answer:
    match message.get("op"), request["op"]:
        case "result", "execute":
            return parse_result(message.get("result"))
        case "checked", "check":
            ids = [candidate["id"] for candidate in request["candidates"]]
            return parse_checked(message.get("results"), ids)
        case "failed", _:
            return Failed(bounded(str(message.get("message")), _REASON_BYTES))
        case op, asked:
            raise ProtocolError(f"op {op!r:.40} does not answer {asked!r}")


async def _nothing() -> None:
    return None
