"""The first process of a jail: builds the jail around itself, then forks, kills and wipes.

Theory of operation. This process is pid 1 of the slot's pid namespace and holds
the capabilities of the slot's user namespace. It lives as long as the slot. For
each stage it is sent role names and descriptors, never a suite or a candidate;
it forks one process per role, waits for the first to end or to be told to stop,
kills everything in the namespace, replaces the two tmpfs, and is as it was.
Nothing of one execution is in its memory when the next one is forked from it.
The process of the first role is forked ahead, as soon as the jail is wiped: it
waits for its order while nothing else runs, and nobody waits for the fork.
"""

from __future__ import annotations

# Below the standard library's: its sockets are objects of Python, thirty pages for each pair, and
# its constants members of enums.
import _signal  # type: ignore[import-not-found]
import contextlib
import errno
import gc
import importlib
import os
import select
import sys
from _socket import AF_UNIX, SOCK_SEQPACKET, SocketType, socketpair
from collections.abc import Callable, Sequence
from os import WNOHANG, chdir, close, fork, kill, wait4
from typing import Any, NoReturn

from sandbox_server.worker import confine, linux, orders, pages
from sandbox_server.worker.confine import confine as confine_role
from sandbox_server.worker.confine import keep_descriptors
from sandbox_server.worker.forking import put_in_force
from sandbox_server.worker.messages import receive_bytes, send_bytes
from sandbox_server.worker.orders import read_stage
from sandbox_server.worker.writable import SCRATCH, WritableFolders

_EXIT_OF_A_FAILED_ROLE = 70
_EXIT_OF_A_FAILED_CONFINEMENT = 71
#: How often the end of a process is looked for where the kernel cannot tell of it (gVisor).
_LOOK_EVERY_MS = 2
_SIGKILL: int = _signal.SIGKILL
_READABLE = select.POLLIN
_KILLED = (None, None)
_NOBODY_LEFT = contextlib.suppress(ProcessLookupError)


class Init:
    """The state of a slot's first process.

    Each page that it touches between two forks is copied, so a stage makes few objects here and
    calls few functions.
    """

    def __init__(
        self,
        control: SocketType,
        confinement: confine.Confinement,
        private: WritableFolders,
        file_bytes: int,
    ) -> None:
        self._control = control
        self._confinement = confinement
        self._private = private
        self._file_bytes = file_bytes
        self._poll = select.poll()
        self._poll.register(control, select.POLLIN)
        self._ends = _Ends()
        #: The process that waits to be the next stage's first role, and the line to it.
        self._first = 0
        self._line: SocketType

    def serve(self) -> None:
        """Runs stages until the supervisor is gone.

        Raises:
            OSError: the supervisor went during a stage.
        """
        self._clean()
        self._fork_first()
        while True:
            order, fds = receive_bytes(self._control)
            if not order:
                return
            if order != orders.STOP:  # which was overtaken by the end of its stage
                self._stage(order, fds)
                self._clean()
                self._fork_first()

    def _stage(self, order: bytes, fds: list[int]) -> None:
        roles, limits, count_files = read_stage(order)
        if roles[0][1] not in _entries:
            _remember(roles[0][1])
        file_bytes = limits[3]
        if file_bytes != self._file_bytes:
            self._file_bytes = file_bytes
            self._private.clean(file_bytes)
        send_bytes(self._line, order, fds)
        self._line.close()
        pids = [self._first]
        for role in roles[1:]:
            pid = fork()
            if pid == 0:
                _become(role, fds, self._confinement, limits, alone=False)
            pids.append(pid)
        for fd in fds:
            close(fd)
        ends = self._ends
        ends.begin(pids)
        if self._ends_first(pids[0]):
            ends.note(*wait4(pids[0], 0))
        else:
            # Whatever it is: nothing but an order to stop can come now.
            self._control.recv(64)
        _kill_everything(ends)
        used_bytes = self._private.used_bytes() if count_files else 0
        self._control.send(
            orders.ended(ends.cpu_time_s, ends.peak_kib * 1024, used_bytes, ends.exits)
        )

    def _fork_first(self) -> None:
        """Forks what the first role of the next stage will be."""
        self._line, theirs = socketpair(AF_UNIX, SOCK_SEQPACKET)
        self._first = fork()
        if self._first == 0:
            _await_role(theirs, self._confinement)
        theirs.close()

    def _clean(self) -> None:
        """Makes the private folders empty and says so."""
        self._private.clean(self._file_bytes)
        self._control.send(orders.CLEAN)

    def _ends_first(self, pid: int) -> bool:
        """Waits until process `pid` has ended (True) or the supervisor says something (False)."""
        try:
            pid_fd = os.pidfd_open(pid)
        except OSError as e:
            if e.errno != errno.ENOSYS:
                raise
            return self._ends_first_without_pidfd(pid)
        self._poll.register(pid_fd, _READABLE)
        ready = self._poll.poll()
        self._poll.unregister(pid_fd)
        close(pid_fd)
        return ready[0][0] == pid_fd or len(ready) > 1

    def _ends_first_without_pidfd(self, pid: int) -> bool:
        while not self._poll.poll(_LOOK_EVERY_MS):
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return True
        return False


