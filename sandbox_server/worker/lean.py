"""A zygote of jails whose processes have little in memory: an interpreter that was started afresh.

What a process has in memory when it forks, the kernel copies the tables of, and takes down again
when the forked one ends: most of what a small execution costs. The usual zygote has loaded all
that any role needs. This one has loaded what builds a jail, and what a lean role needs.

It is started by the usual zygote, which tells it how jails are made and then sends it, for each
slot, the number of a jail and the end of the socket on which that jail's first process is spoken
to. It has seen no execution either.
"""

from __future__ import annotations

import os
import sys

# Below the standard library's, here and in what this imports: see `messages`.
from _socket import SocketType, socket
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from sandbox_server.worker import children, messages, pages
from sandbox_server.worker.build import JailSettings, build_jail
from sandbox_server.worker.confine import Confinement
from sandbox_server.worker.harness import load_harness
from sandbox_server.worker.linux import SeccompFilter

if TYPE_CHECKING:
    from socket import socket as Socket

_REQUESTS_FD = 3
#: Without `site`, whose work is half a megabyte; what it gives to programs is given here.
_OPTIONS = ("-s", "-P", "-S")
_START = """
from sandbox_server.worker import forking
forking.hold_back()  # before anything else is imported
from sandbox_server.worker.lean import main
main()
"""


class LeanZygote:
    """One, as the usual zygote knows it. It is started when it is asked for the first jail, and
    again where it has ended."""

    def __init__(self, folder: str, jail: JailSettings) -> None:
        """folder: of the language. jail: how its jails are made."""
        python = {"path": sys.path, "prefix": sys.prefix, "exec_prefix": sys.exec_prefix}
        self._told = {"folder": folder, "python": python, "jail": _packed(jail)}
        self.line: Socket | None = None

    def ask(self, number: int, control: Socket) -> None:
        """Asks for jail `number`.

        control: where the jail's first process is spoken to; its end of it.

        Raises:
            OSError: it cannot be started.
        """
        try:
            self._ask(number, control)
        except OSError:  # it has ended
            assert self.line is not None
            self.line.close()
            self.line = None
            self._ask(number, control)

    def _ask(self, number: int, control: Socket) -> None:
        if self.line is None:
            self.line, theirs = messages.pair()
            with theirs:
                children.fork(partial(_become, theirs), [self.line])
            messages.send(self.line, self._told)
        messages.send(self.line, {"number": number}, [control.fileno()])


def _become(requests: Socket) -> NoReturn:
    if requests.fileno() != _REQUESTS_FD:
        os.dup2(requests.fileno(), _REQUESTS_FD)
    os.set_inheritable(_REQUESTS_FD, True)
    os.closerange(_REQUESTS_FD + 1, os.sysconf("SC_OPEN_MAX"))
    above = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    command = [sys.executable, *_OPTIONS, "-c", _START]
    # What is linked when it is first called, every role would link again.
    more = {"PYTHONPATH": above, "LD_BIND_NOW": "1"}
    os.execve(sys.executable, command, {**os.environ, **more})


def main() -> None:
    """The whole life of the process; returns when the usual zygote is gone."""
    requests = socket(fileno=_REQUESTS_FD)
    os.set_inheritable(_REQUESTS_FD, False)
    received = messages.receive(requests)
    if received is None:
        return
    (told, _) = received
    _be_like_the_usual(told["python"])
    harness = load_harness(told["folder"])
    assert harness is not None
    harness.warm_lean()
    pages.put_code_in_huge_pages()
    _serve(requests, _unpacked(told["jail"]))


def _serve(requests: SocketType, settings: JailSettings) -> None:
    children.leave_the_dead_to_the_kernel()
    while (received := messages.receive(requests)) is not None:
        asked, (fd,) = received
        control = socket(fileno=fd)
        children.fork(partial(build_jail, control, asked["number"], settings), [requests])
        control.close()


def _be_like_the_usual(python: dict[str, Any]) -> None:
    """What programs see of the interpreter that does not depend on what is loaded."""
    import site

    sys.path[:] = python["path"]
    sys.prefix, sys.exec_prefix = python["prefix"], python["exec_prefix"]
    site.setquit()
    site.setcopyright()
    site.sethelper()


_Packed = tuple[bytes | None, bytes | None, bool, dict[str, str], int]


def _packed(jail: JailSettings) -> _Packed:
    first, role = jail.first_filter, jail.confinement.seccomp_filter
    return (
        None if first is None else first.program,
        None if role is None else role.program,
        jail.confinement.separate_users,
        jail.missing,
        jail.file_bytes,
    )


def _unpacked(packed: _Packed) -> JailSettings:
    first, role, separate_users, missing, file_bytes = packed
    first_filter, role_filter = (None if p is None else SeccompFilter(p) for p in (first, role))
    confinement = Confinement(role_filter, None, separate_users, base_address_space_bytes=0)
    return JailSettings(confinement, first_filter, missing, file_bytes)
