"""Files on their way into a jail and out of it: many in one sequence of bytes.

What comes out of a jail was written by untrusted programs. It is bounded here
and unpacked only inside a jail again, where it can do no harm.
"""

from __future__ import annotations

import json
import os
import stat
import struct
from collections.abc import Iterable, Mapping

#: Most files that are collected from one stage.
MAX_FILES = 4096
_LENGTH = struct.Struct("<I")
_CHUNK_BYTES = 1 << 20
_EXECUTABLE = 0o111

#: Path, bytes, mode.
_Entry = tuple[str, int, int]


class FilesError(Exception):
    """Too many files, too many bytes, or not what `pack` makes."""


def pack(files: Mapping[str, bytes]) -> bytes:
    """An archive of `files`, by their paths relative to the scratch folder."""
    entries: list[_Entry] = [(path, len(data), 0o644) for path, data in files.items()]
    return b"".join([_head(entries), *files.values()])


def _head(entries: list[_Entry]) -> bytes:
    head = json.dumps(entries).encode("ascii")
    return _LENGTH.pack(len(head)) + head


def unpack(fd: int, folder: str, part: int | None = None) -> None:
    """Writes the files of the archive that reads from `fd` below `folder`.

    part: what lies in the folder of that number is written as if it lay beside it, and what lies
        in folders of other numbers is left out.

    Raises:
        FilesError: it breaks off, or a path leads out of `folder`.
        OSError: a file cannot be written.
    """
    os.lseek(fd, 0, os.SEEK_SET)
    with open(fd, "rb", closefd=False) as archive:
        (length,) = _LENGTH.unpack(archive.read(_LENGTH.size))
        for path, size, mode in json.loads(archive.read(length)):
            parts = path.split("/")
            if not all(parts) or ".." in parts:
                raise FilesError(f"{path!r} is no path below a folder")
            if part is not None and parts[0].isdigit() and int(parts.pop(0)) != part:
                archive.seek(size, os.SEEK_CUR)
                continue
            target = os.path.join(folder, *parts)
            if len(parts) > 1:
                os.makedirs(os.path.dirname(target), exist_ok=True)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
            with open(descriptor, "wb") as file:
                left = size
                while left:
                    data = archive.read(min(left, _CHUNK_BYTES))
                    if not data:
                        raise FilesError(f"the archive breaks off within {path!r}")
                    file.write(data)
                    left -= len(data)


def collect(folder: str, paths: Iterable[str], fd: int, max_bytes: int) -> None:
    """Writes an archive of the files at `paths` below `folder` to `fd`; folders with all in them.

    Paths that do not exist are left out; what is neither a file nor a folder too.

    Raises:
        FilesError: more than MAX_FILES files, or more than `max_bytes` in them.
    """
    found = sorted(set(_walk(folder, paths)))
    entries: list[_Entry] = []
    total = 0
    for path in found:
        status = os.lstat(os.path.join(folder, path))
        total += status.st_size
        entries.append((path, status.st_size, 0o755 if status.st_mode & _EXECUTABLE else 0o644))
    if len(found) > MAX_FILES or total > max_bytes:
        raise FilesError(f"{len(found)} files of {total} bytes are more than {max_bytes} bytes")
    with open(fd, "wb", closefd=False) as archive:
        archive.write(_head(entries))
        for path, size, _ in entries:
            with open(os.path.join(folder, path), "rb") as file:
                archive.write(file.read(size))


def _walk(folder: str, paths: Iterable[str]) -> Iterable[str]:
    for path in paths:
        full = os.path.join(folder, path)
        try:
            mode = os.lstat(full).st_mode
        except FileNotFoundError:
            continue
        if stat.S_ISREG(mode):
            yield path
        elif stat.S_ISDIR(mode):
            yield from _walk(folder, (f"{path}/{name}" for name in os.listdir(full)))
