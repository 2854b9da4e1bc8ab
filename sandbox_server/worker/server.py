"""The worker's main process: one connection to the gateway, one to each slot's supervisor.

It routes frames as they are and replaces slots that die. Nothing is ever forked
from it once it has read a frame, so it may hold suites and candidates.

Executions with another hash seed than the usual one have slots of their own, which are made
when they are asked for and let go when nobody has for a while. However many slots there are,
no more executions go on at one time than the worker has told of.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from sandbox_server.worker import isolation, protocol
from sandbox_server.worker.errors import RefusedError
from sandbox_server.worker.isolation import Layer
from sandbox_server.worker.language import Language
from sandbox_server.worker.wire import Wire
from sandbox_server.worker.zygotes import Zygotes

#: A slot that dies this often in a row without an execution in between is given up.
_MAX_FRUITLESS_STARTS = 5
#: How often hash seeds are looked for that nobody has asked for since the last look.
_LOOK_EVERY_S = 60.0


class _Slot:
    """The line to one slot's supervisor, which answers one request at a time."""

    layers: list[Layer]

    def __init__(self, number: int, hash_seed: int) -> None:
        self.number = number
        self.hash_seed = hash_seed
        #: The request that it works on, how many answers are still to come, and who wants them:
        #: frames' bodies, None where the slot died.
        self.seq = 0
        self.left = 0
        self._answered: Callable[[bytes | None], None] | None = None
        self._ended = False
        self._wire: Wire | None = None

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

    def in_force(self) -> set[str]:
        """Names of the layers that isolate it."""
        return {layer.name for layer in self.layers if layer.in_force}

    def ask(
        self, seq: int, frame: bytes, answers: int, answered: Callable[[bytes | None], None]
    ) -> None:
        """Sends a request; `answered` is called so often, or until the slot has died."""
        self.seq, self.left, self._answered = seq, answers, answered
        if self._ended:  # when it had nothing to do
            asyncio.get_running_loop().call_soon(self._end, None)
        self.tell(frame)

    def tell(self, frame: bytes) -> None:
        """Sends what is not answered. To a slot that is open."""
        assert self._wire is not None
        self._wire.send(frame)

    def abort(self) -> None:
        """Lets go of it, which ends it."""
        if self._wire is not None:
            self._wire.abort()

    def _take(self, body: bytes) -> None:
        answered = self._answered
        if answered is None:
            raise protocol.ProtocolError("an answer to nothing")
        self.left -= 1
        if not self.left:
            self._answered = None
        answered(body)

    def _end(self, _: Exception | None) -> None:
        self._ended = True
        answered, self._answered = self._answered, None
        if answered is not None:
            answered(None)


@dataclass(frozen=True)
class _Request:
    """One of the gateway's. answers: how many it wants."""

    seq: int
    frame: bytes
    answers: int
    hash_seed: int


