"""`[instructions]` of a recipe: where problems come from, and which rows are not used."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.benchmarks.read import FORMATS as BENCHMARK_FORMATS
from orchestrator.recipe_table import RecipeTable

INSTRUCTION_FORMATS = ("oss_instruct", "evol_instruct", "sharegpt", "plain")


@dataclass(frozen=True)
class FieldNames:
    """`[instructions.fields]`: what a plain row calls its fields. Absent keys keep our names."""

    id: str = "id"
    instruction: str = "instruction"
    language: str = "language"
    start_code: str = "start_code"
    entry_point: str = "entry_point"


@dataclass(frozen=True)
class FilterSection:
    """`[instructions.filters]`: which rows are dropped. None switches a filter off."""

    language: bool  # rows that ask for another language than the run's
    min_chars: int | None  # of the instruction, white space at its ends not counted
    max_chars: int | None
    asks_for_code: bool  # rows that ask for something other than code
    near_duplicates: float | None  # least share of common word shingles, in [0.5, 1]


@dataclass(frozen=True)
class BenchmarkFile:
    """A benchmark whose problems must not be trained on."""

    path: Path
    format: str


@dataclass(frozen=True)
class DecontaminationSection:
    """`[instructions.decontamination]`: rows that share `ngram` words in a row with a benchmark."""

    ngram: int
    benchmarks: tuple[BenchmarkFile, ...]


@dataclass(frozen=True)
class InstructionsSection:
    """`[instructions]`: where the problems come from.

    Exactly one of `path` (JSONL, a JSON array, or Parquet by its name) and `dataset` (a hub
    name or a folder that `datasets` loads, with `config`, `split` and `revision`).
    limit: the first so many problems. sample: so many of all, chosen by the run's seed.
    """

    path: Path | None
    dataset: str | None
    config: str | None
    split: str
    revision: str | None
    format: str
    fields: FieldNames
    filters: FilterSection
    decontamination: DecontaminationSection
    limit: int | None
    sample: int | None


def read_instructions_section(table: RecipeTable) -> InstructionsSection:
    """Reads and checks the table.

    Raises:
        InputError: naming the file, the key, the value and what is allowed.
    """
    if ("path" in table) == ("dataset" in table):
        raise table.error("path", "or dataset has to be given, and not both")
    local = "path" in table
    row_format = table.choice("format", INSTRUCTION_FORMATS, "plain")
    if "fields" in table and row_format != "plain":
        raise table.error("fields", f"goes with format = 'plain', not {row_format!r}")
    section = InstructionsSection(
        path=table.file("path") if local else None,
        dataset=None if local else table.folder_or_name("dataset"),
        config=None if local else table.optional_text("config"),
        split="train" if local else table.text("split", "train"),
        revision=None if local else table.optional_text("revision"),
        format=row_format,
        fields=_fields(table.table("fields")),
        filters=_filters(table.table("filters"), row_format),
        decontamination=_decontamination(table.table("decontamination")),
        limit=table.optional_integer("limit", 1, 10**9),
        sample=table.optional_integer("sample", 1, 10**9),
    )
    if section.limit is not None and section.sample is not None:
        raise table.error("sample", "and limit exclude each other: remove one")
    table.finish()
    return section


def _fields(table: RecipeTable) -> FieldNames:
    ours = FieldNames()
    names = FieldNames(
        id=table.text("id", ours.id),
        instruction=table.text("instruction", ours.instruction),
        language=table.text("language", ours.language),
        start_code=table.text("start_code", ours.start_code),
        entry_point=table.text("entry_point", ours.entry_point),
    )
    table.finish()
    return names


def _filters(table: RecipeTable, row_format: str) -> FilterSection:
    section = FilterSection(
        language=table.flag("language", True),
        min_chars=table.optional_integer("min_chars", 1, 10**6),
        max_chars=table.optional_integer("max_chars", 1, 10**7),
        # People talk to a chat about anything; the other sets hold nothing but exercises.
        asks_for_code=table.flag("asks_for_code", row_format == "sharegpt"),
        near_duplicates=table.optional_number("near_duplicates", 0.5, 1.0),
    )
    if section.min_chars and section.max_chars and section.max_chars < section.min_chars:
        raise table.error("max_chars", f"= {section.max_chars} is below min_chars")
    table.finish()
    return section


def _decontamination(table: RecipeTable) -> DecontaminationSection:
    benchmarks = []
    for item in table.tables("benchmarks"):
        benchmarks.append(
            BenchmarkFile(
                path=item.file("path"),
                format=item.choice("format", tuple(BENCHMARK_FORMATS), "humaneval"),
            )
        )
        item.finish()
    section = DecontaminationSection(
        ngram=table.integer("ngram", 10, 3, 100), benchmarks=tuple(benchmarks)
    )
    table.finish()
    return section
