"""Reads ``language.toml``: what a worker knows of the language that it serves."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from sandbox_server.worker.errors import RefusedError
from sandbox_server.worker.protocol import VERDICTS, Limits


@dataclass(frozen=True)
class SelfCheck:
    """A program with a known verdict; a worker that judges it otherwise may not serve."""

    solution: str
    test: str
    verdict: str


@dataclass(frozen=True)
class Language:
    """One folder under ``images/``."""

    name: str
    folder: Path
    #: Folder of the harness package, put on the worker's import path.
    harness: str
    default_limits: Limits
    check_limits: Limits
    self_checks: tuple[SelfCheck, ...]


def load_language(folder: Path) -> Language:
    """Reads the language in `folder`.

    Raises:
        RefusedError: the file is missing or says something that it may not say.
    """
    path = folder / "language.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise RefusedError(f"{path}: {e}") from e
    try:
        limits = _limits(data["limits"])
        return Language(
            name=data["name"],
            folder=folder,
            harness=data["fork_server"]["harness"],
            default_limits=limits,
            check_limits=_limits({**data["limits"], **data.get("check", {}).get("limits", {})}),
            self_checks=tuple(_self_check(row) for row in data["self_check"]),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise RefusedError(f"{path}: {type(e).__name__}: {e}") from e


def _limits(table: dict[str, Any]) -> Limits:
    names = {field.name for field in fields(Limits)}
    if set(table) != names:
        raise ValueError(f"limits must have exactly the keys {sorted(names)}, not {sorted(table)}")
    for key, value in table.items():
        if not isinstance(value, int | float) or value <= 0:
            raise ValueError(f"limits.{key} = {value!r} must be a number above 0")
    return Limits(**table)


def _self_check(row: dict[str, str]) -> SelfCheck:
    if row["verdict"] not in VERDICTS:
        raise ValueError(f"self_check.verdict = {row['verdict']!r} is no verdict")
    return SelfCheck(solution=row["solution"], test=row["test"], verdict=row["verdict"])
