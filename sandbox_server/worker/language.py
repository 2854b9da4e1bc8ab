"""Reads ``language.toml``: what a worker knows of the language that it serves."""

from __future__ import annotations

import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox_server.worker.errors import RefusedError
from sandbox_server.worker.limits import read_limits
from sandbox_server.worker.protocol import MOST_HASH_SEEDS, MOST_TESTS, VERDICTS, Limits

if TYPE_CHECKING:
    from sandbox_server.worker.toolchain import Programs


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
    #: How candidates are compiled and run as programs; None: the harness runs them itself.
    programs: Programs | None
    #: Seeds of hashes with which candidates can be run: 0 is the usual one.
    hash_seeds: int
    default_limits: Limits
    check_limits: Limits
    self_checks: tuple[SelfCheck, ...]

    @property
    def version(self) -> str:
        """Of the toolchain that candidates meet."""
        return sys.version.split()[0] if self.programs is None else self.programs.version

    @property
    def most_tests(self) -> int:
        """How many suites of one solution are worth to be judged one after the other."""
        compiled = self.programs is not None and self.programs.compile is not None
        return MOST_TESTS if compiled else 1


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
        limits = read_limits(data["limits"])
        return Language(
            name=data["name"],
            folder=folder,
            programs=_read_programs(folder, data, limits) if "run" in data else None,
            hash_seeds=_hash_seeds(data),
            default_limits=limits,
            check_limits=read_limits({**data["limits"], **data.get("check", {}).get("limits", {})}),
            self_checks=tuple(_self_check(row) for row in data["self_check"]),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise RefusedError(f"{path}: {type(e).__name__}: {e}") from e


def _read_programs(folder: Path, data: dict[str, Any], limits: Limits) -> Programs:
    # It looks for programs, which other languages need nothing of in memory.
    from sandbox_server.worker.toolchain import read_programs

    return read_programs(folder, data, limits)


def _hash_seeds(data: dict[str, Any]) -> int:
    seeds = data.get("hash_seeds", 1)
    # Programs are told of none: they have environments of their own.
    most = 1 if "run" in data else MOST_HASH_SEEDS
    if type(seeds) is not int or not 1 <= seeds <= most:
        raise ValueError(f"hash_seeds = {seeds!r} is outside [1, {most}]")
    return seeds


def _self_check(row: dict[str, str]) -> SelfCheck:
    if row["verdict"] not in VERDICTS:
        raise ValueError(f"self_check.verdict = {row['verdict']!r} is no verdict")
    return SelfCheck(solution=row["solution"], test=row["test"], verdict=row["verdict"])
