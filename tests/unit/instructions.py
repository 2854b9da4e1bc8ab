"""Reads rows of instructions as a recipe would have them read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from orchestrator.instructions.load import load_instructions
from orchestrator.recipe_instructions import InstructionsSection, read_instructions_section
from orchestrator.recipe_table import RecipeTable
from orchestrator.store.problems import Drop


def section(folder: Path, **keys: Any) -> InstructionsSection:
    """`[instructions]` with these keys, paths from `folder`."""
    return read_instructions_section(
        RecipeTable(folder / "recipe.toml", folder, "instructions", keys)
    )


def outcomes(settings: InstructionsSection, seed: int = 0) -> list[Any]:
    """What becomes of each row: location and problem, or a drop."""
    rows = load_instructions(settings, "python", seed)
    return [row if isinstance(row, Drop) else (row.location, row.problem) for row in rows]


def read(path: Path, row_format: str, **keys: Any) -> list[Any]:
    """The outcomes of a file's rows."""
    return outcomes(section(path.parent, path=path.name, format=row_format, **keys))


def load(folder: Path, rows: list[Any], row_format: str, **keys: Any) -> list[Any]:
    """The outcomes of these rows."""
    path = folder / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read(path, row_format, **keys)
