"""The worker's main process: one connection to the gateway, one to each slot's supervisor.

It routes frames as they are and replaces slots that die. Nothing is ever forked
from it once it has read a frame, so it may hold suites and candidates.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Any

from sandbox_server.worker import isolation, messages, protocol
from sandbox_server.worker.errors import RefusedError
from sandbox_server.worker.isolation import Layer
from sandbox_server.worker.language import Language
from sandbox_server.worker.wire import Wire

#: A slot that dies this often in a row without an execution in between is given up.
_MAX_FRUITLESS_STARTS = 5


class _Slot:
    """The line to one slot's supervisor, which answers one request at a time."""

    layers: list[Layer]

    def __init__(self, number: int) -> None:
        self.number = number
        #: The request that it works on, how many answers are still to come, and who wants them:
        #: frames' bodies, None where the slot died.
        self.seq = 0
        self.left = 0
        self._answered: Callable[[bytes | None], None] | None = None
        self._ended = False
        self._wire: Wire

    async def open(self, connection: socket.socket, zygote_ended: asyncio.Event) -> None:
        """Waits until its jail is built.

        Raises:
            RefusedError: it cannot be, or the zygote has ended.
        """
        first: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.left, self._answered = 1, first.set_result
        self._wire = await Wire.open(connection, self._take, self._end)
        # The zygote may have ended with the slot's socket on its way to it, which not every
        # kernel closes then.
        ended = asyncio.create_task(zygote_ended.wait())
        either: list[asyncio.Future[Any]] = [first, ended]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        body = first.result() if first.done() else None
        if body is None:
            raise RefusedError(f"slot {self.number} died while it was built")
        hello = protocol.decode(body)
        if hello["error"] is not None:
            raise RefusedError(hello["error"])
        self.layers = [Layer(**layer) for layer in hello["layers"]]

    def ask(
        self, seq: int, frame: bytes, answers: int, answered: Callable[[bytes | None], None]
    ) -> None:
        """Sends a request; `answered` is called so often, or until the slot has died."""
        self.seq, self.left, self._answered = seq, answers, answered
        if self._ended:  # when it had nothing to do
            asyncio.get_running_loop().call_soon(self._end, None)
        self._wire.send(frame)

    def tell(self, frame: bytes) -> None:
        """Sends what is not answered."""
        self._wire.send(frame)

    def abort(self) -> None:
        """Lets go of it, which ends it."""
        self._wire.abort()

    def _take(self, body: bytes) -> None:
        answered = self._answered
        if answered is None:
            raise protocol.ProtocolError("an answer to nothing")
        self.left -= 1
        if not self.left:
            self._answered = None
        answered(body)

    def _end(self, _: protocol.ProtocolError | None) -> None:
        self._ended = True
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(None)


