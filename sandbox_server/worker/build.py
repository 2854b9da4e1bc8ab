"""Builds a slot's jail: namespaces, users, file system, then the first process in it.

A builder process makes the namespaces, since a pid namespace begins with the
next child; it forks the jail's first process, says how it went, and ends.
"""

from __future__ import annotations

import contextlib
import os
from _socket import SocketType, sethostname
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sandbox_server.worker import confine, linux, messages, rootfs
from sandbox_server.worker.accounting import virtual_memory_bytes
from sandbox_server.worker.errors import JailError
from sandbox_server.worker.init import Init, settle
from sandbox_server.worker.isolation import Layer
from sandbox_server.worker.writable import WritableFolders

#: First host user of the jails, where the worker may map users. Nobody else's.
JAIL_UID_BASE = 2_000_000_000

_NAMESPACES = {
    "user_namespace": (linux.CLONE_NEWUSER, "no privileges outside the jail"),
    "mount_namespace": (linux.CLONE_NEWNS, "mounts of its own"),
    "pid_namespace": (linux.CLONE_NEWPID, "no other process in sight, killed as a whole"),
    "network_namespace": (linux.CLONE_NEWNET, "no network, not even loopback"),
    "ipc_namespace": (linux.CLONE_NEWIPC, "no shared memory or semaphores of others"),
    "uts_namespace": (linux.CLONE_NEWUTS, "no host name"),
}
_NAMESPACE_HELP = (
    "allow unprivileged user namespaces (sysctl user.max_user_namespaces above 0,"
    " kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0),"
    " and in a container a seccomp profile that lets the worker unshare and mount"
)


class JailSettings(NamedTuple):
    """What every jail of this worker has in common."""

    confinement: confine.Confinement
    #: For the first process, before it forks any role.
    first_filter: linux.SeccompFilter | None
    #: Why a layer of `confinement` is not in force, by layer name.
    missing: dict[str, str]
    file_bytes: int
    #: Shown to programs, read-only, beside what every jail has.
    folders: tuple[str, ...] = ()
    #: Symbolic links that they find, by path.
    links: Mapping[str, str] = {}


def build_jail(control: SocketType, slot: int, settings: JailSettings) -> None:
    """In the builder: makes the jail and forks its first process, which serves `control`."""
    folders = rootfs.toolchain_folders(settings.folders)
    base = virtual_memory_bytes(os.getpid())
    confinement = settings.confinement._replace(base_address_space_bytes=base)
    gate_read, gate_write = os.pipe()
    try:
        _unshare(slot, confinement.separate_users)
    except OSError as e:
        detail = f"{e}; {_NAMESPACE_HELP}"
        layers = [Layer(name, False, detail) for name in _NAMESPACES]
        _say(control, "forked", pid=0, error=detail, layers=layers)
        return
    pid = os.fork()
    if pid == 0:
        os.close(gate_write)
        os.read(gate_read, 1)
        os.close(gate_read)
        _live(control, folders, settings, confinement)
        return
    # Whether mounts are its own is for the first process to say.
    made = {n: gives for n, (_, gives) in _NAMESPACES.items() if n != "mount_namespace"}
    layers = [Layer(name, True, gives) for name, gives in made.items()]
    _say(control, "forked", pid=pid, error=None, layers=layers)
    # Only now may the first process speak: its own words come second.
    os.close(gate_write)


def _say(
    control: SocketType, op: str, pid: int, error: str | None, layers: Sequence[Layer]
) -> None:
    told = [layer.to_message() for layer in layers]
    messages.send(control, {"op": op, "pid": pid, "error": error, "layers": told})


def jail_came_up(control: SocketType) -> tuple[int, str | None, list[Layer]]:
    """In the supervisor: pid of the first process, why there is none, and the layers.

    Raises:
        JailError: the builder or the first process died without a word.
    """
    layers: list[Layer] = []
    pid = 0
    for _ in ("forked", "built"):
        received = messages.receive(control)
        if received is None:
            raise JailError("the jail died while it was built")
        message, _fds = received
        layers += [Layer(**layer) for layer in message["layers"]]
        pid = message["pid"] or pid
        if message["error"] is not None:
            return 0, message["error"], layers
    return pid, None, layers


