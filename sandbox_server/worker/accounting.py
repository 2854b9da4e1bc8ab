"""CPU time, memory and waiting time of all processes of a jail, read from outside through /proc.

Used where no control group counts them, and to tell sleeping from waiting for a processor.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Sample:
    """What the processes of a jail use at one moment."""

    #: CPU time, children that were waited for included.
    cpu_time_s: float
    #: Private and shared memory, without what is mapped from read-only files.
    memory_bytes: int
    #: Time spent ready to run while others had the processors.
    run_delay_s: float
    processes: int


def sample(init_pid: int) -> Sample:
    """Sums over the jail's first process `init_pid` and all that descends from it.

    Processes that end meanwhile are left out.
    """
    cpu_time_s = run_delay_s = 0.0
    memory_bytes = processes = 0
    for pid in _tree(init_pid):
        try:
            cpu_time_s += _cpu_time_s(pid)
            memory_bytes += _memory_bytes(pid)
            run_delay_s += _run_delay_s(pid)
        except (OSError, ValueError, IndexError):
            continue
        processes += 1
    return Sample(cpu_time_s, memory_bytes, run_delay_s, processes)


def _tree(pid: int) -> Iterator[int]:
    pending = [pid]
    while pending:
        current = pending.pop()
        yield current
        try:
            for task in os.listdir(f"/proc/{current}/task"):
                children = _read(f"/proc/{current}/task/{task}/children")
                pending.extend(int(child) for child in children.split())
        except OSError:
            continue


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1 << 16).decode("ascii", "replace")
    finally:
        os.close(descriptor)


def _cpu_time_s(pid: int) -> float:
    # The name in parentheses is the process's own choice and may hold anything.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    utime, stime, cutime, cstime = fields[11:15]
    return (int(utime) + int(stime) + int(cutime) + int(cstime)) * _TICK_S


def _memory_bytes(pid: int) -> int:
    wanted = {"RssAnon:", "RssShmem:", "VmSwap:"}
    kib = 0
    for line in _read(f"/proc/{pid}/status").splitlines():
        key, *values = line.split()
        if key in wanted:
            kib += int(values[0])
    return kib * 1024


def _run_delay_s(pid: int) -> float:
    total_ns = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        total_ns += int(_read(f"/proc/{pid}/task/{task}/schedstat").split()[1])
    return total_ns / 1e9


def virtual_memory_bytes(pid: int) -> int:
    """Address space in use by process `pid`."""
    return int(_read(f"/proc/{pid}/statm").split()[0]) * _PAGE_BYTES