def _await_role(line: SocketType, confinement: confine.Confinement) -> NoReturn:
    """Becomes the first role of the stage that is ordered."""
    try:
        order, fds = receive_bytes(line)
        roles, limits, _ = read_stage(order)
        _become(roles[0], fds, confinement, limits, alone=len(roles) == 1)
    finally:  # there is no order: the jail ends
        os._exit(_EXIT_OF_A_FAILED_CONFINEMENT)


def _become(
    role: orders.RoleOrder,
    fds: Sequence[int],
    confinement: confine.Confinement,
    limits: orders.RoleLimits,
    alone: bool,
) -> NoReturn:
    status = _EXIT_OF_A_FAILED_CONFINEMENT
    try:
        _, entry, untrusted, wanted, order = role
        kept = [fds[i] for i in wanted]
        landlock_fd = confinement[1]
        keep_descriptors(fds[0], fds[1], kept if landlock_fd is None else [*kept, landlock_fd])
        chdir(SCRATCH)
        confine_role(confinement, limits, untrusted, alone)
        status = _EXIT_OF_A_FAILED_ROLE
        if order:
            # Loaded already where languages are programs, and nobody else pays for it.
            from sandbox_server.worker import program

            status = program.run(order, kept)
        else:
            put_in_force()
            become = _entries.get(entry) or _entry(entry)
            status = become(*kept)
    except BaseException:  # noqa: BLE001 - the last frame of a process; it reports and ends
        with contextlib.suppress(BaseException):
            import traceback

            traceback.print_exc()
            sys.stderr.flush()
    finally:
        os._exit(status)


#: What roles became before, where it is in memory: to look it up costs a role eight pages.
_entries: dict[str, Callable[..., int]] = {}


def _remember(name: str) -> None:
    if f"harness.{name.partition(':')[0]}" in sys.modules:
        _entries[name] = _entry(name)


def _entry(name: str) -> Callable[..., int]:
    """The function of the harness that a role is to become."""
    module, function = name.split(":")
    loaded = importlib.import_module(f"harness.{module}")
    found: Callable[..., int] = getattr(loaded, function)
    return found


class _Ends:
    """How the processes of a stage ended."""

    def __init__(self) -> None:
        self.begin([])

    def begin(self, pids: list[int]) -> None:
        """Forgets the last stage; `pids` are the roles of this one, in their order."""
        self._pids = pids
        self.left = [*pids]
        #: Status and signal of each; both None where it was killed with the jail.
        self.exits: list[tuple[int | None, int | None]] = [_KILLED] * len(pids)
        self.cpu_time_s = 0.0
        #: The largest peak of one process.
        self.peak_kib = 0

    def note(self, pid: int, status: int, usage: Any, killed: bool = False) -> None:
        """Takes what was waited for; `killed` where it ran until the end of the stage."""
        self.cpu_time_s += usage[0] + usage[1]
        self.peak_kib = max(self.peak_kib, usage[2])
        if pid in self.left:
            self.left.remove(pid)
            if not killed:
                signaled = os.WIFSIGNALED(status)
                self.exits[self._pids.index(pid)] = (
                    (None, os.WTERMSIG(status)) if signaled else (os.WEXITSTATUS(status), None)
                )


def _kill_everything(ends: _Ends) -> None:
    """Kills and reaps every other process of the namespace."""
    # A role that ended by itself before the kill is told from one that was killed by it.
    for pid in [*ends.left]:
        found, status, usage = wait4(pid, WNOHANG)
        if found:
            ends.note(pid, status, usage)
    while True:
        # Again after every death: a process may have forked between the kill and its end.
        with _NOBODY_LEFT:
            kill(-1, _SIGKILL)
        try:
            pid, status, usage = wait4(-1, 0)
        except ChildProcessError:
            return
        ends.note(pid, status, usage, True)


def settle() -> None:
    """Gives this process the state that every role starts from."""
    for number in (_signal.SIGINT, _signal.SIGTERM, _signal.SIGHUP):
        _signal.signal(number, _signal.SIG_DFL)
    os.environ.clear()
    os.environ.update(
        HOME=SCRATCH,
        TMPDIR=SCRATCH,
        PATH="/usr/bin:/bin",
        LANG="C.UTF-8",
        USER="runner",
    )
    sys.argv = [""]
    os.umask(0o022)
    confine.limit_for_all()
    linux.set_no_new_privileges()
    gc.collect()
    pages.fill_holes()
    gc.freeze()
    linux.set_dumpable(False)
