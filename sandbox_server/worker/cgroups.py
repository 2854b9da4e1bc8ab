"""One control group per slot, on cgroup v1 and v2: memory, processes and CPU time of a whole jail.

The jail's first process is moved into the group once; what it forks is born
there, so an execution costs no migration.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

_V1_CONTROLLERS = ("memory", "pids", "cpuacct")
_V2_CONTROLLERS = ("memory", "pids", "cpu")


class CgroupUnavailable(Exception):
    """No control groups can be made here. The message says why, and how to get them."""


@dataclass(frozen=True)
class Hierarchy:
    """Where this process may make groups: one folder on v2, one per controller on v1."""

    version: int
    parents: dict[str, Path]


def find_hierarchy(
    cgroup_file: Path = Path("/proc/self/cgroup"), mounts_file: Path = Path("/proc/self/mounts")
) -> Hierarchy:
    """Finds the groups that this process is in and may extend.

    Raises:
        CgroupUnavailable: there is no such group, or it is not delegated to this user.
    """
    try:
        own = _own_groups(cgroup_file.read_text())
        mounts = [line.split() for line in mounts_file.read_text().splitlines()]
    except OSError as e:
        raise CgroupUnavailable(f"cannot read {e.filename}: {e.strerror}") from e
    v1 = {
        controller: Path(mountpoint + own[controller])
        for _, mountpoint, kind, options, *_ in mounts
        if kind == "cgroup"
        for controller in set(options.split(",")) & set(_V1_CONTROLLERS) & set(own)
    }
    v2 = [Path(mountpoint + own[""]) for _, mountpoint, kind, *_ in mounts if kind == "cgroup2"]
    if set(v1) == set(_V1_CONTROLLERS):
        found = Hierarchy(1, v1)
    elif v2:
        found = Hierarchy(2, dict.fromkeys(_V2_CONTROLLERS, v2[0]))
    else:
        raise CgroupUnavailable("no cgroup file system is mounted: mount cgroup2")
    for parent in found.parents.values():
        if not os.access(parent, os.W_OK):
            raise CgroupUnavailable(
                f"{parent} is not delegated to this user: run as a systemd service with"
                " Delegate=yes, or as root"
            )
    if found.version == 2:
        _enable_v2_controllers(found.parents["memory"])
    return found


def _own_groups(text: str) -> dict[str, str]:
    """Path of this process's group by controller; the v2 hierarchy has the empty name."""
    own = {"": "/"}
    for line in text.splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    return own


def _enable_v2_controllers(parent: Path) -> None:
    """Lets `parent` have groups with controllers; it may then hold no process itself."""
    leaf = parent / f"plum-worker-{os.getpid()}"
    try:
        leaf.mkdir(exist_ok=True)
        for pid in (parent / "cgroup.procs").read_text().split():
            (leaf / "cgroup.procs").write_text(pid)
        switches = " ".join(f"+{name}" for name in _V2_CONTROLLERS)
        (parent / "cgroup.subtree_control").write_text(switches)
    except OSError as e:
        with contextlib.suppress(OSError):
            leaf.rmdir()
        raise CgroupUnavailable(f"{parent} cannot be divided: {e.strerror}") from e


@dataclass
class SlotCgroup:
    """The groups of one slot."""

    version: int
    folders: dict[str, Path]
    _set: dict[str, int] = field(default_factory=dict)
    #: Files that every execution uses stay open.
    _open: dict[str, int] = field(default_factory=dict)

    @classmethod
    def create(cls, hierarchy: Hierarchy, name: str) -> SlotCgroup:
        """Makes the groups.

        Raises:
            CgroupUnavailable: the kernel refused.
        """
        folders = {c: parent / name for c, parent in hierarchy.parents.items()}
        try:
            for folder in set(folders.values()):
                folder.mkdir(exist_ok=True)
            if hierarchy.version == 1:
                # Without this, a v1 group counts nothing of the groups below it.
                with contextlib.suppress(OSError):
                    (folders["memory"] / "memory.use_hierarchy").write_text("1")
        except OSError as e:
            raise CgroupUnavailable(f"cannot make {e.filename}: {e.strerror}") from e
        return cls(hierarchy.version, folders)

    def add(self, pid: int) -> None:
        """Moves process `pid` into the groups."""
        for folder in set(self.folders.values()):
            (folder / "cgroup.procs").write_text(str(pid))

    def set_limits(self, memory_bytes: int, processes: int) -> None:
        """Bounds memory, and processes and threads, of the group from now on."""
        names = ("memory.limit_in_bytes", "memory.max")
        self._write("memory", names[self.version - 1], memory_bytes)
        self._write("pids", "pids.max", processes)

    def _write(self, controller: str, name: str, value: int) -> None:
        if self._set.get(name) != value:
            (self.folders[controller] / name).write_text(str(value))
            self._set[name] = value

    def start_measuring(self) -> None:
        """Forgets the peak so far."""
        if self.version == 1:
            self._reset("memory", "memory.max_usage_in_bytes", "0")
        else:
            self._reset("memory", "memory.peak", "reset")  # since Linux 6.12

    def _reset(self, controller: str, name: str, value: str) -> None:
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor(controller, name, os.O_RDWR), value.encode(), 0)

    def cpu_time_s(self) -> float:
        """CPU time of everything that was ever in the group."""
        if self.version == 1:
            return int(self._read("cpuacct", "cpuacct.usage")) / 1e9
        return self._keyed("cpu", "cpu.stat")["usage_usec"] / 1e6

    def peak_memory_bytes(self) -> int:
        """Most memory at one time since `start_measuring` (since ever before Linux 6.12 on v2)."""
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        return int(self._read("memory", name))

    def oom_kills(self) -> int:
        """Processes of the group that the kernel has killed for want of memory, ever."""
        name = "memory.oom_control" if self.version == 1 else "memory.events"
        return self._keyed("memory", name)["oom_kill"]

    def _read(self, controller: str, name: str) -> str:
        descriptor = self._descriptor(controller, name, os.O_RDONLY)
        return os.pread(descriptor, 4096, 0).decode("ascii")

    def _descriptor(self, controller: str, name: str, mode: int) -> int:
        found = self._open.get(name)
        if found is None:
            path = self.folders[controller] / name
            found = self._open[name] = os.open(path, mode | os.O_CLOEXEC)
        return found

    def _keyed(self, controller: str, name: str) -> dict[str, int]:
        lines = self._read(controller, name).splitlines()
        return {key: int(value) for key, value in (line.split() for line in lines)}


def group_name(worker_pid: int, slot: int) -> str:
    """Name of a slot's groups; says whose they are, so that others can clean up after a kill."""
    return f"plum-{worker_pid}-{slot}"


def remove_groups_of_the_dead(hierarchy: Hierarchy, also: int | None = None) -> bool:
    """Removes the groups of workers that no longer run, and of the worker `also`.

    Returns: whether none of them is left.
    """
    left = 0
    for parent in set(hierarchy.parents.values()):
        for folder in parent.glob("plum-*-*"):
            pid = folder.name.split("-")[1]
            if pid.isdecimal() and (int(pid) == also or not os.path.exists(f"/proc/{pid}")):
                try:
                    folder.rmdir()
                except OSError:
                    left += 1  # its last processes are still on their way out
    return left == 0