class Server:
    """Serves `gateway` until it closes the connection."""

    def __init__(
        self, gateway: socket.socket, zygote: socket.socket, language: Language, slots: int
    ) -> None:
        self._socket = gateway
        self._zygote = zygote
        self._language = language
        self._count = slots
        self._hash_seeds = language.hash_seeds
        self._in_force: set[str] = set()
        self._slots: set[_Slot] = set()
        self._idle: defaultdict[int, deque[_Slot]] = defaultdict(deque)  # by hash seed
        self._busy: dict[int, _Slot] = {}
        self._waiting: deque[_Request] = deque()
        #: Requests whose slot is being made, by number, and what was said of each meanwhile.
        self._prepared_for: dict[int, list[bytes]] = {}
        self._making: set[asyncio.Task[None]] = set()
        self._unused_seeds: set[int] = set()
        self._zygotes: Zygotes
        self._gateway: Wire

    async def run(self, require_isolation: str) -> None:
        """Brings the slots up, says ready or refused, and serves.

        Raises:
            RefusedError: it may not serve; the gateway has been told.
            ProtocolError: the gateway sent what is not a frame.
        """
        over: asyncio.Future[Exception | None]
        over = asyncio.get_running_loop().create_future()
        self._gateway = await Wire.open(self._socket, self._take, over.set_result)
        self._zygotes = Zygotes(self._zygote)
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
                **({"hash_seeds": self._hash_seeds} if self._hash_seeds > 1 else {}),
                "default_limits": asdict(self._language.default_limits),
                "isolation": [layer.to_message() for layer in slots[0].layers],
            }
        )
        self._look_for_unused_seeds()
        broken = await over
        self.close()
        if isinstance(broken, protocol.ProtocolError):
            raise broken

    def close(self) -> None:
        """Lets go of every slot, which ends it."""
        for task in self._making:
            task.cancel()
        for slot in self._slots:
            slot.abort()
        self._zygotes.close(self._zygotes.seeds())

    async def _start(self, require_isolation: str) -> list[_Slot]:
        slots = [await self._build_slot(_Slot(0, 0))]
        isolation.require(require_isolation, slots[0].layers)
        self._in_force = slots[0].in_force()
        if not isolation.in_force("mount_namespace", slots[0].layers):
            self._count = self._hash_seeds = 1  # more would share their scratch folders
        slots += [await self._build_slot(_Slot(number, 0)) for number in range(1, self._count)]
        for slot in slots:
            await self._self_check(slot)
        self._idle[0].extend(slots)
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
            elif seq in self._prepared_for:
                self._prepared_for[seq].append(frame)
            return
        answers, hash_seed = len(message.get("tests", ("check",))), message.get("hash_seed", 0)
        if hash_seed >= self._hash_seeds:
            self._fail(
                seq, answers, f"hash_seed={hash_seed} is outside [0, {self._hash_seeds - 1}]"
            )
            return
        self._waiting.append(_Request(seq, frame, answers, hash_seed))
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and len(self._busy) + len(self._prepared_for) < self._count:
            request = self._waiting[0]
            idle = self._idle[request.hash_seed]
            if not idle and not request.hash_seed:
                return  # one that is being replaced
            self._waiting.popleft()
            self._unused_seeds.discard(request.hash_seed)
            if idle:
                self._ask(idle.popleft(), request)
            else:
                self._prepared_for[request.seq] = []
                self._begin(self._prepare(request))

    def _ask(self, slot: _Slot, request: _Request) -> None:
        self._busy[request.seq] = slot
        answered = partial(self._answered, slot)
        slot.ask(request.seq, request.frame, request.answers, answered)

    def _answered(self, slot: _Slot, body: bytes | None) -> None:
        if body is not None:
            self._gateway.send(protocol.frame(body))
            if not slot.left:
                del self._busy[slot.seq]
                self._idle[slot.hash_seed].append(slot)
                self._hand_out()
            return
        del self._busy[slot.seq]
        self._slots.discard(slot)
        self._fail(slot.seq, slot.left, "the slot died")
        if not slot.hash_seed:  # of another seed, the next request makes one
            self._begin(self._replace(slot.number))
        self._hand_out()

    def _fail(self, seq: int, answers: int, message: str) -> None:
        for _ in range(answers):
            self._send({"op": "failed", "seq": seq, "message": message})

    def _begin(self, making: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(making)
        self._making.add(task)
        task.add_done_callback(self._making.discard)

    async def _prepare(self, request: _Request) -> None:
        """Makes a slot of another hash seed for a request, and hands it over."""
        taken = {slot.number for slot in self._slots if slot.hash_seed == request.hash_seed}
        number = min(set(range(self._count)) - taken)
        try:
            slot = await self._build_slot(_Slot(number, request.hash_seed))
            self._require_as_usual(slot)
            await self._self_check(slot)
        except (RefusedError, OSError) as e:
            del self._prepared_for[request.seq]
            self._fail(request.seq, request.answers, str(e))
            self._hand_out()
            return
        said = self._prepared_for.pop(request.seq)
        self._ask(slot, request)
        for frame in said:
            slot.tell(frame)

    async def _replace(self, number: int) -> None:
        for attempt in range(_MAX_FRUITLESS_STARTS):
            try:
                slot = await self._build_slot(_Slot(number, 0))
                await self._self_check(slot)
            except (RefusedError, OSError) as e:
                print(f"slot {number} did not come back: {e}", file=sys.stderr, flush=True)
                await asyncio.sleep(0.1 * 2**attempt)
            else:
                self._idle[0].append(slot)
                self._hand_out()
                return
        # One slot less would be a worker that lies about its slots: end, and be replaced whole.
        self._gateway.close()

    async def _build_slot(self, slot: _Slot) -> _Slot:
        connection, zygote_ended = self._zygotes.ask(slot.number, slot.hash_seed)
        self._slots.add(slot)
        try:
            await slot.open(connection, zygote_ended)
        except BaseException:
            self._slots.discard(slot)
            slot.abort()
            raise
        return slot

    def _require_as_usual(self, slot: _Slot) -> None:
        """Refuses a slot of another zygote that is less isolated than the gateway was told."""
        lacking = self._in_force - slot.in_force()
        if lacking:
            slot.abort()
            self._slots.discard(slot)
            raise RefusedError(f"hash seed {slot.hash_seed}: not in force: {sorted(lacking)}")

    def _look_for_unused_seeds(self) -> None:
        """Gives up the seeds that nobody has asked for since the last look."""
        for seed in self._unused_seeds:
            for slot in self._idle.pop(seed, ()):
                self._slots.discard(slot)
                slot.abort()
        self._zygotes.close(self._unused_seeds.intersection(self._zygotes.seeds()))
        idle = {slot for slots in self._idle.values() for slot in slots}
        at_work = {slot.hash_seed for slot in self._slots - idle}
        self._unused_seeds = {*self._idle, *self._zygotes.seeds()} - at_work - {0}
        asyncio.get_running_loop().call_later(_LOOK_EVERY_S, self._look_for_unused_seeds)

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
