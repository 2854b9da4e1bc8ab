"""Reads the rows of a JSONL file or of a JSON array, each with its place for messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.jsonl import read_rows


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
    for row in read_rows(path):
        yield Record(row.where, row.fields)
