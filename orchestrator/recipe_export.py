"""`[export]` of a recipe: which dataset files are written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.recipe_table import RecipeTable

FORMATS = ("kto", "dpo", "sft", "ablation")
STYLES = ("plain", "conversational")
FILE_TYPES = ("jsonl", "parquet")


@dataclass(frozen=True)
class ExportSection:
    """`[export]`: the dataset files. max_per_problem: rows of each label at most; None takes all."""

    formats: tuple[str, ...] = ("kto",)
    styles: tuple[str, ...] = ("plain",)
    file_types: tuple[str, ...] = ("jsonl",)
    max_per_problem: int | None = None
    pairs_per_problem: int = 4
    test_share: float = 0.0  # of the problems, set aside, in [0, 1)


def read_export_section(table: RecipeTable | None) -> ExportSection | None:
    """Reads and checks the table; None where the recipe has none.

    Raises:
        InputError: naming the file, the key, the value and what is allowed.
    """
    if table is None:
        return None
    usual = ExportSection()
    section = ExportSection(
        formats=_choices(table, "formats", FORMATS, usual.formats),
        styles=_choices(table, "styles", STYLES, usual.styles),
        file_types=_choices(table, "file_types", FILE_TYPES, usual.file_types),
        max_per_problem=table.optional_integer("max_per_problem", 1, 10_000),
        pairs_per_problem=table.integer("pairs_per_problem", usual.pairs_per_problem, 1, 10_000),
        test_share=table.number("test_share", usual.test_share, 0.0, 0.9),
    )
    table.finish()
    return section


def _choices(
    table: RecipeTable, key: str, known: Sequence[str], usual: tuple[str, ...]
) -> tuple[str, ...]:
    chosen = table.texts(key) or usual
    for item in chosen:
        if item not in known:
            raise table.error(key, f"holds {item!r}; known: {', '.join(known)}")
    if len(set(chosen)) < len(chosen):
        raise table.error(key, f"= {list(chosen)} names one twice")
    return chosen
