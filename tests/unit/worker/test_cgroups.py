from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox_server.worker import cgroups


def _machine(tmp_path: Path, cgroup: str, mounts: str) -> tuple[Path, Path]:
    (tmp_path / "cgroup").write_text(cgroup)
    (tmp_path / "mounts").write_text(mounts)
    return tmp_path / "cgroup", tmp_path / "mounts"


def _v1(tmp_path: Path) -> tuple[Path, Path]:
    for controller in ("memory", "pids", "cpuacct"):
        (tmp_path / controller / "own").mkdir(parents=True)
    mounts = "".join(
        f"cgroup {tmp_path}/{c} cgroup rw,relatime,{c} 0 0\n" for c in ("memory", "pids", "cpuacct")
    )
    return _machine(tmp_path, "3:memory:/own\n2:pids:/own\n1:cpuacct:/own\n0::/\n", mounts)


def _v2(tmp_path: Path) -> tuple[Path, Path]:
    own = tmp_path / "unified" / "own"
    own.mkdir(parents=True)
    _fill(own, cgroup__procs="", cgroup__subtree_control="", cgroup__type="domain\n")
    _fill(own, cgroup__controllers="cpuset cpu io memory hugetlb pids\n")
    mounts = f"cgroup2 {tmp_path}/unified cgroup2 rw 0 0\n"
    return _machine(tmp_path, "0::/own\n", mounts)


def test_v1_has_a_parent_for_each_controller(tmp_path: Path) -> None:
    found = cgroups.find_hierarchy(*_v1(tmp_path))
    assert found.version == 1
    assert found.parents["pids"] == tmp_path / "pids" / "own"


