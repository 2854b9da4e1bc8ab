"""The jail's file system: the toolchain read-only, a few devices, and two private tmpfs.

Built with detached mounts (open_tree, move_mount), so that it does not matter
where the toolchain lives, be it below the folder that the new root is mounted on.

Where nobody may mount (gVisor of 2022), a container's read-only image can hold a
folder that serves as a root as it is; see `is_prepared`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from sandbox_server.worker import linux
from sandbox_server.worker.writable import (
    SCRATCH,
    SHARED_MEMORY,
    PreparedFolders,
    PrivateFolders,
    WritableFolders,
)

#: Of an image: a folder that links to itself by its own name, so that the toolchain is found by
#: the same paths when it is the root.
PREPARED = "/usr"

_DEVICES = ("null", "zero", "full", "random", "urandom")
_SYSTEM_FOLDERS = ("/usr/lib", "/usr/lib64", "/usr/share/zoneinfo")
_SYSTEM_FILES = ("/etc/ld.so.cache",)
_ETC = {
    "passwd": "root:x:0:0:root:/:/bin/false\nrunner:x:1000:1000:runner:/tmp:/bin/false\n",
    "group": "root:x:0:\nrunner:x:1000:\n",
    "hosts": "127.0.0.1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
#: Where toolchain folders wait that lie within a private folder.
_KEPT = "/.toolchain"
_STAGING = ("/tmp", "/mnt", "/run")


def toolchain_folders(others: Sequence[str] = ()) -> list[str]:
    """What a Python of this installation needs, and `others`, without double entries."""
    wanted = [*_SYSTEM_FOLDERS, "/lib", "/lib64", *others]
    for prefix in {sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}:
        # Below /usr only the libraries are needed; any other prefix is the interpreter's own.
        if prefix != "/usr":
            wanted.append(os.path.realpath(prefix))
    folders: list[str] = []
    for folder in sorted(set(wanted)):
        nested = any(folder.startswith(f"{other}/") for other in folders)
        if os.path.isdir(folder) and not nested:
            folders.append(folder)
    return folders


def detach_mounts() -> None:
    """Cuts the ties between this process's mount namespace and the one it was made from.

    Raises:
        OSError: the kernel lets this process mount nothing.
    """
    linux.mount("none", "/", "none", linux.MS_REC | linux.MS_PRIVATE)


def build(folders: Sequence[str], added: Mapping[str, str]) -> WritableFolders:
    """Makes a new root of `folders` and changes this process's mount namespace to it.

    added: symbolic links of the new root, by path.

    The process must be alone in its mount namespace, with its mounts detached.

    Returns: the private folders, which are still to be mounted.

    Raises:
        OSError: the kernel refused; names the call.
    """
    links = {f: os.readlink(f) for f in folders if os.path.islink(f)}
    trees = {f: linux.open_tree(f) for f in folders if f not in links}
    files = {f: linux.open_tree(f) for f in _SYSTEM_FILES if os.path.exists(f)}
    devices = {f"/dev/{d}": linux.open_tree(f"/dev/{d}") for d in _DEVICES}
    for tree in (*trees.values(), *files.values()):
        linux.make_tree_read_only(tree)
    for tree in devices.values():
        linux.make_tree_read_only(tree, devices=True)
    root = next(folder for folder in _STAGING if os.path.isdir(folder))
    flags = linux.MS_NOSUID | linux.MS_NODEV
    linux.mount("root", root, "tmpfs", flags, "size=1m,nr_inodes=1k,mode=755")
    for path, tree in (files | devices).items():
        _write(root + path, "")
        linux.move_mount(tree, root + path)
        os.close(tree)
    hidden = [path for path in trees if path.startswith((f"{SCRATCH}/", f"{SHARED_MEMORY}/"))]
    kept = {path: f"{_KEPT}/{number}" for number, path in enumerate(hidden)}
    for path, tree in trees.items():
        place = root + kept.get(path, path)
        os.makedirs(place, exist_ok=True)
        linux.move_mount(tree, place)
        os.close(tree)
    for path, destination in (links | dict(added)).items():
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        os.symlink(destination, root + path)
    for name, text in _ETC.items():
        _write(f"{root}/etc/{name}", text)
    for folder in (SCRATCH, SHARED_MEMORY):
        os.makedirs(root + folder, exist_ok=True)
    _enter(root)
    return PrivateFolders(kept)


def _write(path: str, text: str) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="ascii") as file:
        file.write(text)


def _enter(root: str) -> None:
    os.chdir(root)
    linux.pivot_root(".", ".")
    # The old root now lies over the new one; taking it off leaves nothing of the host.
    linux.umount(".", linux.MNT_DETACH)
    os.chdir("/")
    linux.make_mount_read_only("/")


def is_prepared() -> bool:
    """Whether PREPARED can serve as a jail's root: read-only, a root in itself, with folders to
    write to that the container's runtime has mounted there."""
    with open("/proc/self/mounts", encoding="utf-8") as file:
        mounts = [line.split() for line in file]
    options = {mountpoint: options.split(",") for _, mountpoint, _, options, *_ in mounts}
    return (
        os.path.realpath(PREPARED + PREPARED) == PREPARED
        and "ro" in options.get(PREPARED, options["/"])
        and all(PREPARED + folder in options for folder in (SCRATCH, SHARED_MEMORY))
    )


def enter_prepared() -> WritableFolders:
    """Makes PREPARED this process's root. There is no way back without a capability.

    Raises:
        OSError: the kernel refused.
    """
    os.chroot(PREPARED)
    os.chdir("/")
    return PreparedFolders()
