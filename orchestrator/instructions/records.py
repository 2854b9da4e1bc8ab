"""Reads the rows of a JSONL file or of a JSON array, each with its place for messages."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError


@dataclass(frozen=True)
class Record:
    """One row. `location` is file:line, or file[index] for an element of an array."""

    location: str
    fields: dict[str, Any]

    def text(self, *keys: str) -> str:
        """The first of `keys` that is present; it has to be a string.

        Raises:
            InputError: none is present, or it holds something else.
        """
        value = self.optional_text(*keys)
        if value is None:
            raise InputError(f"{self.location}: field {' or '.join(keys)!r} is missing")
        return value

    def optional_text(self, *keys: str) -> str | None:
        """The first of `keys` that is present and not null, or None.

        Raises:
            InputError: it holds something other than a string.
        """
        for key in keys:
            value = self.fields.get(key)
            if value is None:
                continue
            if not isinstance(value, str):
                raise self.wrong_type(key, value, "a string")
            return value
        return None

    def wrong_type(self, key: str, value: object, wanted: str) -> InputError:
        """An error to raise about a field."""
        shown = repr(value)
        shown = shown if len(shown) <= 80 else shown[:77] + "..."
        return InputError(f"{self.location}: field {key!r} = {shown} is not {wanted}")


def read_records(path: Path) -> Iterator[Record]:
    """The rows of a file, in their order; JSONL is read as it goes, an array at once.

    Raises:
        InputError: the file cannot be read, or a row is not a JSON object.
    """
    try:
        with path.open("rb") as stream:
            start = stream.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
            stream.seek(0)
            if start.startswith(b"["):
                yield from _array(path, stream.read())
            else:
                for number, line in enumerate(stream, 1):
                    if line.strip():
                        location = f"{path}:{number}"
                        yield Record(location, _object(location, _decode(location, line)))
    except OSError as e:
        raise InputError(f"{path}: {os.strerror(e.errno or 0)}") from e


def _array(path: Path, data: bytes) -> Iterator[Record]:
    elements = _decode(str(path), data)
    for index, element in enumerate(elements):
        location = f"{path}[{index}]"
        yield Record(location, _object(location, element))


def _decode(location: str, data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as e:
        raise InputError(f"{location}: is not UTF-8 (byte {e.start})") from e
    except json.JSONDecodeError as e:
        line = f"line {e.lineno}, " if e.lineno > 1 else ""
        raise InputError(f"{location}: is not JSON ({e.msg}, {line}column {e.colno})") from e
    except RecursionError as e:
        raise InputError(f"{location}: is not JSON we can read (nested too deeply)") from e


def _object(location: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(f"{location}: holds {type(value).__name__}, not an object")
    return value
