"""Reads a benchmark file in one of the shapes that are published."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.jsonl import Row, read_rows
from orchestrator.problem import Problem


@dataclass(frozen=True)
class JudgedProblem:
    """A problem and the suite that a solution must pass."""

    problem: Problem
    suite: str


def read_benchmark(path: Path, format: str, limit: int | None = None) -> list[JudgedProblem]:
    """The first `limit` problems of a file, all of them without a limit.

    Raises:
        InputError: an unknown format, an unreadable file, a bad row, an id that comes twice,
            or no problem at all; the message names file, line, field and value.
    """
    if format not in FORMATS:
        raise InputError(f"format {format!r} is unknown; there are {', '.join(FORMATS)}")
    problems: list[JudgedProblem] = []
    seen: dict[str, str] = {}
    for row in islice(read_rows(path), limit):
        judged = FORMATS[format](row)
        first = seen.setdefault(judged.problem.id, row.where)
        if first != row.where:
            raise InputError(f"{row.where}: id {judged.problem.id!r} is that of {first} already")
        problems.append(judged)
    if not problems:
        raise InputError(f"{path}: holds no problems")
    return problems


def _humaneval(row: Row) -> JudgedProblem:
    """HumanEval and HumanEval+: complete `prompt`; `test` defines `check(candidate)`."""
    prompt = row.text("prompt")
    entry_point = row.identifier("entry_point")
    problem = Problem(row.id("task_id"), prompt, "python", prompt, entry_point, "humaneval")
    return JudgedProblem(problem, f"{row.text('test').rstrip()}\n\n\ncheck({entry_point})\n")


def _mbpp(row: Row) -> JudgedProblem:
    """MBPP (`text`), its sanitized form (`prompt`, `test_imports`) and MBPP+ (with `test`).

    The first assertion is shown, for nothing else says what the function is to be called.
    The challenge tests are left out, as they are from the published scores.
    """
    assertions = row.texts("test_list")
    if not assertions:
        raise InputError(f"{row.where}: test_list is missing or empty")
    text = row.text("prompt" if "prompt" in row.fields else "text")
    instruction = f"{text.strip()}\n\nYour code should satisfy this test:\n\n{assertions[0]}"
    whole = row.optional_text("test")
    if whole is None:
        setup = row.optional_text("test_setup_code") or ""
        parts = [*row.texts("test_imports"), setup, *assertions]
        whole = "\n".join(part for part in parts if part)
    entry_point = _defined_and_called(row.text("code"), assertions[0])
    problem = Problem(row.id("task_id"), instruction, "python", None, entry_point, "mbpp")
    return JudgedProblem(problem, whole.rstrip() + "\n")


def _plain(row: Row) -> JudgedProblem:
    """Our own: `id`, `instruction`, `test`, optional `language`, `start_code`, `entry_point`."""
    problem = Problem(
        id=row.id("id"),
        instruction=row.text("instruction"),
        language=row.optional_text("language") or "python",
        start_code=row.optional_text("start_code"),
        entry_point=row.optional_text("entry_point"),
        source="plain",
    )
    return JudgedProblem(problem, row.text("test"))


def _defined_and_called(code: str, assertion: str) -> str | None:
    """The function of the reference solution that an assertion calls, None where none is seen."""
    defined = re.findall(r"^(?:def|class) (\w+)", code, re.MULTILINE)
    called = set(re.findall(r"\w+", assertion))
    return next((name for name in reversed(defined) if name in called), None)


FORMATS: dict[str, Callable[[Row], JudgedProblem]] = {
    "humaneval": _humaneval,
    "mbpp": _mbpp,
    "plain": _plain,
}
