"""Reads the tables of a TOML recipe strictly: every key asked for by name, type and bound.

What is wrong is an `InputError` that names the file, the key, the value and what is allowed.
"""

from __future__ import annotations

import difflib
import math
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError

_MISSING = object()


class RecipeTable:
    """One table of a recipe. Ask for its keys, then call `finish`, which refuses all others.

    A key without a default is required. Relative paths start at `base`.
    """

    def __init__(self, file: Path, base: Path, name: str, table: dict[str, Any]) -> None:
        self._file = file
        self._base = base
        self._name = name
        self._table = table
        self._known: list[str] = []

    @classmethod
    def load(cls, file: Path, base: Path | None = None) -> RecipeTable:
        """The top table of a recipe file. `base` None takes the file's folder.

        Raises:
            InputError: it cannot be read, or is not TOML.
        """
        try:
            table = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as e:
            raise InputError(f"{file}: {os.strerror(e.errno or 0)}") from e
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
            raise InputError(f"{file}: is not TOML: {e}") from e
        return cls(file, base or file.resolve().parent, "", table)

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def error(self, key: str, reason: str) -> InputError:
        """An error about `key`, to be raised by the caller."""
        return InputError(f"{self._file}: {self._path(key)} {reason}")

    def text(self, key: str, default: str | None = None) -> str:
        """A string that is not empty."""
        value = self._take(key, _MISSING if default is None else default)
        if not isinstance(value, str) or not value:
            raise self.error(key, f"= {value!r} is not a string that says something")
        return value

    def optional_text(self, key: str) -> str | None:
        """A string that is not empty, or None where the key is absent."""
        return self.text(key) if self._offers(key) else None

    def optional_url(self, key: str) -> str | None:
        """The address of an HTTP endpoint, or None where the key is absent."""
        value = self.optional_text(key)
        return value if value is None else self._checked_url(key, value)

    def urls(self, key: str) -> tuple[str, ...]:
        """Addresses of HTTP endpoints; none where the key is absent."""
        return tuple(self._checked_url(key, value) for value in self.texts(key) or ())

    def _checked_url(self, key: str, value: str) -> str:
        if not value.startswith(("http://", "https://")):
            raise self.error(key, f"= {value!r} does not begin with http:// or https://")
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str | None = None) -> str:
        """One of `allowed`."""
        value = self.text(key, default)
        if value not in allowed:
            near = difflib.get_close_matches(value, allowed, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise self.error(key, f"= {value!r} is not one of {', '.join(allowed)}{hint}")
        return value

    def integer(self, key: str, default: int | None, low: int, high: int) -> int:
        """A whole number within [low, high]; `default` None makes the key required."""
        value = self._take(key, _MISSING if default is None else default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.error(key, f"= {value!r} is not a whole number")
        if not low <= value <= high:
            raise self.error(key, f"= {value} is outside [{low}, {high}]")
        return value

    def optional_integer(self, key: str, low: int, high: int) -> int | None:
        """A whole number within [low, high], or None where the key is absent."""
        return self.integer(key, None, low, high) if self._offers(key) else None

    def number(self, key: str, default: float | None, low: float, high: float) -> float:
        """A finite number within [low, high]; `default` None makes the key required."""
        value = self._take(key, _MISSING if default is None else default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.error(key, f"= {value!r} is not a number")
        if not math.isfinite(value) or not low <= value <= high:
            raise self.error(key, f"= {value} is outside [{low}, {high}]")
        return float(value)

    def optional_number(self, key: str, low: float, high: float) -> float | None:
        """A finite number within [low, high], or None where the key is absent."""
        return self.number(key, None, low, high) if self._offers(key) else None

    def flag(self, key: str, default: bool) -> bool:
        """true or false."""
        value = self._take(key, default)
        if not isinstance(value, bool):
            raise self.error(key, f"= {value!r} is neither true nor false")
        return value

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A list of strings that are not empty, or None where the key is absent."""
        if not self._offers(key):
            return None
        value = self._take(key, _MISSING)
        if not isinstance(value, list) or not all(isinstance(v, str) and v for v in value):
            raise self.error(key, f"= {value!r} is not a list of strings")
        return tuple(value)

    def integers(self, key: str, default: tuple[int, ...], low: int, high: int) -> tuple[int, ...]:
        """A list of whole numbers within [low, high]."""
        value = self._take(key, list(default))
        if not isinstance(value, list) or not all(type(v) is int for v in value):
            raise self.error(key, f"= {value!r} is not a list of whole numbers")
        for item in value:
            if not low <= item <= high:
                raise self.error(key, f"holds {item}, which is outside [{low}, {high}]")
        return tuple(value)

    def file(self, key: str) -> Path:
        """An existing file, as an absolute path."""
        path = self._base / Path(self.text(key)).expanduser()
        if not path.exists():
            raise self.error(key, f"= {self.text(key)!r}: there is no {path}")
        if path.is_dir():
            raise self.error(key, f"= {self.text(key)!r}: {path} is a folder")
        return path

    def optional_file(self, key: str) -> Path | None:
        """An existing file, as an absolute path, or None where the key is absent."""
        return self.file(key) if self._offers(key) else None

    def optional_place(self, key: str) -> Path | None:
        """Where a file is or will be made, as an absolute path, or None where the key is absent."""
        return self._base / Path(self.text(key)).expanduser() if self._offers(key) else None

    def folder_or_name(self, key: str) -> str:
        """A model or a dataset: a folder, as an absolute path, or else its name on the hub."""
        name = self.text(key)
        folder = self._base / Path(name).expanduser()
        return str(folder) if folder.is_dir() else name

    def optional_table(self, key: str) -> RecipeTable | None:
        """The table below `key`, or None where it is absent."""
        return self.table(key) if self._offers(key) else None

    def table(self, key: str) -> RecipeTable:
        """The table below `key`; an empty one where it is absent."""
        value = self._take(key, {})
        if not isinstance(value, dict):
            raise self.error(key, f"= {value!r} is not a table: write [{self._path(key)}]")
        return RecipeTable(self._file, self._base, self._path(key), value)

    def tables(self, key: str) -> list[RecipeTable]:
        """The tables of the list below `key`; none where it is absent."""
        value = self._take(key, [])
        if not isinstance(value, list) or not all(isinstance(v, dict) for v in value):
            raise self.error(key, f"is not a list of tables: write [[{self._path(key)}]]")
        return [
            RecipeTable(self._file, self._base, f"{self._path(key)}[{i}]", item)
            for i, item in enumerate(value)
        ]

    def raw(self) -> dict[str, Any]:
        """Every key as it stands, for a table whose keys are another program's business."""
        self._known.extend(self._table)
        return dict(self._table)

    def finish(self) -> None:
        """Refuses keys that were not asked for.

        Raises:
            InputError: there is one; the message names the key that was probably meant.
        """
        for key in self._table:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(self._known)}"
                raise InputError(f"{self._file}: unknown key {self._path(key)!r}; {hint}")

    def _take(self, key: str, default: object) -> Any:
        if self._offers(key):
            return self._table[key]
        if default is _MISSING:
            near = difflib.get_close_matches(key, self._table, 1)
            hint = f"; did you mean it by {near[0]!r}?" if near else ""
            raise self.error(key, f"is missing{hint}")
        return default

    def _offers(self, key: str) -> bool:
        if key not in self._known:
            self._known.append(key)
        return key in self._table

    def _path(self, key: str) -> str:
        return f"{self._name}.{key}" if self._name else key
