"""The two folders that a candidate can write to, and how they become empty again."""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from typing import Protocol

from sandbox_server.worker import linux

SCRATCH = "/tmp"
SHARED_MEMORY = "/dev/shm"
_FOLDERS = (SCRATCH, SHARED_MEMORY)


class WritableFolders(Protocol):
    """What a slot's first process does with them between stages, when nothing else runs."""

    def clean(self, file_bytes: int) -> None:
        """Makes both empty, as if they had never been used, with room for `file_bytes` each."""

    def used_bytes(self) -> int:
        """Bytes in both."""


class PrivateFolders:
    """Two tmpfs of the jail's own, replaced as soon as anything was done to them.

    Most candidates write no file, and two mounts cost a tenth of their execution.
    """

    def __init__(self, kept: Mapping[str, str]) -> None:
        """kept: toolchain folders that lie within (a virtual environment below /tmp), by where the
        same folder is kept meanwhile."""
        self._kept = kept
        self._file_bytes: int | None = None
        self._untouched: list[tuple[object, ...]] = []

    def clean(self, file_bytes: int) -> None:
        """See `WritableFolders`."""
        if file_bytes == self._file_bytes and _marks() == self._untouched:
            return
        if self._file_bytes is not None:
            for folder in _FOLDERS:
                linux.umount(folder, linux.MNT_DETACH)
        self._mount(file_bytes)
        self._file_bytes, self._untouched = file_bytes, _marks()

    def used_bytes(self) -> int:
        """See `WritableFolders`."""
        return _used_bytes()

    def _mount(self, file_bytes: int) -> None:
        # Reading leaves no trace either.
        flags = linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOATIME
        options = f"size={file_bytes},nr_inodes=16k,mode=1777"
        linux.mount("scratch", SCRATCH, "tmpfs", flags, options)
        linux.mount("shm", SHARED_MEMORY, "tmpfs", flags | linux.MS_NOEXEC, options)
        for path, place in self._kept.items():
            os.makedirs(path)
            linux.mount(place, path, "none", linux.MS_BIND | linux.MS_REC)
        for folder in _FOLDERS:
            # So that the smallest change shows, even within the first tick of the clock: only the
            # folder's owner can set this time to anything but the present.
            os.utime(folder, (0, 0))


class PreparedFolders:
    """Two tmpfs of the container's, of the size that its launcher chose."""

    def clean(self, file_bytes: int) -> None:
        """See `WritableFolders`. Files are bounded one by one only, by an rlimit.

        Raises:
            OSError: something is left in them.
        """
        for folder in _FOLDERS:
            _empty(folder)
            if os.listdir(folder):
                raise OSError(errno.ENOTEMPTY, f"{folder} is not empty")

    def used_bytes(self) -> int:
        """See `WritableFolders`."""
        return _used_bytes()


def _marks() -> list[tuple[object, ...]]:
    """What is different after anything was made, removed or changed in the folders."""
    marks: list[tuple[object, ...]] = []
    for folder in _FOLDERS:
        status, usage = os.stat(folder), os.statvfs(folder)
        times = status.st_atime_ns, status.st_mtime_ns, status.st_ctime_ns
        marks.append((*status[:7], *times, usage[:]))
    return marks


def _empty(folder: str) -> None:
    """Removes all that is in `folder`, which may be deeper than any path may be long."""
    while names := os.listdir(folder):
        for name in names:
            path = os.path.join(folder, name)
            if not os.path.isdir(path) or os.path.islink(path):
                os.unlink(path)
                continue
            for inner in os.listdir(path):
                os.rename(os.path.join(path, inner), os.path.join(folder, os.urandom(16).hex()))
            os.rmdir(path)


def _used_bytes() -> int:
    usage = [os.statvfs(folder) for folder in _FOLDERS]
    return sum((u.f_blocks - u.f_bfree) * u.f_frsize for u in usage)
