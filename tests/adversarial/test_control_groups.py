"""What control groups promise, asked of real workers on whichever version this machine has."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from sandbox_server.worker import cgroups
from tests.worker_process import WorkerProcess

pytestmark = pytest.mark.live

_MIB = 1 << 20
_LIMIT_BYTES = 256 * _MIB
#: An emulated processor takes long to touch so many pages.
_PATIENT = {"cpu_time_s": 300, "wall_time_s": 600}
#: Each has more than the limit, and no process of it has much.
TOGETHER = {
    "processes": """
import os, time
def f():
    for _ in range(8):
        if os.fork() == 0:
            x = bytearray(48 << 20); x[::4096] = b'x' * len(x[::4096]); time.sleep(600)
    time.sleep(600)
""",
    "shared memory": """
import mmap
def f():
    x = mmap.mmap(-1, 320 << 20); x[::4096] = b'x' * len(x[::4096])
    return 1
""",
    "shared memory of children": """
import mmap, os, time
def f():
    for _ in range(8):
        if os.fork() == 0:
            x = mmap.mmap(-1, 48 << 20); x[::4096] = b'x' * len(x[::4096]); time.sleep(600)
    time.sleep(600)
""",
    "files and a process": """
import os
def f():
    for n in range(48):
        with open(f'/tmp/{n}', 'wb') as file: file.write(bytes(1 << 20))
    x = bytearray(230 << 20); x[::4096] = b'x' * len(x[::4096])
    return 1
""",
}


@pytest.fixture(scope="module")
def hierarchy() -> cgroups.Hierarchy:
    """Where this user may make groups."""
    try:
        return cgroups.find_hierarchy()
    except cgroups.CgroupUnavailable as e:
        pytest.skip(f"no control groups here: {e}")


@pytest.fixture(scope="module")
def worker(hierarchy: cgroups.Hierarchy) -> Iterator[WorkerProcess]:
    worker = WorkerProcess(1)
    layers = {layer["name"]: layer for layer in worker.first["isolation"]}
    for name in ("memory_cgroup", "pids_cgroup", "cpu_cgroup"):
        assert layers[name]["in_force"], layers[name]
        assert f"cgroup v{hierarchy.version}," in layers[name]["detail"]
    yield worker
    assert worker.close() == 0


@pytest.mark.parametrize("solution", TOGETHER.values(), ids=TOGETHER.keys())
def test_memory_is_bounded_over_all_that_a_jail_has(worker: WorkerProcess, solution: str) -> None:
    limits = {"memory_bytes": _LIMIT_BYTES, "file_bytes": 512 * _MIB}
    result = worker.execute(solution, "assert f() == 1\n", **limits, **_PATIENT)
    assert result["verdict"] == "MEMORY_LIMIT_EXCEEDED", result
    # The kernel counts in pages per processor, and a little late.
    assert result["usage"]["memory_bytes"] <= _LIMIT_BYTES + 16 * _MIB
    assert worker.execute("x = 1", "assert x == 1\n")["verdict"] == "PASSED"


def test_what_one_execution_had_is_not_counted_for_the_next(worker: WorkerProcess) -> None:
    large = (
        "def f():\n    x = bytearray(160 << 20); x[::4096] = b'x' * len(x[::4096])\n    return 1\n"
    )
    first = worker.execute(large, "assert f() == 1\n", **_PATIENT)
    second = worker.execute("def f():\n    return 1\n", "assert f() == 1\n", **_PATIENT)
    assert first["verdict"] == second["verdict"] == "PASSED"
    assert first["usage"]["memory_bytes"] >= 160 * _MIB
    assert 0 < second["usage"]["memory_bytes"] <= 96 * _MIB


def test_cpu_time_of_all_processes_counts(worker: WorkerProcess) -> None:
    solution = """
import os
def f():
    for _ in range(4):
        if os.fork() == 0:
            while True: pass
    os.wait()
