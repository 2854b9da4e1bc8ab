"""What a sandbox server and everything below it uses."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tests.worker_process import descendants

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class CpuTime:
    """Of the gateway itself, and of the workers with all that they have forked."""

    gateway_s: float = 0.0
    workers_s: float = 0.0

    def __add__(self, more: CpuTime) -> CpuTime:
        return CpuTime(self.gateway_s + more.gateway_s, self.workers_s + more.workers_s)

    def __sub__(self, earlier: CpuTime) -> CpuTime:
        return CpuTime(self.gateway_s - earlier.gateway_s, self.workers_s - earlier.workers_s)


def gateway_of(address: str) -> int:
    """The process, below this one, that serves at `address`."""
    for pid in descendants(os.getpid()):
        if address.encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
            return pid
    raise LookupError(f"no process below this one serves at {address}")


def cpu_time(gateway: int) -> CpuTime:
    """Used so far; of processes that are gone, by those that waited for them."""
    own_s, _ = _cpu_s(gateway)
    return CpuTime(own_s, sum(sum(_cpu_s(pid)) for pid in descendants(gateway)))


def memory_kb(gateway: int) -> int:
    """Memory of the server and everything below it, shared pages counted once."""
    total_kb = 0
    for pid in (gateway, *descendants(gateway)):
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        total_kb += sum(int(line.split()[1]) for line in rollup.splitlines() if "Pss:" in line)
    return total_kb


def _cpu_s(pid: int) -> tuple[float, float]:
    """Of a process, and of its children that it waited for."""
    stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    user, system, of_children, system_of_children = map(int, stat.rpartition(")")[2].split()[11:15])
    return (user + system) / _TICKS_PER_S, (of_children + system_of_children) / _TICKS_PER_S
