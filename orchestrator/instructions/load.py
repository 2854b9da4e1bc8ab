"""From a recipe's `[instructions]` to problems: read, filtered, and a part of them chosen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.errors import InputError
from orchestrator.instructions.filters import apply_filters, open_filters
from orchestrator.instructions.loaders import Instruction, read_instructions
from orchestrator.instructions.sources import read_dataset, read_file
from orchestrator.instructions.subsample import subsample
from orchestrator.jsonl import Row
from orchestrator.recipe_instructions import InstructionsSection
from orchestrator.store.problems import Drop


def load_instructions(
    settings: InstructionsSection, language: str, seed: int
) -> Iterator[Instruction | Drop]:
    """Every row of the source, once: as an instruction, or as a drop with its reason.

    A function of the source's content, the settings and the seed: a second reading gives the
    same. With `limit` set, rows after the last problem that it admits are not read at all.

    Raises:
        InputError: a row or a benchmark is broken, a row takes another's id, or there is no
            such dataset.
        PlumError: a dataset cannot be reached, or a library is not installed.
    """
    rows = read_instructions(_rows_of(settings), settings.format, language, settings.fields)
    kept = _with_own_ids(apply_filters(rows, open_filters(settings, language)))
    if settings.sample is not None:
        return subsample(kept, settings.sample, seed)
    return kept if settings.limit is None else _first(kept, settings.limit)


def _rows_of(settings: InstructionsSection) -> Iterator[Row]:
    if settings.path is not None:
        return read_file(settings.path)
    assert settings.dataset is not None, "the recipe asks for one of the two"
    return read_dataset(settings.dataset, settings.config, settings.split, settings.revision)


def _with_own_ids(rows: Iterable[Instruction | Drop]) -> Iterator[Instruction | Drop]:
    """The rows as they are; ids of two instructions, which duplicates no longer are, differ."""
    places: dict[str, str] = {}
    for row in rows:
        if isinstance(row, Instruction):
            place = places.setdefault(row.problem.id, row.location)
            if place != row.location:
                raise InputError(f"{row.location}: id {row.problem.id!r} is taken by {place}")
        yield row


def _first(rows: Iterable[Instruction | Drop], count: int) -> Iterator[Instruction | Drop]:
    for row in rows:
        yield row
        if isinstance(row, Instruction):
            count -= 1
            if count == 0:
                return
