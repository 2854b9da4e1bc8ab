"""Tasks for measuring the languages: right solutions with their suites.

Taken from the rows of a judging set (JSON lines with `language`, `solution`, `test`, `expect`)
where one is given; ``tasks.toml`` has one for each language that the rows lack.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: C++ as it is written for competitions: one include, and all of the library behind it.
HEAVY = "cpp-heavy"
LANGUAGES = ("javascript", "typescript", "cpp", HEAVY, "java", "go", "rust")
_HEAVY_HEADER = "#include <bits/stdc++.h>\n"
_BUILT_IN = Path(__file__).with_name("tasks.toml")


@dataclass(frozen=True)
class Task:
    """A solution that passes its suite."""

    solution: str
    test: str


def tasks_of(language: str, rows: Path | None, count: int) -> list[Task]:
    """`count` tasks of one of LANGUAGES, spread over those in `rows`; repeated where there are less."""
    if language == HEAVY:
        usual = tasks_of("cpp", rows, count)
        return [Task(_HEAVY_HEADER + task.solution, task.test) for task in usual]
    found = _right_ones(language, rows) or [_built_in(language)]
    step = max(1, len(found) // count)
    return [found[number * step % len(found)] for number in range(count)]


def _right_ones(language: str, rows: Path | None) -> Sequence[Task]:
    if rows is None:
        return []
    read = [json.loads(line) for line in rows.read_text(encoding="utf-8").splitlines()]
    return [
        Task(row["solution"], row["test"])
        for row in read
        if row["language"] == language and row["expect"].get("verdict") == ["PASSED"]
    ]


def _built_in(language: str) -> Task:
    task = tomllib.loads(_BUILT_IN.read_text(encoding="utf-8"))[language]
    return Task(task["solution"], task["test"])
