"""The line to a jail's first process: one stage after the other, seen from the supervisor."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Callable

from sandbox_server.worker import accounting, messages, orders
from sandbox_server.worker.cgroups import SlotCgroup
from sandbox_server.worker.confine import OWN_PROCESSES
from sandbox_server.worker.errors import JailError
from sandbox_server.worker.jail_contract import Exit, Program
from sandbox_server.worker.orders import CLEAN, STOP, Ended
from sandbox_server.worker.protocol import Limits
from sandbox_server.worker.slot_jail import Stage, described_program
from sandbox_server.worker.stage import STOP_GRACE_S, TALK_STRETCH, Meter, Watch


class FirstProcess:
    """One jail of a slot, as its first process carries out what it is told."""

    def __init__(
        self,
        line: socket.socket,
        pid: int,
        cgroup: SlotCgroup | None,
        address_space_bytes: int | None,
    ) -> None:
        """address_space_bytes: of each process; None: what memory and the fork give it."""
        self._line = line
        self._pid = pid
        self._cgroup = cgroup
        self._address_space_bytes = address_space_bytes
        self._shared_bytes = accounting.process_memory_bytes(pid)
        self._clean = False

    def ready(self, limits: Limits, forked: bool) -> Meter:
        """Waits until the jail is wiped, sets the limits of the next stage and starts its meter.

        forked: whether its processes share memory with the one that they are forked from.

        Raises:
            JailError: the jail is gone.
        """
        while not self._clean:
            self._read_clean()
        if self._cgroup is not None:
            self._cgroup.set_limits(limits.memory_bytes, limits.processes + OWN_PROCESSES)
        return Meter(self._pid, self._cgroup, self._shared_bytes if forked else 0)

    def begin(self, stage: Stage, output: tuple[int, int], limits: Limits) -> None:
        """Tells the jail's first process to fork the roles of `stage`."""
        kernel_limits = (
            # Each side of a conversation may take half of what both may.
            limits.cpu_time_s * (TALK_STRETCH / 2 if stage.judged else 1),
            limits.memory_bytes,
            limits.processes,
            # Full temporary folders must leave room for the processes in the same memory.
            min(limits.file_bytes, limits.memory_bytes // 4),
            limits.open_files,
            self._address_space_bytes,
        )
        order = orders.stage(stage.roles, kernel_limits, count_files=self._cgroup is None)
        self._clean = False
        try:
            messages.send_bytes(self._line, order, [*output, *stage.fds])
        except OSError as e:
            raise JailError(f"the jail's first process is gone: {e}") from e

    def start_program(self, program: Program, limits: Limits) -> Meter:
        """See `resident.Host`. What it writes to its standard output and error is lost.

        Raises:
            JailError: the jail is gone.
        """
        with open(os.devnull, "r+b") as null:
            stage = described_program(program, null.fileno(), limits)
            meter = self.ready(limits, stage.forked)
            self.begin(stage, (null.fileno(), null.fileno()), limits)
        return meter

    def stop_program(self) -> Exit:
        """See `resident.Host`.

        Raises:
            JailError: the jail is gone.
        """
        try:
            messages.send_bytes(self._line, STOP, ())
        except OSError as e:
            raise JailError(f"the jail's first process is gone: {e}") from e
        answered, _, _ = select.select([self._line], [], [], STOP_GRACE_S)
        if not answered:
            os.kill(self._pid, signal.SIGKILL)
            raise JailError(f"the jail did not end within {STOP_GRACE_S} s")
        return Exit(*self._read_end().exits[0])

    def watch(self, watch: Watch, interrupt_fd: int, interrupted: Callable[[], bool]) -> Ended:
        """Waits for the end of the stage and says how it ended.

        interrupt_fd, interrupted: see `Watch.run`.

        Raises:
            JailError: the jail is gone.
        """
        try:
            return watch.run(
                self._line.fileno(),
                self._read_end,
                lambda: messages.send_bytes(self._line, STOP, ()),
                interrupt_fd,
                interrupted,
            )
        except JailError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)
            raise

    def _read(self) -> bytes:
        data, _ = messages.receive_bytes(self._line)
        if not data:
            raise JailError("the jail's first process is gone")
        return data

    def _read_clean(self) -> None:
        data = self._read()
        if data != CLEAN:
            raise JailError(f"the jail's first process said {data!r:.200}, not {CLEAN!r}")
        self._clean = True

    def _read_end(self) -> Ended:
        data = self._read()
        try:
            return Ended.from_bytes(data)
        except ValueError as e:
            raise JailError(f"the jail's first process said {data!r:.200}: {e}") from None
