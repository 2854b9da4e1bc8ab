from __future__ import annotations

import os
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
    (own / "cgroup.procs").write_text("")
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
    assert (own / "cgroup.subtree_control").read_text() == "+memory +pids +cpu"


def test_the_processes_of_a_divided_v2_group_move_into_a_leaf(tmp_path: Path) -> None:
    files = _v2(tmp_path)
    own = tmp_path / "unified" / "own"
    (own / "cgroup.procs").write_text(f"{os.getpid()}\n")
    cgroups.find_hierarchy(*files)
    leaf = own / f"plum-worker-{os.getpid()}"
    assert (leaf / "cgroup.procs").read_text() == str(os.getpid())


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
    group.set_limits(memory_bytes=1 << 20, processes=7)
    assert (memory / "memory.limit_in_bytes").read_text() == str(1 << 20)
    assert (tmp_path / "pids" / "own" / "plum-1-0" / "pids.max").read_text() == "7"
    assert group.oom_kills() == 2
    assert group.peak_memory_bytes() == 4096
    assert group.cpu_time_s() == 1.5


def test_v2_reads_and_writes_the_files_of_v2(tmp_path: Path) -> None:
    hierarchy = cgroups.find_hierarchy(*_v2(tmp_path))
    group = cgroups.SlotCgroup.create(hierarchy, "plum-1-0")
    folder = tmp_path / "unified" / "own" / "plum-1-0"
    _fill(folder, memory__events="low 0\nhigh 0\nmax 3\noom 1\noom_kill 1\n")
    _fill(folder, memory__peak="8192\n", cpu__stat="usage_usec 2500000\nuser_usec 1\n")
    group.set_limits(memory_bytes=1 << 21, processes=9)
    assert (folder / "memory.max").read_text() == str(1 << 21)
    assert (folder / "pids.max").read_text() == "9"
    assert group.oom_kills() == 1
    assert group.peak_memory_bytes() == 8192
    assert group.cpu_time_s() == 2.5


def test_only_groups_of_dead_workers_are_removed(tmp_path: Path) -> None:
    hierarchy = cgroups.find_hierarchy(*_v2(tmp_path))
    own = tmp_path / "unified" / "own"
    alive, dead = own / cgroups.group_name(os.getpid(), 0), own / cgroups.group_name(2**22 + 1, 0)
    alive.mkdir()
    dead.mkdir()
    assert cgroups.remove_groups_of_the_dead(hierarchy)
    assert alive.exists()
    assert not dead.exists()