class Server:
    """Serves `gateway` until it closes the connection."""

    def __init__(
        self, gateway: socket.socket, zygote: socket.socket, language: Language, slots: int
    ) -> None:
        self._socket = gateway
        self._zygote = zygote
        self._language = language
        self._count = slots
        self._slots: set[_Slot] = set()
        self._idle: deque[_Slot] = deque()
        self._busy: dict[int, _Slot] = {}
        #: Number, frame, and how many answers it wants.
        self._waiting: deque[tuple[int, bytes, int]] = deque()
        self._replacing: set[asyncio.Task[None]] = set()
        self._zygote_ended = asyncio.Event()
        self._gateway: Wire

    async def run(self, require_isolation: str) -> None:
        """Brings the slots up, says ready or refused, and serves.

        Raises:
            RefusedError: it may not serve; the gateway has been told.
            ProtocolError: the gateway sent what is not a frame.
        """
        over: asyncio.Future[protocol.ProtocolError | None]
        over = asyncio.get_running_loop().create_future()
        self._gateway = await Wire.open(self._socket, self._take, over.set_result)
        # It never speaks; what can be read there is its end.
        asyncio.get_running_loop().add_reader(self._zygote, self._on_zygote_end)
        try:
            slots = await self._start(require_isolation)
        except (RefusedError, OSError) as e:
            self.close()
            self._send({"op": "refused", "reason": str(e)})
            self._gateway.close()
            await over
            raise RefusedError(str(e)) from e
        self._send(
            {
                "op": "ready",
                "language": self._language.name,
                "version": self._language.version,
                "slots": self._count,
                "tests": self._language.most_tests,
                "default_limits": asdict(self._language.default_limits),
                "isolation": [layer.to_message() for layer in slots[0].layers],
            }
        )
        broken = await over
        self.close()
        if broken is not None:
            raise broken

    def close(self) -> None:
        """Lets go of every slot, which ends it."""
        for task in self._replacing:
            task.cancel()
        for slot in self._slots:
            slot.abort()

    async def _start(self, require_isolation: str) -> list[_Slot]:
        slots = [await self._build_slot(0)]
        isolation.require(require_isolation, slots[0].layers)
        if not isolation.in_force("mount_namespace", slots[0].layers):
            self._count = 1  # more would share their scratch folders
        slots += [await self._build_slot(number) for number in range(1, self._count)]
        for slot in slots:
            await self._self_check(slot)
        self._idle.extend(slots)
        return slots

    def _send(self, message: dict[str, Any]) -> None:
        self._gateway.send(protocol.encode(message))

    def _take(self, body: bytes) -> None:
        message = protocol.decode(body)
        protocol.check_request(message)
        frame, seq = protocol.frame(body), message["seq"]
        if message["op"] == "cancel":
            slot = self._busy.get(seq)
            if slot is not None:
                slot.tell(frame)
            return
        self._waiting.append((seq, frame, len(message.get("tests", ("check",)))))
        self._hand_out()

    def _hand_out(self) -> None:
        while self._idle and self._waiting:
            seq, frame, answers = self._waiting.popleft()
            slot = self._busy[seq] = self._idle.popleft()
            slot.ask(seq, frame, answers, partial(self._answered, slot))

    def _answered(self, slot: _Slot, body: bytes | None) -> None:
        if body is not None:
            self._gateway.send(protocol.frame(body))
            if not slot.left:
                del self._busy[slot.seq]
                self._idle.append(slot)
                self._hand_out()
            return
        del self._busy[slot.seq]
        self._slots.discard(slot)
        for _ in range(slot.left):
            self._send({"op": "failed", "seq": slot.seq, "message": "the slot died"})
        task = asyncio.create_task(self._replace(slot.number))
        self._replacing.add(task)
        task.add_done_callback(self._replacing.discard)

    async def _replace(self, number: int) -> None:
        for attempt in range(_MAX_FRUITLESS_STARTS):
            try:
                slot = await self._build_slot(number)
                await self._self_check(slot)
            except (RefusedError, OSError) as e:
                print(f"slot {number} did not come back: {e}", file=sys.stderr, flush=True)
                await asyncio.sleep(0.1 * 2**attempt)
            else:
                self._idle.append(slot)
                self._hand_out()
                return
        # One slot less would be a worker that lies about its slots: end, and be replaced whole.
        self._gateway.close()

    async def _build_slot(self, number: int) -> _Slot:
        ours, theirs = socket.socketpair()
        with theirs:
            messages.send(self._zygote, {"slot": number}, [theirs.fileno()])
        slot = _Slot(number)
        self._slots.add(slot)
        await slot.open(ours, self._zygote_ended)
        return slot

    def _on_zygote_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._zygote)
        self._zygote_ended.set()

    async def _self_check(self, slot: _Slot) -> None:
        limits = asdict(self._language.default_limits)
        for check in self._language.self_checks:
            message = {"op": "execute", "seq": 0, "solution": check.solution, "tests": [check.test]}
            future: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
            slot.ask(0, protocol.encode({**message, "limits": limits}), 1, future.set_result)
            body = await future
            answer = {} if body is None else protocol.decode(body)
            result = answer.get("result", {})
            if result.get("verdict") != check.verdict:
                said = f"{result['verdict']} ({result['message']})" if result else str(answer)
                given = " ".join(said.split())  # who starts workers shows one line
                slot.abort()
                self._slots.discard(slot)
                raise RefusedError(
                    f"self-check of {self._language.name}: {check.test.strip()!r} gave {given},"
                    f" expected {check.verdict}"
                )
