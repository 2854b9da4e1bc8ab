"""One control group per slot, on cgroup v1 and v2: memory, processes and CPU time of a whole jail.

The jail's first process is moved into the group once; what it forks is born
there, so an execution costs no migration.
"""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

_V1_CONTROLLERS = ("memory", "pids", "cpuacct")
#: CPU time is counted in every group of v2. Its controller is not needed, and a user's session
#: often does not have it.
_V2_CONTROLLERS = ("memory", "pids")
_LEAF_PREFIX = "plum-worker-"
#: How often a group is emptied again where processes were started in it meanwhile.
_MOST_DIVISIONS = 100


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
    # A worker whose gateway was moved aside by a worker before it divides the same group.
    v2 = [group.parent if group.name.startswith(_LEAF_PREFIX) else group for group in v2]
    if set(v1) == set(_V1_CONTROLLERS):
        found = Hierarchy(1, v1)
    elif v2:
        found = Hierarchy(2, dict.fromkeys((*_V2_CONTROLLERS, "cpu"), v2[0]))
    else:
        raise CgroupUnavailable("no cgroup file system is mounted: mount cgroup2")
    for parent in found.parents.values():
        if not os.access(parent, os.W_OK):
            raise CgroupUnavailable(
                f"{parent} is not delegated to this user: run as a systemd service with"
                " Delegate=yes (or by systemd-run --user --scope -p Delegate=yes), or as root"
                " where it is not mounted read-only"
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
    try:
        offered = (parent / "cgroup.controllers").read_text().split()
        enabled = (parent / "cgroup.subtree_control").read_text().split()
        # Before any process is moved: nothing is to change where it would be in vain.
        if missing := [name for name in _V2_CONTROLLERS if name not in offered]:
            raise CgroupUnavailable(
                f"{parent} has no controller {', '.join(missing)}: cgroup v1 has it here, or it is"
                " not delegated (systemd: Delegate=yes)"
            )
        if not set(_V2_CONTROLLERS) <= set(enabled):
            _divide(parent)
    except OSError as e:
        raise CgroupUnavailable(f"{parent} cannot be divided: {e.strerror}") from e


def _divide(parent: Path) -> None:
    """Moves the processes of `parent` aside and hands its controllers down.

    Raises:
        OSError: the kernel refused.
    """
    # The root of the hierarchy has no type, and may hold processes beside groups.
    is_root = not (parent / "cgroup.type").exists()
    switches = " ".join(f"+{name}" for name in _V2_CONTROLLERS)
    for left in reversed(range(_MOST_DIVISIONS)):
        if not is_root:
            _move_processes(parent, parent / f"{_LEAF_PREFIX}{os.getpid()}")
        try:
            (parent / "cgroup.subtree_control").write_text(switches)
            return
        except OSError as e:
            # A gateway starts workers meanwhile, which are born beside it.
            if e.errno != errno.EBUSY or not left:
                raise


def _move_processes(group: Path, leaf: Path) -> None:
    leaf.mkdir(exist_ok=True)
    for pid in (group / "cgroup.procs").read_text().split():
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            (leaf / "cgroup.procs").write_text(pid)


class MemoryEvents(NamedTuple):
    """What has happened to a group for want of memory, since it was made."""

    #: Processes of the group that the kernel has killed.
    kills: int
    #: How often its own limit stood in the way, and not one around it or the machine's end.
    at_limit: int


@dataclass
class SlotCgroup:
    """The groups of one slot."""

    version: int
    folders: dict[str, Path]
    _set: dict[str, int] = field(default_factory=dict)
    #: The peak that the kernel did not forget when measuring began; None: it forgot.
    _old_peak_bytes: int | None = None
    #: Files that every execution uses stay open.
    _open: dict[str, int] = field(default_factory=dict)
    #: What was last read of events, and what it says: mostly the same as before.
    _told: tuple[tuple[str, ...], MemoryEvents] | None = None

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
            _keep_from_swap(hierarchy.version, folders["memory"])
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
            self._reset("memory.max_usage_in_bytes", "0")
        elif not self._reset("memory.peak", "reset"):  # before Linux 6.12
            self._old_peak_bytes = self._peak_ever_bytes() or 0

    def _reset(self, name: str, value: str) -> bool:
        try:
            os.pwrite(self._descriptor("memory", name, os.O_RDWR), value.encode(), 0)
        except OSError:
            return False
        return True

    def cpu_time_s(self) -> float:
        """CPU time of everything that was ever in the group."""
        if self.version == 1:
            return int(self._read("cpuacct", "cpuacct.usage")) / 1e9
        return _keyed(self._read("cpu", "cpu.stat"))["usage_usec"] / 1e6

    @property
    def tells_peak(self) -> bool:
        """Whether the kernel tells the peak of each measurement (on v2 since Linux 6.12)."""
        return self._old_peak_bytes is None

    def peak_memory_bytes(self) -> int | None:
        """Most memory at one time since `start_measuring`.

        None where the kernel does not say: on v2 before Linux 6.12, unless it is the most that the
        group ever had, and before 5.19.
        """
        ever = self._peak_ever_bytes()
        if self._old_peak_bytes is not None and (ever is None or ever <= self._old_peak_bytes):
            return None
        return ever

    def _peak_ever_bytes(self) -> int | None:
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        with contextlib.suppress(FileNotFoundError):  # before Linux 5.19
            return int(self._read("memory", name))
        return None

    def memory_bytes(self) -> int:
        """Memory of the group now."""
        name = "memory.usage_in_bytes" if self.version == 1 else "memory.current"
        return int(self._read("memory", name))

    def memory_events(self) -> MemoryEvents:
        """What has happened to the group for want of memory, ever."""
        names = (
            ("memory.oom_control", "memory.failcnt") if self.version == 1 else ("memory.events",)
        )
        texts = tuple(self._read("memory", name) for name in names)
        if self._told is None or self._told[0] != texts:
            events = _keyed(texts[0])
            at_limit = int(texts[1]) if self.version == 1 else events["oom"]
            self._told = texts, MemoryEvents(events["oom_kill"], at_limit)
        return self._told[1]

    def _read(self, controller: str, name: str) -> str:
        descriptor = self._descriptor(controller, name, os.O_RDONLY)
        return os.pread(descriptor, 4096, 0).decode("ascii")

    def _descriptor(self, controller: str, name: str, mode: int) -> int:
        found = self._open.get(name)
        if found is None:
            path = self.folders[controller] / name
            found = self._open[name] = os.open(path, mode | os.O_CLOEXEC)
        return found


def _keyed(text: str) -> dict[str, int]:
    return {key: int(value) for key, value in (line.split() for line in text.splitlines())}


def _keep_from_swap(version: int, folder: Path) -> None:
    """Lets the group `folder` have nothing but memory, so that a limit bounds all that it has.

    Raises:
        OSError: the kernel refused.
    """
    switch = folder / ("memory.swappiness" if version == 1 else "memory.swap.max")
    if switch.exists():  # not where the kernel has no swap
        switch.write_text("0")


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
