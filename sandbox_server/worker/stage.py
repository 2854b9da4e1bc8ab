"""Supervises one stage of an execution from outside the jail: captures, measures, and stops it.

Facts only. CPU time decides who is too slow; wall time counts only while the
jail sleeps, not while it waits for a processor, so that a loaded machine
changes no verdict.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from sandbox_server.worker import accounting
from sandbox_server.worker.cgroups import SlotCgroup
from sandbox_server.worker.errors import JailError
from sandbox_server.worker.jail_contract import Attendant
from sandbox_server.worker.orders import Ended
from sandbox_server.worker.protocol import Limits

KEPT_OUTPUT_BYTES = 64 << 10
MAX_REPORT_BYTES = 1 << 20

_CHUNK_BYTES = 1 << 16
SAMPLE_EVERY_S = 0.02
#: However busy the machine: past this many times the wall limit a stage ends.
WALL_STRETCH = 10
#: What judge and candidate spend on talking may add to the CPU limit, up to this many times it.
TALK_STRETCH = 6
STOP_GRACE_S = 10.0


@dataclass
class Captured:
    """One output stream: its beginning, and how long it became."""

    kept: bytearray = field(default_factory=bytearray)
    total_bytes: int = 0

    def add(self, data: bytes) -> None:
        """Counts `data` and keeps what still fits."""
        self.total_bytes += len(data)
        self.kept += data[: max(0, KEPT_OUTPUT_BYTES - len(self.kept))]


class Meter:
    """CPU time and memory of a jail, from the moment it is made."""

    def __init__(self, init_pid: int, cgroup: SlotCgroup | None, shared_bytes: int) -> None:
        """shared_bytes: memory that every process of the jail shares with the one it is forked
        from, and that /proc counts in each."""
        self._init_pid = init_pid
        self._cgroup = cgroup
        self._shared_bytes = shared_bytes
        self._peak_bytes = 0
        self._seen_in_group_bytes = 0
        if cgroup is None:
            self._cpu_at_start_s = accounting.reaped_cpu_time_s(init_pid)
        else:
            cgroup.start_measuring()
            self._cpu_at_start_s = cgroup.cpu_time_s()
            self._events_at_start = cgroup.memory_events()

    def cpu_time_s(self) -> float:
        """CPU time used so far, of the processes that are left and of those that were waited for."""
        if self._cgroup is not None:
            return self._cgroup.cpu_time_s() - self._cpu_at_start_s
        return self._look().cpu_time_s - self._cpu_at_start_s

    def talk_s(self) -> float:
        """CPU time of a judge's conversation with the candidate, as both sides of it need it."""
        # The judge does little else, and either side of a conversation costs about the same.
        return 2 * accounting.first_child_cpu_time_s(self._init_pid)

    def over_memory(self, limit_bytes: int) -> bool:
        """Whether the jail has had more than `limit_bytes`, or was kept from it by force.

        Raises:
            JailError: it lost processes for want of memory, and not by its own limit.
        """
        if self._cgroup is None:
            return self._peak_bytes > limit_bytes
        if not self._cgroup.tells_peak:
            self._seen_in_group_bytes = max(self._seen_in_group_bytes, self._cgroup.memory_bytes())
        events = self._cgroup.memory_events()
        if events.kills == self._events_at_start.kills:
            return False
        if events.at_limit == self._events_at_start.at_limit:
            raise JailError("processes were killed since memory ran out around the jail, not in it")
        return True

    def sampled_peak_bytes(self) -> int:
        """Most memory that was seen whenever somebody looked."""
        return self._peak_bytes

    def waited_s(self) -> float:
        """Time that the jail was ready to run while others had the processors."""
        return self._look().run_delay_s

    def peak_bytes(self, ended: Ended) -> int:
        """Most memory at one time; `ended` is what the first process said at the end."""
        if self._cgroup is not None:
            known = self._cgroup.peak_memory_bytes()
            return known or max(self._seen_in_group_bytes, ended.peak_process_bytes)
        return max(self._peak_bytes, ended.peak_process_bytes) + ended.file_bytes

    def _look(self) -> accounting.Sample:
        now = accounting.sample(self._init_pid)
        self._peak_bytes = max(
            self._peak_bytes, now.memory_bytes - now.processes * self._shared_bytes
        )
        return now