def _unshare(slot: int, separate_users: bool) -> None:
    flags = 0
    for flag, _ in _NAMESPACES.values():
        flags |= flag
    if not separate_users:
        uid, gid = os.getuid(), os.getgid()
        linux.unshare(flags)
        with contextlib.suppress(FileNotFoundError):  # gVisor has none, and needs none
            _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{confine.CANDIDATE_UID} {uid} 1")
        _write("/proc/self/gid_map", f"{confine.CANDIDATE_UID} {gid} 1")
        return
    first = JAIL_UID_BASE + 2 * slot
    users = f"0 0 1\n{confine.CANDIDATE_UID} {first} 1\n{confine.JUDGE_UID} {first + 1} 1\n"
    mapper = _fork_mapper(os.getpid(), users)
    linux.unshare(flags)
    mapper.finish()
    os.setgroups([])


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


class _Mapper(NamedTuple):
    pid: int
    go_fd: int

    def finish(self) -> None:
        """Lets it write the maps, and waits until it has.

        Raises:
            OSError: it could not.
        """
        os.close(self.go_fd)
        _, status = os.waitpid(self.pid, 0)
        if status != 0:
            raise OSError(status, "the users of the jail could not be mapped")


def _fork_mapper(target: int, users: str) -> _Mapper:
    """A process that stays outside, where the right to map several users is."""
    wait_fd, go_fd = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.close(go_fd)
            os.read(wait_fd, 1)
            _write(f"/proc/{target}/uid_map", users)
            _write(f"/proc/{target}/gid_map", users)
            status = 0
        finally:
            os._exit(status)
    os.close(wait_fd)
    return _Mapper(pid, go_fd)


def _live(
    control: SocketType,
    folders: Sequence[str],
    settings: JailSettings,
    confinement: confine.Confinement,
) -> None:
    """The first process's whole life."""
    os.setsid()
    try:
        private, root_layers = _make_root(folders, settings.links)
        sethostname("jail")
        if "landlock" not in settings.missing:
            confinement = confinement._replace(landlock_fd=linux.landlock_ruleset())
        settle()
        if confinement.landlock_fd is not None:
            linux.landlock_restrict(confinement.landlock_fd)
        if settings.first_filter is not None:
            linux.install_seccomp(settings.first_filter)
    except OSError as e:
        layer = Layer("private_root", False, str(e))
        _say(control, "built", pid=0, error=f"{e}; {_NAMESPACE_HELP}", layers=[layer])
        return
    layers = [*root_layers, *_inner_layers(settings.missing)]
    _say(control, "built", pid=0, error=None, layers=layers)
    Init(control, confinement, private, settings.file_bytes).serve()


def _make_root(
    folders: Sequence[str], links: Mapping[str, str]
) -> tuple[WritableFolders, list[Layer]]:
    """A root of mounts of its own, or a prepared one where the platform lets nobody mount."""
    _, own_mounts = _NAMESPACES["mount_namespace"]
    try:
        rootfs.detach_mounts()
    except OSError as e:
        if not rootfs.is_prepared():
            raise
        detail = (
            f"{e}; the jail's root is the container's read-only {rootfs.PREPARED} and its slots"
            " share their scratch folders, so there is one slot: use another container runtime,"
            " or accept this with --require-isolation contained"
        )
        gives = "the image's toolchain read-only, scratch folders emptied after each execution"
        layers = [Layer("mount_namespace", False, detail), Layer("private_root", True, gives)]
        return rootfs.enter_prepared(), layers
    gives = "the toolchain read-only, private /tmp and /dev/shm, nothing else"
    layers = [Layer("mount_namespace", True, own_mounts), Layer("private_root", True, gives)]
    return rootfs.build(folders, links), layers


def _inner_layers(missing: dict[str, str]) -> list[Layer]:
    gives = {
        "no_capabilities": "none, and none to be had (no new privileges)",
        "resource_limits": "CPU, address space, processes, files, open files",
        "seccomp": "an allow-list of system calls",
        "landlock": "no TCP, no signals or abstract sockets beyond the process's own",
        "separate_users": "the candidate is another user than its judge",
    }
    return [
        Layer(name, name not in missing, missing.get(name, detail))
        for name, detail in gives.items()
    ]
