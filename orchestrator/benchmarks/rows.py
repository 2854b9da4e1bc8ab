"""Rows of a JSON lines file, and typed fields of a row, with errors that say where."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError


@dataclass(frozen=True)
class Row:
    """One object of a file and where it stands, for messages."""

    where: str  # file:line
    fields: dict[str, Any]

    def text(self, name: str) -> str:
        """A required text field.

        Raises:
            InputError: it is missing, or no text.
        """
        if name not in self.fields:
            raise InputError(f"{self.where}: {name} is missing")
        value = self.fields[name]
        if not isinstance(value, str):
            raise InputError(f"{self.where}: {name} = {_brief(value)} is not text")
        return value

    def optional_text(self, name: str) -> str | None:
        """A text field that may be missing or null.

        Raises:
            InputError: it is something else.
        """
        return None if self.fields.get(name) is None else self.text(name)

    def texts(self, name: str) -> list[str]:
        """A list of texts; a missing one is empty.

        Raises:
            InputError: it is something else.
        """
        value = self.fields.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise InputError(f"{self.where}: {name} = {_brief(value)} is not a list of texts")
        return value

    def identifier(self, name: str) -> str:
        """A required text field that is a Python name.

        Raises:
            InputError: it is missing, or no name.
        """
        value = self.text(name)
        if not value.isidentifier():
            raise InputError(f"{self.where}: {name} = {_brief(value)} is not a Python name")
        return value

    def id(self, name: str) -> str:
        """A required text or whole number that names the row.

        Raises:
            InputError: it is missing, empty, or something else.
        """
        value = self.fields.get(name)
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            found = "is missing" if name not in self.fields else f"= {_brief(value)} is no id"
            raise InputError(f"{self.where}: {name} {found}")
        return str(value)


def read_rows(path: Path) -> Iterator[Row]:
    """The objects of a JSON lines file, gzipped where its name ends in .gz; blank lines skipped.

    Raises:
        InputError: the file cannot be read, or a line is not a JSON object in UTF-8.
    """
    number = 0
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield Row(f"{path}:{number}", _object(f"{path}:{number}", line))
    except (OSError, EOFError, zlib.error) as e:
        reason = getattr(e, "strerror", None) or str(e)
        raise InputError(f"{path}: cannot be read after line {number}: {reason}") from e


def _object(where: str, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except UnicodeDecodeError as e:
        raise InputError(f"{where}: is not UTF-8: {e}") from e
    except (ValueError, RecursionError) as e:
        raise InputError(f"{where}: is not JSON: {e}") from e
    if not isinstance(value, dict):
        raise InputError(f"{where}: is {type(value).__name__}, not an object")
    return value


def _brief(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else shown[:57] + "..."
