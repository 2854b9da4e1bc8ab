"""Labelled rows: read, choose, shuffle, split. Plain Python, nothing of torch."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.pairs import balanced_pairs


@dataclass(frozen=True)
class Row:
    """One completion and whether it is desirable."""

    prompt: str  # the whole text that the policy was given, chat markup included
    completion: str  # what the policy answered
    label: bool
    problem: str  # rows of one problem belong together


@dataclass(frozen=True)
class Pair:
    """Two completions of one prompt, of which the first is to be preferred."""

    prompt: str
    chosen: str
    rejected: str


def read_rows(file: Path) -> list[Row]:
    """Reads JSONL rows `prompt`, `completion`, `label` and, where given, `problem_id`.

    Without `problem_id`, rows with the same prompt are of the same problem.

    Raises:
        InputError: the file cannot be read or holds no row, or a row is bad;
            the message names file, line, field and value.
    """
    rows = []
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    rows.append(_row(f"{file}:{number}", line))
    except OSError as e:
        raise InputError(f"{file}: {e.strerror}") from e
    except UnicodeDecodeError as e:
        raise InputError(f"{file}: is not UTF-8: {e}") from e
    if not rows:
        raise InputError(f"{file}: holds no rows")
    return rows


def _row(where: str, line: str) -> Row:
    try:
        record = json.loads(line)
    except ValueError as e:
        raise InputError(f"{where}: is not JSON: {e}") from e
    if not isinstance(record, dict):
        raise InputError(f"{where}: is not an object")
    prompt = _field(where, record, "prompt", str)
    return Row(
        prompt=prompt,
        completion=_field(where, record, "completion", str),
        label=_field(where, record, "label", bool),
        problem=_field(where, record, "problem_id", str) if "problem_id" in record else prompt,
    )


def _field(where: str, record: dict[str, Any], name: str, kind: type) -> Any:
    if name not in record:
        raise InputError(f"{where}: {name} is missing")
    if not isinstance(record[name], kind):
        wanted = {str: "text", bool: "true or false"}[kind]
        hint = " (render conversations to text first)" if isinstance(record[name], list) else ""
        raise InputError(f"{where}: {name} = {record[name]!r:.80} is not {wanted}{hint}")
    return record[name]


def cap(rows: Sequence[Row], most: int | None, seed: int) -> list[Row]:
    """At most `most` rows of each problem and label, chosen by `seed`; order is kept."""
    if most is None:
        return list(rows)
    groups: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        groups[row.problem, row.label].append(index)
    rng = random.Random(f"cap {seed}")
    chosen = {i for group in groups.values() for i in rng.sample(group, min(most, len(group)))}
    return [row for index, row in enumerate(rows) if index in chosen]


def split(rows: Sequence[Row], eval_share: float, seed: int) -> tuple[list[Row], list[Row]]:
    """Rows to train on and rows to watch, which share no problem.

    The order of the problems does not depend on the order of the rows.
    """
    problems = sorted({row.problem for row in rows})
    random.Random(f"split {seed}").shuffle(problems)
    watched = set(problems[: round(eval_share * len(problems))])
    return (
        [row for row in rows if row.problem not in watched],
        [row for row in rows if row.problem in watched],
    )


def shuffle(rows: Sequence[Row], seed: int) -> list[Row]:
    """The rows in a seeded order.

    The trainer takes rows as they come, and rows of one problem stand together in an
    export: unshuffled, a batch would see one prompt, and KTO's KL term with it.
    """
    shuffled = list(rows)
    random.Random(f"rows {seed}").shuffle(shuffled)
    return shuffled


def without_lone_last(rows: list[Row], batch_size: int) -> list[Row]:
    """The rows without a last batch of a single one, which would be its own KL partner."""
    return rows[:-1] if len(rows) % batch_size == 1 else rows


def preference_pairs(rows: Iterable[Row], seed: int) -> list[Pair]:
    """As many pairs of each problem as it has rows of its rarer label, in a seeded order."""
    problems: dict[tuple[str, str], tuple[list[str], list[str]]] = {}
    for row in rows:
        good, bad = problems.setdefault((row.problem, row.prompt), ([], []))
        (good if row.label else bad).append(row.completion)
    pairs = [
        Pair(prompt, *both)
        for (problem, prompt), (good, bad) in problems.items()
        for both in balanced_pairs(good, bad, None, f"{seed}:{problem}:pairs")
    ]
    random.Random(f"pairs {seed}").shuffle(pairs)
    return pairs
