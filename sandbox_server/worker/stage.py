"""Supervises one stage of an execution from outside the jail: captures, measures, and stops it.

Facts only. CPU time decides who is too slow; wall time counts only while the
jail sleeps, not while it waits for a processor, so that a loaded machine
changes no verdict.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from sandbox_server.worker import accounting
from sandbox_server.worker.cgroups import SlotCgroup
from sandbox_server.worker.errors import JailError
from sandbox_server.worker.protocol import Limits

KEPT_OUTPUT_BYTES = 64 << 10
MAX_REPORT_BYTES = 1 << 20

_CHUNK_BYTES = 1 << 16
_SAMPLE_EVERY_S = 0.02
#: However busy the machine: past this many times the wall limit a stage ends.
_WALL_STRETCH = 10
_STOP_GRACE_S = 10.0


@dataclass
class Captured:
    """One output stream: its beginning, and how long it became."""

    kept: bytearray = field(default_factory=bytearray)
    total_bytes: int = 0

    def add(self, data: bytes) -> None:
        """Counts `data` and keeps what still fits."""
        self.total_bytes += len(data)
        self.kept += data[: max(0, KEPT_OUTPUT_BYTES - len(self.kept))]


@dataclass
class Meter:
    """CPU time and memory of the jail since the stage began."""

    init_pid: int
    cgroup: SlotCgroup | None
    #: Of the first process itself, which is there before and after.
    base: accounting.Sample = field(init=False)
    cpu_at_start_s: float = 0.0
    oom_kills_at_start: int = 0
    peak_bytes: int = 0
    run_delay_s: float = 0.0

    def __post_init__(self) -> None:
        self.base = accounting.sample(self.init_pid)
        if self.cgroup is not None:
            self.cgroup.start_measuring()
            self.cpu_at_start_s = self.cgroup.cpu_time_s()
            self.oom_kills_at_start = self.cgroup.oom_kills()

    def cpu_time_s(self, now: accounting.Sample) -> float:
        """CPU time used so far."""
        if self.cgroup is not None:
            return self.cgroup.cpu_time_s() - self.cpu_at_start_s
        return now.cpu_time_s - self.base.cpu_time_s

    def look(self) -> accounting.Sample:
        """Takes a sample and remembers the peaks."""
        now = accounting.sample(self.init_pid)
        # Each process shares the pages of the one it was forked from, and /proc counts them in each.
        memory = now.memory_bytes - now.processes * self.base.memory_bytes
        self.peak_bytes = max(self.peak_bytes, memory)
        self.run_delay_s = max(self.run_delay_s, now.run_delay_s - self.base.run_delay_s)
        return now

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel killed one of the jail for its memory."""
        return self.cgroup is not None and self.cgroup.oom_kills() > self.oom_kills_at_start


class Watch:
    """Waits for the end of one stage."""

    def __init__(
        self,
        limits: Limits,
        meter: Meter,
        streams: dict[int, Captured],
        report_fd: int | None,
    ) -> None:
        self._limits = limits
        self._meter = meter
        self._streams = streams
        self._report_fd = report_fd
        self._started = time.monotonic()
        self._next_look = self._started + _SAMPLE_EVERY_S
        self.report: bytearray = bytearray()
        self.limit: str | None = None
        self.wall_time_s = 0.0

    def run(
        self,
        control_fd: int,
        read_control: Callable[[], dict[str, Any] | None],
        stop: Callable[[], None],
        interrupt_fd: int,
        interrupted: Callable[[], bool],
    ) -> dict[str, Any]:
        """Until the jail's first process says how the stage ended.

        control_fd, read_control: where it says so.
        stop: asks it to end the stage.
        interrupt_fd, interrupted: where the gateway takes an execution back;
            `interrupted` says whether that is what arrived.

        Raises:
            JailError: the first process is gone, or does not answer.
        """
        open_fds = set(self._streams)
        if self._report_fd is not None:
            open_fds.add(self._report_fd)
        poll = select.poll()
        for fd in (*open_fds, control_fd, interrupt_fd):
            poll.register(fd, select.POLLIN)
        stopped_at: float | None = None
        while True:
            events = {fd for fd, _ in poll.poll(_SAMPLE_EVERY_S * 1000)}
            for fd in events & open_fds:
                if not self._drain(fd):
                    poll.unregister(fd)
                    open_fds.discard(fd)
            if control_fd in events:
                return self._end(read_control(), open_fds)
            if stopped_at is not None:
                if time.monotonic() - stopped_at > _STOP_GRACE_S:
                    raise JailError(f"the jail did not end within {_STOP_GRACE_S} s")
            elif (interrupt_fd in events and interrupted()) or self._over_a_limit():
                stopped_at = time.monotonic()
                poll.unregister(interrupt_fd)
                stop()

    def _end(self, ended: dict[str, Any] | None, open_fds: set[int]) -> dict[str, Any]:
        if ended is None:
            raise JailError("the jail's first process is gone")
        self.wall_time_s = time.monotonic() - self._started
        self._drain_rest(open_fds)
        if self.limit is None and self._meter.ran_out_of_memory():
            self.limit = "memory"
        return ended

    def _drain(self, fd: int) -> bool:
        data = os.read(fd, _CHUNK_BYTES)
        if fd == self._report_fd:
            if len(self.report) <= MAX_REPORT_BYTES:
                self.report += data
        else:
            self._streams[fd].add(data)
        return bool(data)

    def _drain_rest(self, fds: set[int]) -> None:
        """Reads what the dead have written; every writer is gone, so each ends."""
        for fd in fds:
            while self._drain(fd):
                pass
        if self.limit is None and self._output_bytes() > self._limits.output_bytes:
            self.limit = "output"

    def _output_bytes(self) -> int:
        return sum(stream.total_bytes for stream in self._streams.values())

    def _over_a_limit(self) -> bool:
        if self._output_bytes() > self._limits.output_bytes:
            self.limit = "output"
            return True
        moment = time.monotonic()
        if moment < self._next_look:
            return False
        self._next_look = moment + _SAMPLE_EVERY_S
        elapsed_s = moment - self._started
        now = self._meter.look()
        if self._meter.cpu_time_s(now) > self._limits.cpu_time_s:
            self.limit = "cpu"
        elif self._meter.ran_out_of_memory() or (
            self._meter.cgroup is None and self._meter.peak_bytes > self._limits.memory_bytes
        ):
            self.limit = "memory"
        elif elapsed_s > self._limits.wall_time_s:
            awake_s = min(self._meter.run_delay_s, elapsed_s)
            if (
                elapsed_s - awake_s > self._limits.wall_time_s
                or elapsed_s > self._limits.wall_time_s * _WALL_STRETCH
            ):
                self.limit = "wall"
        return self.limit is not None