def test_v2_has_one_parent_whose_controllers_are_handed_down(tmp_path: Path) -> None:
    found = cgroups.find_hierarchy(*_v2(tmp_path))
    own = tmp_path / "unified" / "own"
    assert found.version == 2
    assert set(found.parents.values()) == {own}
    assert (own / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_the_processes_of_a_divided_v2_group_move_into_a_leaf(tmp_path: Path) -> None:
    files = _v2(tmp_path)
    own = tmp_path / "unified" / "own"
    (own / "cgroup.procs").write_text(f"{os.getpid()}\n")
    cgroups.find_hierarchy(*files)
    leaf = own / f"plum-worker-{os.getpid()}"
    assert (leaf / "cgroup.procs").read_text() == str(os.getpid())


def test_a_v2_group_without_the_controllers_is_left_as_it_is(tmp_path: Path) -> None:
    files = _v2(tmp_path)
    own = tmp_path / "unified" / "own"
    _fill(own, cgroup__controllers="hugetlb pids\n", cgroup__procs=f"{os.getpid()}\n")
    with pytest.raises(cgroups.CgroupUnavailable, match="has no controller memory: "):
        cgroups.find_hierarchy(*files)
    assert not list(own.glob("plum-*"))


def test_the_processes_of_the_v2_root_stay_where_they_are(tmp_path: Path) -> None:
    files = _v2(tmp_path)
    own = tmp_path / "unified" / "own"
    (own / "cgroup.type").unlink()
    _fill(own, cgroup__procs=f"{os.getpid()}\n")
    cgroups.find_hierarchy(*files)
    assert not list(own.glob("plum-*"))
    assert (own / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_the_second_worker_of_a_gateway_divides_no_group_again(tmp_path: Path) -> None:
    _, mounts = _v2(tmp_path)
    own = tmp_path / "unified" / "own"
    _fill(own, cgroup__subtree_control="cpu memory pids\n")
    leaf = own / "plum-worker-7"
    _fill(leaf, cgroup__procs=f"{os.getpid()}\n")
    (tmp_path / "cgroup").write_text("0::/own/plum-worker-7\n")
    found = cgroups.find_hierarchy(tmp_path / "cgroup", mounts)
    assert set(found.parents.values()) == {own}
    assert not list(leaf.glob("plum-*"))


@pytest.fixture
def real_v2() -> Iterator[Path]:
    """A group of our own in this machine's v2 hierarchy."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    found = [Path(mountpoint) for _, mountpoint, kind, *_ in mounts if kind == "cgroup2"]
    if not found or not os.access(found[0], os.W_OK):
        pytest.skip("no cgroup v2 hierarchy that this user may extend is mounted")
    group = found[0] / f"plumtest-{os.getpid()}"
    group.mkdir()
    yield group
    for child in group.glob("plum-*"):
        child.rmdir()
    group.rmdir()


def test_a_real_v2_group_counts_the_time_of_what_is_moved_into_it(real_v2: Path) -> None:
    hierarchy = cgroups.Hierarchy(2, dict.fromkeys(("memory", "pids", "cpu"), real_v2))
    group = cgroups.SlotCgroup.create(hierarchy, cgroups.group_name(2**22 + 1, 0))
    burn = "import sys, time; sys.stdin.read()\nwhile time.process_time() < 0.2: pass"
    with subprocess.Popen([sys.executable, "-c", burn], stdin=subprocess.PIPE) as process:
        group.add(process.pid)
        assert f"/plum-{2**22 + 1}-0" in Path(f"/proc/{process.pid}/cgroup").read_text()
        before = group.cpu_time_s()
        process.communicate()
    assert group.cpu_time_s() - before >= 0.1
    assert cgroups.remove_groups_of_the_dead(hierarchy)
    assert not list(real_v2.glob("plum-*"))


def test_a_real_v2_group_is_divided_or_the_missing_controllers_are_named(real_v2: Path) -> None:
    offered = (real_v2 / "cgroup.controllers").read_text().split()
    missing = {"memory", "pids"} - set(offered)
    if missing:
        with pytest.raises(cgroups.CgroupUnavailable, match="has no controller"):
            cgroups._enable_v2_controllers(real_v2)
    else:
        cgroups._enable_v2_controllers(real_v2)
        enabled = (real_v2 / "cgroup.subtree_control").read_text().split()
        assert {"memory", "pids"} <= set(enabled)


def test_no_cgroup_file_system_is_said_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(cgroups.CgroupUnavailable, match="mount cgroup2"):
        cgroups.find_hierarchy(*_machine(tmp_path, "0::/\n", "proc /proc proc rw 0 0\n"))


def _fill(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_v1_reads_and_writes_the_files_of_v1(tmp_path: Path) -> None:
    hierarchy = cgroups.find_hierarchy(*_v1(tmp_path))
    group = cgroups.SlotCgroup.create(hierarchy, "plum-1-0")
    memory = tmp_path / "memory" / "own" / "plum-1-0"
    _fill(memory, memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n")
    _fill(memory, memory__max_usage_in_bytes="4096\n")
    _fill(tmp_path / "cpuacct" / "own" / "plum-1-0", cpuacct__usage="1500000000\n")
    _fill(memory, memory__failcnt="5\n", memory__usage_in_bytes="1024\n")
    group.set_limits(memory_bytes=1 << 20, processes=7)
    assert (memory / "memory.limit_in_bytes").read_text() == str(1 << 20)
    assert (tmp_path / "pids" / "own" / "plum-1-0" / "pids.max").read_text() == "7"
    assert group.memory_events() == (2, 5)
    assert group.memory_bytes() == 1024
    assert group.peak_memory_bytes() == 4096
    assert group.cpu_time_s() == 1.5


def test_v2_reads_and_writes_the_files_of_v2(tmp_path: Path) -> None:
    hierarchy = cgroups.find_hierarchy(*_v2(tmp_path))
    group = cgroups.SlotCgroup.create(hierarchy, "plum-1-0")
    folder = tmp_path / "unified" / "own" / "plum-1-0"
    _fill(folder, memory__events="low 0\nhigh 0\nmax 3\noom 2\noom_kill 1\n")
    _fill(folder, memory__peak="8192\n", cpu__stat="usage_usec 2500000\nuser_usec 1\n")
    _fill(folder, memory__current="512\n")
    group.set_limits(memory_bytes=1 << 21, processes=9)
    assert (folder / "memory.max").read_text() == str(1 << 21)
    assert (folder / "pids.max").read_text() == "9"
    assert group.memory_events() == (1, 2)
    assert group.memory_bytes() == 512
    assert group.peak_memory_bytes() == 8192
    assert group.cpu_time_s() == 2.5


@pytest.mark.parametrize(("version", "name"), [(1, "memory.swappiness"), (2, "memory.swap.max")])
def test_a_group_is_kept_from_swap_where_the_kernel_has_any(
    tmp_path: Path, version: int, name: str
) -> None:
    cgroups._keep_from_swap(version, tmp_path)
    assert not list(tmp_path.iterdir())
    (tmp_path / name).write_text("60")
    cgroups._keep_from_swap(version, tmp_path)
    assert (tmp_path / name).read_text() == "0"


@pytest.fixture
def group_v2(tmp_path: Path) -> tuple[cgroups.SlotCgroup, Path]:
    """A group of v2 that nobody manages, and its folder."""
    group = cgroups.SlotCgroup.create(cgroups.find_hierarchy(*_v2(tmp_path)), "plum-1-0")
    return group, tmp_path / "unified" / "own" / "plum-1-0"


def test_a_kernel_that_forgets_peaks_tells_each(group_v2: tuple[cgroups.SlotCgroup, Path]) -> None:
    group, folder = group_v2
    _fill(folder, memory__peak="900\n")
    group.start_measuring()
    assert (folder / "memory.peak").read_text() == "reset"
    _fill(folder, memory__peak="800\n")
    assert group.tells_peak
    assert group.peak_memory_bytes() == 800


def test_a_peak_that_the_kernel_does_not_forget_is_told_once_and_not_again(
    group_v2: tuple[cgroups.SlotCgroup, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, "before Linux 6.12")

    monkeypatch.setattr(os, "pwrite", refuse)
    group, folder = group_v2
    _fill(folder, memory__peak="700\n")
    group.start_measuring()
    assert not group.tells_peak
    assert group.peak_memory_bytes() is None
    _fill(folder, memory__peak="900\n")
    assert group.peak_memory_bytes() == 900
    group.start_measuring()
    assert group.peak_memory_bytes() is None


def test_a_kernel_without_peaks_tells_none(group_v2: tuple[cgroups.SlotCgroup, Path]) -> None:
    group, _ = group_v2
    group.start_measuring()
    assert not group.tells_peak
    assert group.peak_memory_bytes() is None


def test_a_group_in_which_processes_are_started_meanwhile_is_divided_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a gateway does that starts its other workers."""
    files = _v2(tmp_path)
    own = tmp_path / "unified" / "own"
    really, busy = Path.write_text, [True, True]

    def write(path: Path, text: str) -> int:
        if path.name == "cgroup.subtree_control" and busy:
            busy.pop()
            raise OSError(errno.EBUSY, "Device or resource busy")
        return really(path, text)

    monkeypatch.setattr(Path, "write_text", write)
    cgroups.find_hierarchy(*files)
    assert (own / "cgroup.subtree_control").read_text() == "+memory +pids"


def test_a_group_that_stays_busy_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = _v2(tmp_path)
    really = Path.write_text

    def write(path: Path, text: str) -> int:
        if path.name == "cgroup.subtree_control":
            raise OSError(errno.EBUSY, "Device or resource busy")
        return really(path, text)

    monkeypatch.setattr(Path, "write_text", write)
    with pytest.raises(cgroups.CgroupUnavailable, match="cannot be divided: Device or resource"):
        cgroups.find_hierarchy(*files)


def test_only_groups_of_dead_workers_are_removed(tmp_path: Path) -> None:
    hierarchy = cgroups.find_hierarchy(*_v2(tmp_path))
    own = tmp_path / "unified" / "own"
    alive, dead = own / cgroups.group_name(os.getpid(), 0), own / cgroups.group_name(2**22 + 1, 0)
    alive.mkdir()
    dead.mkdir()
    assert cgroups.remove_groups_of_the_dead(hierarchy)
    assert alive.exists()
    assert not dead.exists()
