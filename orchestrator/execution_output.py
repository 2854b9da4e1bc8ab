"""The output file of `plum execute`: grows by whole rows, survives being killed, never doubles."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from orchestrator.errors import InputError

_SYNC_EVERY_ROWS = 500
_SYNC_EVERY_S = 1.0


class RowWriter:
    """Appends rows. They outlive this process at once, and a power cut after `sync`: at the latest
    with the first row that comes a second later, or the 500th."""

    def __init__(self, file: IO[bytes], durable: bool) -> None:
        self._file = file
        self._durable = durable
        self._unsynced = 0
        self._synced_at = time.monotonic()

    def write(self, row: Mapping[str, Any]) -> None:
        """Appends one row."""
        self._file.write(json.dumps(row).encode() + b"\n")
        self._file.flush()
        self._unsynced += 1
        if (
            self._unsynced >= _SYNC_EVERY_ROWS
            or time.monotonic() - self._synced_at >= _SYNC_EVERY_S
        ):
            self.sync()

    def sync(self) -> None:
        """Returns once everything written so far would survive a power cut."""
        if self._durable:
            os.fsync(self._file.fileno())
        self._unsynced = 0
        self._synced_at = time.monotonic()


@contextmanager
def open_output(
    path: Path, wanted: Mapping[str, str]
) -> Iterator[tuple[RowWriter, dict[str, str]]]:
    """Opens the output for appending and says what is in it already.

    wanted: id to input_sha256 of every input row.

    Yields the writer, and id to verdict of the rows that are there and still hold. A
    torn last line, rows without a verdict, and rows whose input has changed since are taken
    out first, in one atomic step. Rows of ids that are not wanted stay.

    Raises:
        InputError: the file is not one of ours, is in use, or cannot be written.
    """
    if path.exists() and not path.is_file():
        raise InputError(f"{path}: is not a regular file; for standard output give -")
    try:
        file = _open_locked(path)
    except OSError as e:
        raise InputError(f"{path}: {e.strerror}") from e
    try:
        kept, done, clean = _read(file, path, wanted)
        if not clean:
            file = _replace(file, path, kept)
        file.seek(0, os.SEEK_END)
        writer = RowWriter(file, durable=True)
        try:
            yield writer, done
        finally:
            writer.sync()
    finally:
        file.close()


def _open_locked(path: Path) -> IO[bytes]:
    while True:
        file = path.open("a+b")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            raise InputError(f"{path}: another plum execute is writing it") from None
        # Somebody may have replaced the file between opening and locking.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


def _read(
    file: IO[bytes], path: Path, wanted: Mapping[str, str]
) -> tuple[list[tuple[int, int]], dict[str, str], bool]:
    """Byte ranges of the lines to keep, what is done, and whether that is the whole file."""
    kept: list[tuple[int, int]] = []
    done: dict[str, str] = {}
    clean = True
    file.seek(0)
    start = 0
    for number, line in enumerate(file, 1):
        end = start + len(line)
        row = _row(path, number, line)
        if row is not None and row["verdict"] is not None and row["id"] not in done:
            stale = wanted.get(row["id"], row["input_sha256"]) != row["input_sha256"]
            if not stale:
                kept.append((start, end))
                done[row["id"]] = row["verdict"]
        clean = clean and bool(kept) and kept[-1] == (start, end)
        start = end
    return kept, done, clean


def _row(path: Path, number: int, line: bytes) -> dict[str, Any] | None:
    """The output row in `line`; None for the torn last line of a killed run."""
    if not line.endswith(b"\n"):
        # What stands there must still look like the beginning of a row of ours.
        if line.startswith(b'{"id": "'[: len(line)]):
            return None
    else:
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict) and {"id", "verdict", "input_sha256"} <= row.keys():
                return row
    raise InputError(
        f"{path}:{number}: not a row that plum execute wrote; "
        "nothing was changed, choose another --output"
    )


def _replace(file: IO[bytes], path: Path, kept: list[tuple[int, int]]) -> IO[bytes]:
    """A file of the kept lines in the place of `file`, open and locked."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    new = fresh.open("w+b")
    try:
        fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for start, end in kept:
            file.seek(start)
            new.write(file.read(end - start))
        new.flush()
        os.fsync(new.fileno())
        fresh.replace(path)
    except BaseException:
        new.close()
        fresh.unlink(missing_ok=True)
        raise
    file.close()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return new
