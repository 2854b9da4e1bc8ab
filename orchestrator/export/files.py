"""Files of rows, written as the rows come and put in place only when they are whole."""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from orchestrator.errors import PlumError
from orchestrator.folders import make_folder

Row = dict[str, Any]

#: Rows of one group of a Parquet file, which are in memory together.
_GROUP_ROWS = 5_000


class RowFile(ABC):
    """A file of rows of one shape. Nothing is at `path` until `finish`, nor without a row."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = 0
        self._temporary = path.with_name(f".{path.name}.tmp")

    def add(self, row: Row) -> None:
        """Adds one row."""
        if self.rows == 0:
            make_folder(self.path.parent)
        self.rows += 1
        self._write(_encodable(row))

    def finish(self) -> str:
        """Puts the file in its place and returns its SHA-256.

        Without a row an old file is removed and "" returned, for loaders choke on empty files.
        """
        if self.rows == 0:
            self.path.unlink(missing_ok=True)
            return ""
        self._close()
        return put_in_place(self._temporary, self.path)

    def discard(self) -> None:
        """Leaves nothing behind of a file that was not finished."""
        if self.rows:
            self._close()
            self._temporary.unlink(missing_ok=True)

    @abstractmethod
    def _write(self, row: Row) -> None:
        """Writes one row; the first makes the temporary file."""

    @abstractmethod
    def _close(self) -> None:
        """Ends the temporary file, in which there is a row."""


class JsonlFile(RowFile):
    """JSON lines."""

    def _write(self, row: Row) -> None:
        if self.rows == 1:
            self._file = self._temporary.open("w", encoding="ascii")
        self._file.write(json.dumps(row) + "\n")

    def _close(self) -> None:
        self._file.close()


class ParquetFile(RowFile):
    """Parquet; types are those of the first rows."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            from pyarrow import parquet
        except ImportError as e:
            raise PlumError(
                f"{e.name} is not installed: pip install 'plum-code[parquet]' brings it"
            ) from e
        super().__init__(path)
        self._arrow, self._parquet = pyarrow, parquet
        self._waiting: list[Row] = []
        self._writer: Any = None

    def _write(self, row: Row) -> None:
        self._waiting.append(row)
        if len(self._waiting) == _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        schema = None if self._writer is None else self._writer.schema
        table = self._arrow.Table.from_pylist(self._waiting, schema)
        if self._writer is None:
            self._writer = self._parquet.ParquetWriter(self._temporary, table.schema)
        self._writer.write_table(table)
        self._waiting.clear()

    def _close(self) -> None:
        if self._waiting:
            self._flush()
        self._writer.close()


FILE_TYPES: dict[str, type[RowFile]] = {"jsonl": JsonlFile, "parquet": ParquetFile}


def write_text(path: Path, text: str) -> None:
    """Replaces a file whole."""
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    put_in_place(temporary, path)


def put_in_place(temporary: Path, path: Path) -> str:
    """Moves a file that is whole to its name, safely on the disk; returns its SHA-256."""
    with temporary.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        os.fsync(file.fileno())
    temporary.replace(path)
    return digest


def _encodable(value: Any) -> Any:
    """The value with lone surrogates, which no reader of datasets takes, as visible escapes."""
    match value:
        case str():
            return value.encode("utf-8", "backslashreplace").decode("utf-8")
        case list():
            return [_encodable(item) for item in value]
        case dict():
            return {key: _encodable(item) for key, item in value.items()}
        case _:
            return value
