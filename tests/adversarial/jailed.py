"""Finds the processes of a running sandbox by their place in it (see worker/zygote.py)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from tests.worker_process import descendants, parent


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has ended
        return b""


def gateway_of(address: str) -> int:
    """The process below this one that serves `address`."""
    for pid in descendants(os.getpid()):
        if address.encode() in _command(pid):
            return pid
    raise AssertionError("no gateway is running")


def processes(gateway: int, kind: str) -> list[int]:
    """Those of one kind: worker, zygote, lean zygote, supervisor, init or jailed."""
    workers = [p for p in descendants(gateway) if parent(p) == gateway]
    zygotes = [p for w in workers for p in descendants(w) if parent(p) == w]
    below = [p for z in zygotes for p in descendants(z) if parent(p) == z]
    lean = lean_zygotes(below)
    slots = [p for z in (*zygotes, *lean) for p in descendants(z) if parent(p) == z]
    inits = [p for p in slots if place_in_jail(p) == 1]
    return {
        "worker": workers,
        "zygote": zygotes,
        "lean zygote": lean,
        "supervisor": [p for p in slots if p not in (*inits, *lean)],
        "init": inits,
        "jailed": [p for i in inits for p in descendants(i)],
    }[kind]


def lean_zygotes(pids: Iterable[int]) -> list[int]:
    """Those among `pids`; what is forked from one has the same command line."""
    found = [p for p in pids if b"worker.lean" in _command(p)]
    return [p for p in found if parent(p) not in found and place_in_jail(p) is None]


def place_in_jail(pid: int) -> int | None:
    """What the process goes by in its jail, 1 for the first; None outside, or where it has ended."""
    with contextlib.suppress(OSError):  # it has ended
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("NSpid:"):
                numbers = line.split()[1:]
                return int(numbers[-1]) if len(numbers) > 1 else None
    return None
