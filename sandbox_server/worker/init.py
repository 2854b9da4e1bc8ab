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
import resource
import select
import signal
import socket
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NoReturn

from sandbox_server.worker import confine, linux, messages, rootfs

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

    def serve(self) -> None:
        """Runs stages until the supervisor is gone.

        Raises:
            OSError: the supervisor went during a stage.
        """
        self._clean()
        while (received := messages.receive(self._control)) is not None:
            message, fds = received
            if message["op"] == "stage":
                self._stage(message, fds)
                self._private.unmount()
                self._clean()
            # A "stop" that arrives here was overtaken by the end of its stage.

    def _stage(self, message: dict[str, Any], fds: list[int]) -> None:
        limits = confine.RoleLimits(**message["limits"])
        if limits.file_bytes != self._file_bytes:
            self._private.unmount()
            self._private.mount(limits.file_bytes)
            self._file_bytes = limits.file_bytes
        roles = message["roles"]
        cpu_before_s = _children_cpu_time_s()
        pids = {self._fork(role, fds, limits): role["name"] for role in roles}
        for fd in fds:
            os.close(fd)
        leader = next(iter(pids))
        exits: dict[str, dict[str, int | None]] = {}
        peak_kib = self._wait_for(leader, pids, exits)
        peak_kib = max(peak_kib, _kill_everything(pids, exits))
        messages.send(
            self._control,
            {
                "op": "ended",
                "exits": exits,
                "cpu_time_s": _children_cpu_time_s() - cpu_before_s,
                "peak_process_bytes": peak_kib * 1024,
                "file_bytes": self._private.used_bytes(),
            },
        )

    def _clean(self) -> None:
        """Mounts empty private folders and says so."""
        self._private.mount(self._file_bytes)
        messages.send(self._control, {"op": "clean"})

    def _fork(self, role: dict[str, Any], fds: Sequence[int], limits: confine.RoleLimits) -> int:
        pid = os.fork()
        if pid:
            return pid
        self._become(role, fds, limits)

    def _become(
        self, role: dict[str, Any], fds: Sequence[int], limits: confine.RoleLimits
    ) -> NoReturn:
        status = _EXIT_OF_A_FAILED_CONFINEMENT
        try:
            stdout, stderr = fds[0], fds[1]
            program = self._confinement
            landlock = [] if program.landlock_fd is None else [program.landlock_fd]
            wanted = [*(fds[i] for i in role["fds"]), *landlock]
            kept = confine.arrange_descriptors(stdout, stderr, wanted)
            if landlock:
                program = replace(program, landlock_fd=kept.pop())
            os.chdir(rootfs.SCRATCH)
            confine.confine(program, limits, role["untrusted"])
            status = _EXIT_OF_A_FAILED_ROLE
            module, function = role["entry"].split(":")
            entry = getattr(importlib.import_module(f"harness.{module}"), function)
            status = entry(*kept)
        except BaseException:  # noqa: BLE001 - the last frame of a process; it reports and ends
            with contextlib.suppress(BaseException):
                traceback.print_exc()
                sys.stderr.flush()
        finally:
            os._exit(status)

    def _wait_for(
        self, leader: int, pids: dict[int, str], exits: dict[str, dict[str, int | None]]
    ) -> int:
        """Until `leader` has ended or the supervisor says stop (or is gone)."""
        peak_kib = 0
        if _ends_first(leader, self._control.fileno()):
            _, status, usage = os.wait4(leader, 0)
            exits[pids.pop(leader)] = _exit(status)
            peak_kib = usage.ru_maxrss
        else:
            messages.receive(self._control)
        return peak_kib


def _ends_first(pid: int, control_fd: int) -> bool:
    """Waits until process `pid` has ended (True) or `control_fd` can be read (False)."""
    poll = select.poll()
    poll.register(control_fd, select.POLLIN)
    try:
        pid_fd = os.pidfd_open(pid)
    except OSError as e:
        if e.errno != errno.ENOSYS:
            raise
        return _ends_first_without_pidfd(pid, poll)
    try:
        poll.register(pid_fd, select.POLLIN)
        return any(fd == pid_fd for fd, _ in poll.poll())
    finally:
        os.close(pid_fd)


def _ends_first_without_pidfd(pid: int, poll: select.poll) -> bool:
    while not poll.poll(_LOOK_EVERY_MS):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
            return True
    return False


def _children_cpu_time_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _exit(status: int) -> dict[str, int | None]:
    if os.WIFSIGNALED(status):
        return {"status": None, "signal": os.WTERMSIG(status)}
    return {"status": os.WEXITSTATUS(status), "signal": None}


def _kill_everything(pids: dict[int, str], exits: dict[str, dict[str, int | None]]) -> int:
    """Kills and reaps every other process of the namespace; returns the largest peak in KiB."""
    # A role that ended by itself before the kill is told from one that was killed by it.
    peak_kib = 0
    for pid in list(pids):
        found, status, usage = os.wait4(pid, os.WNOHANG)
        if found:
            exits[pids.pop(pid)] = _exit(status)
            peak_kib = max(peak_kib, usage.ru_maxrss)
    while True:
        # Again after every death: a process may have forked between the kill and its end.
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
        try:
            pid, status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            break
        peak_kib = max(peak_kib, usage.ru_maxrss)
        if pid in pids:
            exits[pids.pop(pid)] = {"status": None, "signal": None}
    return peak_kib


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
    confine.limit_kernel_objects()
    linux.set_no_new_privileges()
    gc.collect()
    gc.freeze()
    linux.set_dumpable(False)
