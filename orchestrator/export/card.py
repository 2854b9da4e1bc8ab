"""The dataset card: a header that dataset loaders read, and what people want to know."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.export.rows import config_name
from orchestrator.export.select import SPLITS, ExportSettings

#: Upper bounds of the hub's classes of size.
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
_LARGEST = "n>10M"


@dataclass(frozen=True)
class Card:
    """What a card says of the run that the dataset is from."""

    recipe_sha: str
    recipe: Mapping[str, Any]  # every setting by its dotted key


@dataclass(frozen=True)
class ExportSummary:
    """What was written: rows per file, and what became of every sample."""

    rows: dict[str, int]  # by file, for example {"kto/train.jsonl": 5120}
    sha256: dict[str, str]  # of each file that has rows
    samples: dict[str, int]  # by fate; adds up to what was sampled
    desirable: int  # samples exported, both splits
    undesirable: int


def dataset_card(card: Card, settings: ExportSettings, summary: ExportSummary) -> str:
    """The text of README.md. Equal datasets give equal cards: no date, no folder is in it."""
    files = [
        f"| {name} | {count} | {summary.sha256.get(name, 'not written: no rows')} |"
        for name, count in summary.rows.items()
    ]
    fates = [f"| {fate} | {count} |" for fate, count in sorted(summary.samples.items())]
    return "\n".join(
        [
            *_header(settings, summary.rows),
            "# Preference dataset",
            "",
            f"Made by plum from the recipe with hash `{card.recipe_sha}`: solutions sampled from a",
            "policy, labelled by running them against test suites.",
            f"{summary.desirable} desirable and {summary.undesirable} undesirable completions.",
            "A completion is raw sampled text, without an end-of-turn token.",
            "",
            *_shapes(settings),
            "",
            f"Export seed {settings.seed}, share of problems held back {settings.test_share}, "
            f"rows per problem and label at most {settings.max_per_problem or 'all'}, "
            f"pairs per problem at most {settings.pairs_per_problem}. No problem is in two splits.",
            "",
            "## Files",
            "",
            "| file | rows | SHA-256 |",
            "|---|---|---|",
            *files,
            "",
            "## What became of the samples",
            "",
            "| fate | count |",
            "|---|---|",
            *fates,
            f"| sampled | {sum(summary.samples.values())} |",
            "",
            "## Recipe",
            "",
            "```",
            *_recipe_lines(card.recipe),
            "```",
            "",
        ]
    )


def _header(settings: ExportSettings, rows: Mapping[str, int]) -> Iterator[str]:
    """YAML front matter. A configuration without rows is left out: loaders choke on it."""
    file_type = settings.file_types[0]
    configs: list[str] = []
    largest = 0
    for shape in settings.formats:
        for style in settings.styles:
            name = config_name(shape, style)
            files = [(split, f"{name}/{split}.{file_type}") for split in SPLITS]
            files = [(split, path) for split, path in files if rows[path]]
            if not files:
                continue
            largest = max(largest, sum(rows[path] for _, path in files))
            configs += [f"- config_name: {name}", *(["  default: true"] if not configs else [])]
            configs.append("  data_files:")
            for split, path in files:
                configs += [f"  - split: {split}", f"    path: {path}"]
    size = next((name for bound, name in _SIZES if largest < bound), _LARGEST)
    yield "---"
    yield from ("task_categories:", "- text-generation", "tags:", "- code", "- preference")
    yield from ("size_categories:", f"- {size}")
    if configs:
        yield from ("configs:", *configs)
    yield "---"


def _shapes(settings: ExportSettings) -> Iterator[str]:
    told = {
        "kto": "`prompt`, `completion`, `label`: unpaired rows for KTO",
        "dpo": "`prompt`, `chosen`, `rejected`: pairs for DPO, as many of a problem as it has "
        "samples of its rarer label",
        "sft": "`prompt`, `completion`: desirable completions only",
        "ablation": "as kto, but undesirable is only what does not run: it does not parse, does "
        "not compile or does not load",
    }
    for shape in settings.formats:
        yield f"- {shape}: {told[shape]}"
    if "conversational" in settings.styles:
        yield "- `..._conversational`: the same with prompts and completions as lists of messages"


def _recipe_lines(recipe: Mapping[str, Any]) -> Iterator[str]:
    for key, value in sorted(recipe.items()):
        if value is not None:
            # Where a file lies is nobody else's business.
            shown = Path(value).name if isinstance(value, str) and value[:1] == "/" else value
            yield f"{key} = {json.dumps(shown)}"
