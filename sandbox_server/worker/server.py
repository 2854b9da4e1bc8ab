"""The worker's main process: one connection to the gateway, one to each slot's supervisor.

It routes frames and replaces slots that die. Nothing is ever forked from it
once it has read a frame, so it may hold suites and candidates.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
from collections.abc import Coroutine
from dataclasses import asdict, dataclass
from typing import Any

from sandbox_server.worker import isolation, messages, protocol
from sandbox_server.worker.errors import RefusedError
from sandbox_server.worker.isolation import Layer
from sandbox_server.worker.language import Language

#: A slot that dies this often in a row without an execution in between is given up.
_MAX_FRUITLESS_STARTS = 5


@dataclass
class _Slot:
    number: int
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    layers: list[Layer]


class Server:
    """Serves `gateway` until it closes the connection."""

    def __init__(
        self, gateway: socket.socket, zygote: socket.socket, language: Language, slots: int
    ) -> None:
        self._gateway = gateway
        self._zygote = zygote
        self._language = language
        self._count = slots
        self._idle: asyncio.Queue[_Slot] = asyncio.Queue()
        self._busy: dict[int, _Slot] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._lines: list[asyncio.StreamWriter] = []
        self._zygote_ended = asyncio.Event()

    async def run(self, require_isolation: str) -> None:
        """Brings the slots up, says ready or refused, and serves.

        Raises:
            RefusedError: it may not serve; the gateway has been told.
            ProtocolError: the gateway sent what is not a frame.
        """
        reader, self._writer = await asyncio.open_connection(sock=self._gateway)
        # It never speaks; what can be read there is its end.
        asyncio.get_running_loop().add_reader(self._zygote, self._on_zygote_end)
        try:
            slots = [await self._start_slot(0)]
            isolation.require(require_isolation, slots[0].layers)
            if not isolation.in_force("mount_namespace", slots[0].layers):
                self._count = 1  # more would share their scratch folders
            slots += [await self._start_slot(number) for number in range(1, self._count)]
            for slot in slots:
                await self._self_check(slot)
                self._idle.put_nowait(slot)
        except (RefusedError, OSError) as e:
            self.close()
            await self._send({"op": "refused", "reason": str(e)})
            raise RefusedError(str(e)) from e
        await self._send(
            {
                "op": "ready",
                "language": self._language.name,
                "version": self._language.version,
                "slots": self._count,
                "default_limits": asdict(self._language.default_limits),
                "isolation": [layer.to_message() for layer in slots[0].layers],
            }
        )
        while (message := await _read(reader)) is not None:
            await self._take(message)
        self.close()

    def close(self) -> None:
        """Lets go of every slot, which ends it."""
        for line in self._lines:
            line.transport.abort()

    async def _send(self, message: dict[str, Any]) -> None:
        self._writer.write(protocol.encode(message))
        await self._writer.drain()

    async def _take(self, message: dict[str, Any]) -> None:
        protocol.check_request(message)
        if message["op"] == "cancel":
            slot = self._busy.get(message["seq"])
            if slot is not None:
                slot.writer.write(protocol.encode(message))
            return
        task = asyncio.create_task(self._run(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, message: dict[str, Any]) -> None:
        slot = await self._idle.get()
        seq = message["seq"]
        self._busy[seq] = slot
        answer = await self._ask(slot, message)
        del self._busy[seq]
        if answer is None:
            self._lines.remove(slot.writer)
            slot.writer.close()
            await self._send({"op": "failed", "seq": seq, "message": "the slot died"})
            await self._replace(slot.number)
            return
        self._idle.put_nowait(slot)
        await self._send(answer)

    async def _ask(self, slot: _Slot, message: dict[str, Any]) -> dict[str, Any] | None:
        """The slot's answer, or None where it died."""
        try:
            slot.writer.write(protocol.encode(message))
            await slot.writer.drain()
            return await _read(slot.reader)
        except (OSError, protocol.ProtocolError):
            return None

    async def _replace(self, number: int) -> None:
        for attempt in range(_MAX_FRUITLESS_STARTS):
            try:
                slot = await self._start_slot(number)
                await self._self_check(slot)
            except (RefusedError, OSError) as e:
                print(f"slot {number} did not come back: {e}", file=sys.stderr, flush=True)
                await asyncio.sleep(0.1 * 2**attempt)
            else:
                self._idle.put_nowait(slot)
                return
        # One slot less would be a worker that lies about its slots: end, and be replaced whole.
        self._writer.close()

    async def _start_slot(self, number: int) -> _Slot:
        ours, theirs = socket.socketpair()
        with theirs:
            messages.send(self._zygote, {"slot": number}, [theirs.fileno()])
        reader, writer = await asyncio.open_connection(sock=ours)
        self._lines.append(writer)
        hello = await self._unless_zygote_ends(_read(reader))
        if hello is None:
            raise RefusedError(f"slot {number} died while it was built")
        if hello["error"] is not None:
            raise RefusedError(hello["error"])
        return _Slot(number, reader, writer, [Layer(**layer) for layer in hello["layers"]])

    def _on_zygote_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._zygote)
        self._zygote_ended.set()

    async def _unless_zygote_ends(
        self, reading: Coroutine[Any, Any, dict[str, Any] | None]
    ) -> dict[str, Any] | None:
        """What `reading` gives; None where the zygote ends first.

        It may have ended with the slot's socket on its way to it, which not every kernel closes then.
        """
        asked = asyncio.create_task(reading)
        ended = asyncio.create_task(self._zygote_ended.wait())
        await asyncio.wait([asked, ended], return_when=asyncio.FIRST_COMPLETED)
        for task in (asked, ended):
            if not task.done():
                task.cancel()
        return asked.result() if asked.done() and not asked.cancelled() else None

    async def _self_check(self, slot: _Slot) -> None:
        limits = asdict(self._language.default_limits)
        for check in self._language.self_checks:
            message = {"op": "execute", "seq": 0, "solution": check.solution, "test": check.test}
            answer = await self._ask(slot, {**message, "limits": limits})
            result = answer["result"] if answer and "result" in answer else {}
            if result.get("verdict") != check.verdict:
                said = f"{result['verdict']} ({result['message']})" if result else str(answer)
                given = " ".join(said.split())  # who starts workers shows one line
                raise RefusedError(
                    f"self-check of {self._language.name}: {check.test.strip()!r} gave {given},"
                    f" expected {check.verdict}"
                )


async def _read(reader: asyncio.StreamReader) -> dict[str, Any] | None:
    try:
        head = await reader.readexactly(struct.calcsize(">I"))
        return protocol.decode(await reader.readexactly(protocol.frame_length(head)))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