class Watch:
    """Waits for the end of one stage."""

    def __init__(
        self,
        limits: Limits,
        meter: Meter,
        streams: dict[int, Captured],
        report_fd: int | None,
        attend: Attendant | None = None,
        *,
        judged: bool = False,
    ) -> None:
        """judged: whether the first role is a judge, whose time is not the candidate's."""
        self._limits = limits
        self._meter = meter
        self._judged = judged
        self._streams = streams
        self._report_fd = report_fd
        self._attend = attend
        self._stop_at: float | None = None
        self._started = time.monotonic()
        self._next_look = self._started + SAMPLE_EVERY_S
        self.report: bytearray = bytearray()
        self.limit: str | None = None
        self.wall_time_s = 0.0

    def run(
        self,
        control_fd: int,
        read_control: Callable[[], Ended],
        stop: Callable[[], None],
        interrupt_fd: int,
        interrupted: Callable[[], bool],
    ) -> Ended:
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
        attended = () if self._attend is None else (self._attend.fileno(),)
        for fd in (*open_fds, *attended, control_fd, interrupt_fd):
            poll.register(fd, select.POLLIN)
        stopped_at: float | None = None
        while True:
            events = {fd for fd, _ in poll.poll(SAMPLE_EVERY_S * 1000)}
            self._listen(events, poll)
            for fd in events & open_fds:
                if not self._drain(fd):
                    poll.unregister(fd)
                    open_fds.discard(fd)
            if control_fd in events:
                return self._end(read_control(), open_fds)
            if stopped_at is not None:
                if time.monotonic() - stopped_at > STOP_GRACE_S:
                    raise JailError(f"the jail did not end within {STOP_GRACE_S} s")
            elif (interrupt_fd in events and interrupted()) or self._is_over():
                stopped_at = time.monotonic()
                # What was written is read at the end.
                _forget(poll, (interrupt_fd, *open_fds))
                stop()

    def _listen(self, events: set[int], poll: select.poll) -> None:
        """Lets the attendant take what has come."""
        attend = self._attend
        if attend is not None and attend.fileno() in events and not attend.readable():
            poll.unregister(attend.fileno())
            self._attend = None
            self._stop_at = time.monotonic() + attend.grace_s

    def _is_over(self) -> bool:
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            return True
        return self._over_a_limit()

    def _end(self, ended: Ended, open_fds: set[int]) -> Ended:
        self.wall_time_s = time.monotonic() - self._started
        self._drain_rest(open_fds)
        while self._attend is not None and self._attend.readable():
            pass  # nobody is left to write: it comes to an end
        if self.limit is None and self._meter.over_memory(self._limits.memory_bytes):
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
        self._next_look = moment + SAMPLE_EVERY_S
        elapsed_s = moment - self._started
        if self._over_cpu_time():
            self.limit = "cpu"
        elif self._meter.over_memory(self._limits.memory_bytes):
            self.limit = "memory"
        elif elapsed_s > self._limits.wall_time_s:
            slept_s = elapsed_s - self._meter.waited_s() - self._talk_s()
            if (
                slept_s > self._limits.wall_time_s
                or elapsed_s > self._limits.wall_time_s * WALL_STRETCH
            ):
                self.limit = "wall"
        return self.limit is not None

    def _over_cpu_time(self) -> bool:
        cpu_time_s, limit_s = self._meter.cpu_time_s(), self._limits.cpu_time_s
        if cpu_time_s <= limit_s:
            return False
        return cpu_time_s > limit_s * TALK_STRETCH or cpu_time_s - self._talk_s() > limit_s

    def _talk_s(self) -> float:
        return self._meter.talk_s() if self._judged else 0.0


def _forget(poll: select.poll, fds: Iterable[int]) -> None:
    for fd in fds:
        poll.unregister(fd)
