"""Reads a table of limits: every key, each a number above 0."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from sandbox_server.worker.protocol import Limits


def read_limits(table: dict[str, Any]) -> Limits:
    """The limits in `table`.

    Raises:
        ValueError: a key is missing or unknown, or its value is no number above 0.
    """
    names = {field.name for field in fields(Limits)}
    if set(table) != names:
        raise ValueError(f"limits must have exactly the keys {sorted(names)}, not {sorted(table)}")
    for key, value in table.items():
        if not isinstance(value, int | float) or value <= 0:
            raise ValueError(f"limits.{key} = {value!r} must be a number above 0")
    return Limits(**table)
