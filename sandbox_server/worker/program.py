"""The role of a stage that runs a program of the toolchain: unpacks files, runs it, collects.

Runs in the jail, confined, in a process forked from the jail's first one. A
program whose files are not collected takes this process's place.
"""

from __future__ import annotations

import fcntl
import os
import signal
from collections.abc import Sequence
from typing import Any

from sandbox_server.worker import files

_FIRST_FD = 3
#: Descriptors are moved up here while they are put in order; a stage has fewer.
_HIGH_FD = 32
_CANNOT_EXECUTE = 127
#: What the role returns where the program has written more than may be collected.
TOO_MUCH_TO_COLLECT = 126


def run(program: dict[str, Any], fds: Sequence[int]) -> int:
    """Runs `program` (see `describe`) and returns its exit status, if it returns at all.

    fds: those for the program, which has them numbered from 3 on; then one for each archive to
        unpack; then, where files are to be collected, the one that takes them.
    """
    for number in (signal.SIGPIPE, signal.SIGXFSZ):  # an interpreter ignores them, and passes it on
        signal.signal(number, signal.SIG_DFL)
    given = program["fds"]
    fds = _numbered_from_three(fds)
    for fd in fds[given:]:
        os.set_inheritable(fd, False)
    archives = fds[given : given + program["archives"]]
    for fd in archives:
        files.unpack(fd, ".", program["part"])
    environment = {**os.environ, **program["environment"]}
    argv = program["argv"]
    if not program["collect"]:
        return _execute(argv, environment)
    pid = os.fork()
    if pid == 0:
        os._exit(_execute(argv, environment))
    for fd in range(_FIRST_FD, _FIRST_FD + given):
        os.close(fd)  # whoever reads a report must see its end
    _, wait_status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(wait_status):
        os.kill(os.getpid(), os.WTERMSIG(wait_status))
    status = os.waitstatus_to_exitcode(wait_status)
    if status == 0:
        try:
            files.collect(".", program["collect"], fds[-1], program["collect_bytes"])
        except files.FilesError as e:
            os.write(2, f"{e}\n".encode())
            return TOO_MUCH_TO_COLLECT
    return status


def _numbered_from_three(fds: Sequence[int]) -> list[int]:
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, _HIGH_FD) for fd in fds]
    os.closerange(_FIRST_FD, _HIGH_FD)
    for number, fd in enumerate(high, _FIRST_FD):
        os.dup2(fd, number)
        os.close(fd)
    return list(range(_FIRST_FD, _FIRST_FD + len(fds)))


def _execute(argv: Sequence[str], environment: dict[str, str]) -> int:
    try:
        os.execve(argv[0], list(argv), environment)
    except OSError as e:
        os.write(2, f"{argv[0]}: {e.strerror}\n".encode())
    return _CANNOT_EXECUTE
