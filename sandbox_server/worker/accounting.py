"""CPU time, memory and waiting time of all processes of a jail, read from outside through /proc.

Used where no control group counts them, and to tell sleeping from waiting for a processor.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import NamedTuple

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
#: gVisor does not.
_KERNEL_LISTS_CHILDREN = os.path.exists(f"/proc/self/task/{os.getpid()}/children")


class Sample(NamedTuple):
    """What the processes of a jail use at one moment."""

    #: CPU time, children that were waited for included.
    cpu_time_s: float
    #: Private and shared memory, without what is mapped from read-only files.
    memory_bytes: int
    #: Time spent ready to run while others had the processors.
    run_delay_s: float
    processes: int


def sample(init_pid: int) -> Sample:
    """Sums over all that descends from the jail's first process `init_pid`.

    Of that one itself only the CPU time of children counts that it has waited
    for, since it was made. Processes that end meanwhile are left out.
    """
    cpu_time_s = reaped_cpu_time_s(init_pid)
    run_delay_s = 0.0
    memory_bytes = processes = 0
    for pid in _descendants(init_pid):
        try:
            cpu_time_s += sum(_cpu_times_s(pid))
            memory_bytes += process_memory_bytes(pid)
            run_delay_s += _run_delay_s(pid)
        except (OSError, ValueError, IndexError):
            continue
        processes += 1
    return Sample(cpu_time_s, memory_bytes, run_delay_s, processes)


def first_child_cpu_time_s(init_pid: int) -> float:
    """CPU time of the oldest child of the jail's first process: of the first role of a stage."""
    try:
        return sum(_cpu_times_s(next(_descendants(init_pid))))
    except (OSError, ValueError, IndexError, StopIteration):
        return 0.0


def _descendants(pid: int) -> Iterator[int]:
    if not _KERNEL_LISTS_CHILDREN:
        yield from _descendants_of_all(pid)
        return
    pending = [pid]
    while pending:
        current = pending.pop()
        try:
            for task in os.listdir(f"/proc/{current}/task"):
                # From the oldest to the youngest.
                children = _read(f"/proc/{current}/task/{task}/children")
                found = [int(child) for child in children.split()]
                pending.extend(found)
                yield from found
        except OSError:
            continue


def _descendants_of_all(pid: int) -> Iterator[int]:
    """The same, from every process there is."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            with contextlib.suppress(OSError, IndexError):
                parent = int(_read(f"/proc/{name}/stat").rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(name))
    pending = [pid]
    while pending:
        found = children.get(pending.pop(), [])
        pending.extend(found)
        yield from found


def _read(path: str) -> str:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(descriptor, 1 << 16).decode("ascii", "replace")
    finally:
        os.close(descriptor)


def reaped_cpu_time_s(pid: int) -> float:
    """CPU time of the children that process `pid` has waited for."""
    try:
        _, _, cutime_s, cstime_s = _cpu_times_s(pid)
    except (OSError, ValueError):
        return 0.0
    return cutime_s + cstime_s


def _cpu_times_s(pid: int) -> list[float]:
    """User and system time, the process's own and that of the children it has waited for."""
    # The name in parentheses is the process's own choice and may hold anything.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return [int(ticks) * _TICK_S for ticks in fields[11:15]]


def process_memory_bytes(pid: int) -> int:
    """Private and shared memory of process `pid`, without what is mapped from files where the
    kernel tells them apart."""
    wanted = {"RssAnon:", "RssShmem:", "VmSwap:"}
    kib, told = 0, False
    for line in _read(f"/proc/{pid}/status").splitlines():
        key, *values = line.split() or [""]
        if key in wanted:
            kib += int(values[0])
            told = True
    if not told:  # gVisor
        return int(_read(f"/proc/{pid}/statm").split()[1]) * _PAGE_BYTES
    return kib * 1024


def _run_delay_s(pid: int) -> float:
    total_ns = 0
    for task in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(FileNotFoundError):  # gVisor does not count it
            total_ns += int(_read(f"/proc/{pid}/task/{task}/schedstat").split()[1])
    return total_ns / 1e9


def virtual_memory_bytes(pid: int) -> int:
    """Address space in use by process `pid`."""
    return int(_read(f"/proc/{pid}/statm").split()[0]) * _PAGE_BYTES
