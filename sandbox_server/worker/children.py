"""Forks processes that do one thing, and hold no ends of sockets but their own."""

from __future__ import annotations

# Below the standard library's, which makes enum members for every jail to copy.
import _signal  # type: ignore[import-not-found]
import os
import sys
from _socket import SocketType
from collections.abc import Callable, Iterable

from sandbox_server.worker import linux
from sandbox_server.worker.errors import JailError


def leave_the_dead_to_the_kernel() -> None:
    """In a process that only forks: what ends is reaped, also what its children leave behind."""
    _signal.signal(_signal.SIGCHLD, _signal.SIG_IGN)
    try:
        linux.set_child_subreaper()
    except OSError:  # gVisor has none; a slot's end leaves a zombie there
        return


def fork(main: Callable[[], None], others: Iterable[SocketType]) -> None:
    """Forks a process that does `main` and ends.

    others: ends of sockets that are not its own.
    """
    if os.fork():
        return
    status = 1
    try:
        _signal.signal(_signal.SIGCHLD, _signal.SIG_DFL)
        for other in others:
            other.close()
        main()
        status = 0
    except ConnectionError:
        status = 0  # the neighbour went first: the worker is ending
    except (JailError, OSError) as e:
        print(f"slot: {e}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)
