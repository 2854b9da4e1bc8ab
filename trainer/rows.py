"""Labelled rows: read, choose, shuffle, split. Plain Python, nothing of torch."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator import jsonl
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
    rows = [
        Row(
            prompt=_text(record, "prompt"),
            completion=_text(record, "completion"),
            label=record.flag("label"),
            problem=_text(record, "problem_id" if "problem_id" in record.fields else "prompt"),
        )
        for record in jsonl.read_rows(file)
    ]
    if not rows:
        raise InputError(f"{file}: holds no rows")
    return rows


def _text(record: jsonl.Row, name: str) -> str:
    if isinstance(record.fields.get(name), list):
        raise record.wrong(name, "text (render conversations to text first)")
    return record.text(name)


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
