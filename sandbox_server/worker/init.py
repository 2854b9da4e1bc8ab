"""The first process of a jail: builds the jail around itself, then forks, kills and wipes.

Theory of operation. This process is pid 1 of the slot's pid namespace and holds
the capabilities of the slot's user namespace. It lives as long as the slot. For
each stage it is sent role names and descriptors, never a suite or a candidate;
it forks one process per role, waits for the first to end or to be told to stop,
kills everything in the namespace, replaces the two tmpfs, and is as it was.
Nothing of one execution is in its memory when the next one is forked from it.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from sandbox_server.worker import confine, linux, messages, orders, program, rootfs

_EXIT_OF_A_FAILED_ROLE = 70
_EXIT_OF_A_FAILED_CONFINEMENT = 71
#: How often the end of a process is looked for where the kernel cannot tell of it (gVisor).
_LOOK_EVERY_MS = 2


class Init:
    """The state of a slot's first process."""

    def __init__(
        self,
        control: socket.socket,
        confinement: confine.Confinement,
        private: rootfs.WritableFolders,
        file_bytes: int,
    ) -> None:
        self._control = control
        self._confinement = confinement
        self._private = private
        self._file_bytes = file_bytes
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)

    def serve(self) -> None:
        """Runs stages until the supervisor is gone.

        Raises:
            OSError: the supervisor went during a stage.
        """
        self._clean()
        while True:
            order, fds = messages.receive_bytes(self._control)
            if not order:
                return
            if order != orders.STOP:  # which was overtaken by the end of its stage
                self._stage(orders.Stage.from_bytes(order), fds)
                self._private.unmount()
                self._clean()

    def _stage(self, stage: orders.Stage, fds: list[int]) -> None:
        limits = confine.RoleLimits(*stage.limits)
        if limits.file_bytes != self._file_bytes:
            self._private.unmount()
            self._private.mount(limits.file_bytes)
            self._file_bytes = limits.file_bytes
        pids = [self._fork(role, fds, limits) for role in stage.roles]
        for fd in fds:
            os.close(fd)
        ends = _Ends(pids)
        self._wait_for(pids[0], ends)
        _kill_everything(ends)
        file_bytes = self._private.used_bytes() if stage.count_files else 0
        ended = orders.Ended(ends.cpu_time_s, ends.peak_kib * 1024, file_bytes, ends.exits)
        self._control.send(ended.to_bytes())

    def _clean(self) -> None:
        """Mounts empty private folders and says so."""
        self._private.mount(self._file_bytes)
        self._control.send(orders.CLEAN)

    def _fork(self, role: orders.RoleOrder, fds: Sequence[int], limits: confine.RoleLimits) -> int:
        pid = os.fork()
        if pid:
            return pid
        self._become(role, fds, limits)

    def _become(
        self, role: orders.RoleOrder, fds: Sequence[int], limits: confine.RoleLimits
    ) -> NoReturn:
        status = _EXIT_OF_A_FAILED_CONFINEMENT
        try:
            _, entry, untrusted, wanted, order = role
            kept = [fds[i] for i in wanted]
            landlock_fd = self._confinement.landlock_fd
            confine.keep_descriptors(
                fds[0], fds[1], kept if landlock_fd is None else [*kept, landlock_fd]
            )
            os.chdir(rootfs.SCRATCH)
            confine.confine(self._confinement, limits, untrusted)
            status = _EXIT_OF_A_FAILED_ROLE
            status = program.run(order, kept) if order else _entry(entry)(*kept)
        except BaseException:  # noqa: BLE001 - the last frame of a process; it reports and ends
            with contextlib.suppress(BaseException):
                traceback.print_exc()
                sys.stderr.flush()
        finally:
            os._exit(status)

    def _wait_for(self, leader: int, ends: _Ends) -> None:
        """Until `leader` has ended or the supervisor says stop (or is gone)."""
        if self._ends_first(leader):
            ends.note(*os.wait4(leader, 0))
        else:
            self._control.recv(64)  # whatever it is: nothing but an order to stop can come now

    def _ends_first(self, pid: int) -> bool:
        """Waits until process `pid` has ended (True) or the supervisor says something (False)."""
        try:
            pid_fd = os.pidfd_open(pid)
        except OSError as e:
            if e.errno != errno.ENOSYS:
                raise
            return self._ends_first_without_pidfd(pid)
        self._poll.register(pid_fd, select.POLLIN)
        ready = [fd for fd, _ in self._poll.poll()]
        self._poll.unregister(pid_fd)
        os.close(pid_fd)
        return pid_fd in ready

    def _ends_first_without_pidfd(self, pid: int) -> bool:
        while not self._poll.poll(_LOOK_EVERY_MS):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return True
        return False


def _entry(name: str) -> Callable[..., int]:
    """The function of the harness that a role is to become."""
    module, function = name.split(":")
    loaded = sys.modules.get(f"harness.{module}")
    if loaded is None:
        loaded = importlib.import_module(f"harness.{module}")
    found: Callable[..., int] = getattr(loaded, function)
    return found


class _Ends:
    """How the processes of a stage ended."""

    def __init__(self, pids: Sequence[int]) -> None:
        self.left = set(pids)
        #: Status and signal of each; both None where it was killed with the jail.
        self.exits: list[tuple[int | None, int | None]] = [(None, None)] * len(pids)
        self.cpu_time_s = 0.0
        #: The largest peak of one process.
        self.peak_kib = 0
        self._pids = pids

    def note(self, pid: int, status: int, usage: Any, *, killed: bool = False) -> None:
        """Takes what was waited for; `killed` where it ran until the end of the stage."""
        self.cpu_time_s += usage.ru_utime + usage.ru_stime
        self.peak_kib = max(self.peak_kib, usage.ru_maxrss)
        if pid in self.left:
            self.left.discard(pid)
            if not killed:
                signaled = os.WIFSIGNALED(status)
                self.exits[self._pids.index(pid)] = (
                    (None, os.WTERMSIG(status)) if signaled else (os.WEXITSTATUS(status), None)
                )


def _kill_everything(ends: _Ends) -> None:
    """Kills and reaps every other process of the namespace."""
    # A role that ended by itself before the kill is told from one that was killed by it.
    for pid in tuple(ends.left):
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            ends.note(pid, status, usage)
    while True:
        # Again after every death: a process may have forked between the kill and its end.
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            ends.note(*os.wait4(-1, 0), killed=True)
        except ChildProcessError:
            return


def settle() -> None:
    """Gives this process the state that every role starts from."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(
        HOME=rootfs.SCRATCH,
        TMPDIR=rootfs.SCRATCH,
        PATH="/usr/bin:/bin",
        LANG="C.UTF-8",
        USER="runner",
    )
    sys.argv = [""]
    os.umask(0o022)
    confine.limit_for_all()
    linux.set_no_new_privileges()
    gc.collect()
    gc.freeze()
    linux.set_dumpable(False)
