"""An unconfined stand-in for the jail, to test the Python judge by itself. Never for hostile rows."""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import select
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

IMAGE = Path(__file__).resolve().parents[2] / "images" / "python"
if str(IMAGE) not in sys.path:
    sys.path.insert(0, str(IMAGE))

harness: Any = importlib.import_module("harness")


@dataclass(frozen=True)
class Limits:
    cpu_time_s: float = 5
    wall_time_s: float = 10
    memory_bytes: int = 1 << 30


@dataclass(frozen=True)
class Task:
    solution: str
    test: str
    limits: Limits = Limits()


@dataclass(frozen=True)
class Exit:
    status: int | None
    signal: int | None


@dataclass(frozen=True)
class Facts:
    exits: dict[str, Exit]
    limit: str | None
    report: bytes | None


class PlainJail:
    """Forks the roles into one process group each, with rlimits and a wall clock."""

    def __init__(self, scratch: str, limits: Limits) -> None:
        self.scratch = scratch
        self._limits = limits
        self._handed: list[int] = []
        self.stdout = b""

    def hand_over(self, data: bytes) -> int:
        fd = os.memfd_create("text")
        os.write(fd, data)
        os.lseek(fd, 0, os.SEEK_SET)
        self._handed.append(fd)
        return fd

    def run_stage(
        self,
        roles: Sequence[Any],
        report_fd: int | None = None,
        close_after_fork: Sequence[int] = (),
    ) -> Facts:
        out = os.memfd_create("out")
        sys.stdout.flush()
        pids = {self._fork(role, out): role for role in roles}
        for fd in close_after_fork:
            os.close(fd)
        leader = next(iter(pids))
        ends, limit, report = self._watch(pids, leader, report_fd)
        exits = {role.name: ends.get(pid, Exit(None, None)) for pid, role in pids.items()}
        self.stdout += os.pread(out, 1 << 20, 0)
        os.close(out)
        if any(e.signal == signal.SIGXCPU for e in exits.values()):
            limit = "cpu"
        return Facts(exits, limit, report)

    def close(self) -> None:
        for fd in self._handed:
            os.close(fd)

    def _fork(self, role: Any, out: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        status = 70
        try:
            os.setpgid(0, 0)
            warnings.resetwarnings()
            keep = [os.dup(fd) for fd in role.fds]
            os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
            os.dup2(out, 1)
            os.dup2(out, 2)
            low = 3
            for fd in sorted(keep):
                os.closerange(low, fd)
                low = fd + 1
            os.closerange(low, 1024)
            os.chdir(self.scratch)
            cpu = max(1, int(self._limits.cpu_time_s))
            resource.setrlimit(resource.RLIMIT_CPU, (cpu, cpu + 1))
            memory = self._limits.memory_bytes
            resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
            module, _, function = role.entry.partition(":")
            status = getattr(importlib.import_module(f"harness.{module}"), function)(*keep)
        except Exception:  # noqa: BLE001 (whatever leaves a role ends it with 70)
            traceback.print_exc()
        finally:
            os._exit(status)

    def _watch(
        self, pids: dict[int, Any], leader: int, report_fd: int | None
    ) -> tuple[dict[int, Exit], str | None, bytes]:
        end = time.monotonic() + self._limits.wall_time_s
        report, ends, limit = b"", {}, None
        while leader not in ends:
            if time.monotonic() > end:
                limit = "wall"
                break
            if report_fd is not None and select.select([report_fd], [], [], 0.002)[0]:
                report += os.read(report_fd, 1 << 20)
            self._reap(pids, ends)
        time.sleep(0.002)
        self._reap(pids, ends)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            if pid not in ends:
                os.waitpid(pid, 0)
        while report_fd is not None and select.select([report_fd], [], [], 0)[0]:
            chunk = os.read(report_fd, 1 << 20)
            if not chunk:
                break
            report += chunk
        return ends, limit, report

    def _reap(self, pids: dict[int, Any], ends: dict[int, Exit]) -> None:
        for pid in pids:
            if pid in ends:
                continue
            done, status = os.waitpid(pid, os.WNOHANG)
            if done and os.WIFSIGNALED(status):
                ends[pid] = Exit(None, os.WTERMSIG(status))
            elif done:
                ends[pid] = Exit(os.WEXITSTATUS(status), None)


@contextlib.contextmanager
def plain_jail(scratch: Path, limits: Limits | None = None) -> Iterator[PlainJail]:
    jail = PlainJail(str(scratch), limits or Limits())
    try:
        yield jail
    finally:
        jail.close()
