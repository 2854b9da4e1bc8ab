"""The SQLite file of a run: one writer, any number of readers, safe to kill at any moment.

Write-ahead logging keeps readers live while a run writes; a lock file keeps a
second writer out. Every finished unit of work is one short transaction.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError, PlumError
from orchestrator.store.schema import check_readable, migrate

_FILE = "plum.sqlite3"
_LOCK = "lock"

_CACHE_KB = 64 << 10
_CHECKPOINT_PAGES = 8000  # 32 MB

Row = tuple[Any, ...]


def sha256(text: str) -> str:
    """Hex digest of a text; lone surrogates, which a model can write, count too."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def storable(text: str) -> str:
    """The text with what SQLite cannot keep (lone surrogates) made visible as escapes."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class Database:
    """A connection to a run's store. Use `open_writer` or `open_reader`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self._connection = connection

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is stored together or not at all. Inside another, a part of that."""
        if self._in_transaction():
            yield
            return
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            # On a full disk SQLite may have rolled back by itself, and says so by this flag only.
            if self._in_transaction():
                self._connection.execute("ROLLBACK")
            raise

    def _in_transaction(self) -> bool:
        return self._connection.in_transaction

    def write(self, statement: str, parameters: Sequence[Any] = ()) -> None:
        """One statement; a transaction of its own unless it stands in one."""
        self._connection.execute(statement, parameters)

    def write_many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """One statement for each of `rows`; to be called inside a transaction."""
        self._connection.executemany(statement, rows)

    def rows(self, query: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """All rows of a query: for those whose number is bounded."""
        return self._connection.execute(query, parameters).fetchall()

    def value(self, query: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or None where there is no row."""
        row = self._connection.execute(query, parameters).fetchone()
        return None if row is None else row[0]

    def wait_for_disk(self, wait: bool) -> None:
        """Whether commits survive a power failure (and cost a disk write each).

        Without it they still survive the end of this process, however it comes.
        """
        self._connection.execute(f"PRAGMA synchronous = {'FULL' if wait else 'NORMAL'}")

    def add_source(self, text: str) -> str:
        """Keeps a text once, by its content; returns its SHA-256."""
        text = storable(text)
        sha = sha256(text)
        self.write("INSERT OR IGNORE INTO sources (sha, text) VALUES (?, ?)", (sha, text))
        return sha

    def close(self) -> None:
        """Closes the connection. Idempotent."""
        self._connection.close()


def holds_run(folder: Path) -> bool:
    """Whether there is a store in `folder`, of whatever age and use."""
    return (folder / _FILE).exists()


@contextmanager
def open_writer(folder: Path) -> Iterator[Database]:
    """The store of the run in `folder`, made or migrated as needed, for the only writer.

    Raises:
        PlumError: another process writes this run, or the store cannot be used.
    """
    with _exclusive(folder / _LOCK), _one_line(folder / _FILE):
        connection = _connect(folder / _FILE, "rwc")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            # Keys are digests: what is written together lies all over the file. Both let a page be
            # written once for many of its rows.
            connection.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
            connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
            migrate(connection, folder / _FILE)
            db = Database(folder / _FILE, connection)
            db.wait_for_disk(False)
            yield db
        finally:
            connection.close()


@contextmanager
def open_reader(folder: Path) -> Iterator[Database]:
    """The store of the run in `folder`, read-only, also while another process writes it.

    The connection may be used from any thread, one at a time.

    Raises:
        InputError: there is no run in `folder`.
        PlumError: the store cannot be used.
    """
    path = folder / _FILE
    if not holds_run(folder):
        raise InputError(f"{folder}: no run here (there is no {_FILE})")
    with _one_line(path):
        connection = _connect(path, "rw")
        try:
            connection.execute("PRAGMA query_only = ON")
            check_readable(connection, path)
            yield Database(path, connection)
        finally:
            connection.close()


def writer_pid(folder: Path) -> int | None:
    """The process that writes the run in `folder` at this moment, if any."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.pread(descriptor, 32, 0).strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(descriptor)
    return None


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=60,
        isolation_level=None,  # transactions are ours to begin
        check_same_thread=False,
    )
    connection.execute("PRAGMA foreign_keys = ON")
    return connection


@contextmanager
def _exclusive(lock: Path) -> Iterator[None]:
    """Holds `lock` for this process; the kernel frees it however the process ends."""
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        # More than once: `writer_pid` of a reader holds it too, for a moment.
        if not any(_try_lock(descriptor) for _ in range(5)):
            pid = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            raise PlumError(
                f"{lock.parent}: process {pid or '(unknown)'} is writing this run; "
                f"wait for it, or look on with: plum status --run-dir {lock.parent}"
            )
        with suppress(OSError):  # a full disk: the lock holds all the same
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        time.sleep(0.05)
        return False
    return True


@contextmanager
def _one_line(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as e:
        # A full disk, most often. What was committed is safe.
        raise PlumError(f"{path}: {e}; what was stored before is kept") from e
    except sqlite3.DatabaseError as e:
        if type(e) is not sqlite3.DatabaseError:  # a subclass is a defect of ours: show it whole
            raise
        raise PlumError(f"{path}: {e}") from e