"""
    result = worker.execute(solution, "f()\n", cpu_time_s=1.0, wall_time_s=600)
    assert result["verdict"] == "TIME_LIMIT_EXCEEDED", result
    assert result["usage"]["cpu_time_s"] >= 1.0


def test_processes_are_bounded(worker: WorkerProcess) -> None:
    solution = """
import os, time
def f():
    for made in range(500):
        try: pid = os.fork()
        except BlockingIOError: return made
        if pid == 0: time.sleep(600)
"""
    result = worker.execute(solution, "assert f() <= 12\n", processes=8, **_PATIENT)
    assert result["verdict"] == "PASSED", result


def _groups(hierarchy: cgroups.Hierarchy, pid: int) -> list[Path]:
    parents = set(hierarchy.parents.values())
    return [folder for parent in parents for folder in parent.glob(f"plum-{pid}-*")]


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_no_group_is_left_of_a_worker_that_ends(hierarchy: cgroups.Hierarchy) -> None:
    worker = WorkerProcess(2)
    pid = worker.process.pid
    assert _groups(hierarchy, pid)
    assert worker.close() == 0
    assert not _groups(hierarchy, pid)


def test_no_group_is_left_of_a_killed_worker_when_the_next_one_has_come_and_gone(
    hierarchy: cgroups.Hierarchy,
) -> None:
    killed = WorkerProcess(1)
    pid = killed.process.pid
    killed.start("while True: pass", "assert True\n")
    os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(OSError):
        killed.close()
    assert WorkerProcess(1).close() == 0
    _until(lambda: not _groups(hierarchy, pid))


def test_workers_that_start_at_once_all_have_groups() -> None:
    """As those of a gateway with several languages do, in a group that nobody has divided yet."""
    with ThreadPoolExecutor(3) as pool:
        workers = list(pool.map(lambda _: WorkerProcess(1), range(3)))
    layers = [{la["name"]: la["in_force"] for la in w.first["isolation"]} for w in workers]
    assert [worker.close() for worker in workers] == [0, 0, 0]
    can_be_had = True
    try:
        cgroups.find_hierarchy()
    except cgroups.CgroupUnavailable:
        can_be_had = False
    assert [found["memory_cgroup"] for found in layers] == [can_be_had] * 3


def _is_empty(folder: Path) -> bool:
    return not (folder / "cgroup.procs").read_text()


@contextlib.contextmanager
def _group_of_at_most(memory_bytes: int, hierarchy: cgroups.Hierarchy) -> Iterator[Path]:
    """A group whose processes may have so much memory."""
    around = hierarchy.parents["memory"] / f"plumtest-{os.getpid()}"
    around.mkdir()
    limit = "memory.limit_in_bytes" if hierarchy.version == 1 else "memory.max"
    (around / limit).write_text(str(memory_bytes))
    try:
        yield around
    finally:
        for folder in (*around.glob("plum-*"), around):
            # What the worker has killed may still be on its way out.
            _until(partial(_is_empty, folder))
            folder.rmdir()


def test_memory_that_runs_out_around_a_jail_is_no_verdict(
    hierarchy: cgroups.Hierarchy, tmp_path: Path
) -> None:
    solution = (
        "def f():\n    x = bytearray(300 << 20); x[::4096] = b'x' * len(x[::4096])\n    return 1\n"
    )
    with _group_of_at_most(224 * _MIB, hierarchy) as group:
        python = tmp_path / "python-in-a-group"
        python.write_text(f'#!/bin/sh\necho $$ >{group}/cgroup.procs\nexec {sys.executable} "$@"\n')
        python.chmod(0o755)
        worker = WorkerProcess(1, python=python)
        seq = worker.start(solution, "assert f() == 1\n", **_PATIENT)
        answer = worker.receive()
        assert worker.close() == 0
    assert (answer["op"], answer["seq"]) == ("failed", seq), answer
    assert "memory ran out around the jail" in answer["message"]
