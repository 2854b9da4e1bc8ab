"""A program of the toolchain that stays, and answers one request after the other.

For compilers that take longer to start than to compile. Each slot has one, in a
jail of its own, beside the one that candidates run in: it is given their text
and runs nothing of it. It is started afresh where it ends, where a request
reaches a limit, where it has grown, and after so many requests, so that nothing
it may gather lasts.

A request is an archive of files (`files.pack`). The answer is a byte, 0 where it
went well; four bytes, the length of a text, and that; and an archive. Both
travel with their length before them, in four bytes. Numbers begin with their
highest byte. The answer was made of untrusted text: it is bounded here, and its
archive opened in a jail only.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from sandbox_server.worker.errors import Cancelled
from sandbox_server.worker.jail_contract import Exit, Program
from sandbox_server.worker.program import TOO_MUCH_TO_COLLECT
from sandbox_server.worker.protocol import Limits, Usage
from sandbox_server.worker.stage import SAMPLE_EVERY_S, WALL_STRETCH, Meter

_LENGTH = struct.Struct(">I")
_CHUNK_BYTES = 1 << 16
#: CPU time of one program for all of its requests, where only the kernel looks.
_LIFETIME_CPU_S = 3600.0
_MOST_REQUESTS = 500


class Host(Protocol):
    """The jail that the program lives in."""

    def start_program(self, program: Program, limits: Limits) -> Meter:
        """Starts `program`, which is not waited for."""

    def stop_program(self) -> Exit:
        """Ends it, if it has not ended by itself; how it did. All that it left is gone then."""


@dataclass(frozen=True)
class Answer:
    """What came of one request."""

    exit: Exit
    #: As in `StageFacts`.
    limit: str | None
    text: bytes
    archive: bytes
    usage: Usage


@dataclass(frozen=True)
class Interrupt:
    """Where the gateway may take an execution back, and whether that is what has come."""

    fd: int
    interrupted: Callable[[], bool]


class Resident:
    """The program of one slot; started when it is first asked."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._line: socket.socket | None = None
        self._requests = 0

    def ask(self, program: Program, request: bytes, limits: Limits, stop: Interrupt) -> Answer:
        """What `program` answers to `request`, under `limits` for this request alone.

        Raises:
            Cancelled: the gateway took the execution back.
            JailError: the jail is gone.
        """
        if self._line is not None and self._is_spent(limits):
            self.end()
        line = self._line or self._start(program, limits)
        self._requests += 1
        exchange = _Exchange(line, self._meter, limits, request)
        outcome = exchange.run(stop)
        if outcome == "answered":
            return exchange.answer()
        exit = self.end()
        if outcome == "cancelled":
            raise Cancelled("cancelled")
        if outcome == "too much":
            exit = Exit(TOO_MUCH_TO_COLLECT, None)
        limit = outcome if outcome in ("cpu", "wall", "memory") else None
        return Answer(exit, limit, b"", b"", exchange.usage())

    def _is_spent(self, limits: Limits) -> bool:
        # What it keeps of its memory must not be the next request's fault.
        grown = self._meter.sampled_peak_bytes() > limits.memory_bytes // 2
        return grown or self._requests >= _MOST_REQUESTS

    def _start(self, program: Program, limits: Limits) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            lifelong = replace(limits, cpu_time_s=_LIFETIME_CPU_S)
            alone = replace(program, fds=[theirs.fileno()])
            self._meter = self._host.start_program(alone, lifelong)
        ours.setblocking(False)
        self._line = ours
        self._requests = 0
        return ours

    def end(self) -> Exit:
        """Ends the program, which was asked before; how it did."""
        if self._line is not None:
            self._line.close()
            self._line = None
        self._requests = 0
        return self._host.stop_program()


class _Exchange:
    """One request and its answer."""

    def __init__(self, line: socket.socket, meter: Meter, limits: Limits, request: bytes) -> None:
        self._line = line
        self._meter = meter
        self._limits = limits
        self._to_send = memoryview(_LENGTH.pack(len(request)) + request)
        self._received = bytearray()
        self._most_bytes = _LENGTH.size + limits.file_bytes + limits.output_bytes
        self._started = self._looked = time.monotonic()
        self._cpu_at_start_s = meter.cpu_time_s()
        self._waited_at_start_s = meter.waited_s()

    def run(self, stop: Interrupt) -> str:
        """ "answered", "ended", "too much", "cancelled", or the limit that was reached."""
        poll = select.poll()
        poll.register(self._line, select.POLLIN | select.POLLOUT)
        poll.register(stop.fd, select.POLLIN)
        while True:
            events = dict(poll.poll(SAMPLE_EVERY_S * 1000))
            if stop.fd in events and stop.interrupted():
                return "cancelled"
            if self._line.fileno() in events:
                if not self._exchange():
                    return "memory" if self._over_memory() else "ended"
                if not self._to_send:
                    poll.modify(self._line, select.POLLIN)
                if len(self._received) > self._most_bytes:
                    return "too much"
                if self._is_complete():
                    return "answered"
            if (limit := self._limit()) is not None:
                return limit

    def _exchange(self) -> bool:
        """Sends and receives what is possible now; whether the program still listens."""
        try:
            if self._to_send:
                self._to_send = self._to_send[self._line.send(self._to_send[:_CHUNK_BYTES]) :]
            data = self._line.recv(_CHUNK_BYTES)
        except BlockingIOError:
            return True
        except ConnectionError:
            return False
        self._received += data
        return bool(data)

    def _is_complete(self) -> bool:
        if len(self._received) < _LENGTH.size:
            return False
        (length,) = _LENGTH.unpack_from(self._received)
        return bool(len(self._received) >= _LENGTH.size + length)

    def _over_memory(self) -> bool:
        return self._meter.over_memory(self._limits.memory_bytes)

    def _limit(self) -> str | None:
        moment = time.monotonic()
        if moment - self._looked < SAMPLE_EVERY_S:
            return None
        self._looked = moment
        if self._meter.cpu_time_s() - self._cpu_at_start_s > self._limits.cpu_time_s:
            return "cpu"
        if self._over_memory():
            return "memory"
        elapsed_s, wall_s = moment - self._started, self._limits.wall_time_s
        if elapsed_s > wall_s:
            slept_s = elapsed_s - (self._meter.waited_s() - self._waited_at_start_s)
            if slept_s > wall_s or elapsed_s > wall_s * WALL_STRETCH:
                return "wall"
        return None

    def usage(self) -> Usage:
        """What the request has used. Memory is the program's own, whoever asks."""
        cpu_time_s = self._meter.cpu_time_s() - self._cpu_at_start_s
        return Usage(cpu_time_s, time.monotonic() - self._started, 0)

    def answer(self) -> Answer:
        """What was received. What is not of the form that is agreed on is no success."""
        body = bytes(self._received[_LENGTH.size :])
        if len(body) < 1 + _LENGTH.size:
            return Answer(Exit(1, None), None, b"", b"", self.usage())
        begin = 1 + _LENGTH.size
        (length,) = _LENGTH.unpack_from(body, 1)
        text, archive = body[begin : begin + length], body[begin + length :]
        return Answer(Exit(body[0], None), None, text, archive, self.usage())
