"""Rows of a file of JSON lines or of one JSON array, and typed fields of a row.

Errors say where: file, line, field and value.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

from orchestrator.errors import InputError


@dataclass(frozen=True)
class Row:
    """One object of a file and where it stands, for messages."""

    where: str  # file:line, or file[index] for an element of an array
    fields: dict[str, Any]

    def text(self, *names: str) -> str:
        """A required text field: the first of `names` that is present and not null.

        Raises:
            InputError: none is present, or it is no text.
        """
        present = [name for name in names if name in self.fields]
        if not present:
            raise InputError(f"{self.where}: {' or '.join(names)} is missing")
        name = next((name for name in present if self.fields[name] is not None), present[0])
        value = self.fields[name]
        if not isinstance(value, str):
            raise self.wrong(name, "text")
        return value

    def optional_text(self, *names: str) -> str | None:
        """The first of `names` that is present and not null, or None.

        Raises:
            InputError: it is no text.
        """
        given = any(self.fields.get(name) is not None for name in names)
        return self.text(*names) if given else None

    def flag(self, name: str) -> bool:
        """A required field that is true or false.

        Raises:
            InputError: it is missing, or something else.
        """
        if name not in self.fields:
            raise InputError(f"{self.where}: {name} is missing")
        value = self.fields[name]
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false")
        return value

    def texts(self, name: str) -> list[str]:
        """A list of texts; a missing one is empty.

        Raises:
            InputError: it is something else.
        """
        value = self.fields.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self.wrong(name, "a list of texts")
        return value

    def identifier(self, name: str) -> str:
        """A required text field that is a Python name.

        Raises:
            InputError: it is missing, or no name.
        """
        value = self.text(name)
        if not value.isidentifier():
            raise self.wrong(name, "a Python name")
        return value

    def id(self, name: str) -> str:
        """A required text or whole number that names the row.

        Raises:
            InputError: it is missing, empty, or something else.
        """
        if name not in self.fields:
            raise InputError(f"{self.where}: {name} is missing")
        value = self.fields[name]
        if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
            raise self.wrong(name, "an id")
        return str(value)

    def wrong(self, name: str, wanted: str) -> InputError:
        """An error to raise about a field that is present."""
        shown = repr(self.fields[name])
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        return InputError(f"{self.where}: {name} = {shown} is not {wanted}")


def read_rows(path: Path, name: str | None = None) -> Iterator[Row]:
    """The objects of a file in their order, gzipped where its name ends in .gz.

    Lines are read as they are asked for, blank ones skipped; an array is read at once.

    name: what messages call the file; None: its path.

    Raises:
        InputError: the file cannot be read, or a row is not a JSON object in UTF-8.
    """
    name = str(path) if name is None else name
    number = 0
    try:
        with _opened(path) as lines:
            start = lines.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
            lines.seek(0)
            if start.startswith(b"["):
                yield from _elements(name, lines.read())
                return
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    where = f"{name}:{number}"
                    yield Row(where, _object(where, _value(where, line.rstrip(b"\r\n"))))
    except (OSError, EOFError, zlib.error) as e:
        reason = getattr(e, "strerror", None) or str(e)
        after = f"cannot be read after line {number}: " if number else ""
        raise InputError(f"{name}: {after}{reason}") from e


def _opened(path: Path) -> IO[bytes]:
    if path.suffix == ".gz":
        return cast(IO[bytes], gzip.open(path))
    return path.open("rb")


def _elements(name: str, data: bytes) -> Iterator[Row]:
    for index, element in enumerate(_value(name, data)):
        where = f"{name}[{index}]"
        yield Row(where, _object(where, element))


def _value(where: str, data: bytes) -> Any:
    # Decoded here: json would guess UTF-16 from zero bytes and let lone surrogates through.
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as e:
        raise InputError(f"{where}: is not UTF-8: {e}") from e
    except json.JSONDecodeError as e:
        line = "" if e.lineno == 1 else f"line {e.lineno} "
        raise InputError(f"{where}: is not JSON: {e.msg} at {line}column {e.colno}") from e
    except ValueError as e:  # a number of too many digits
        raise InputError(f"{where}: is not JSON: {e}") from e
    except RecursionError as e:
        raise InputError(f"{where}: is not JSON: nested too deeply") from e


def _object(where: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{where}: is {type(value).__name__}, not an object")
    return value
