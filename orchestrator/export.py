"""From labelled samples to preference datasets that trainers load as they are.

One directory, one folder per shape, JSON lines within, split by problem so that no problem is
on both sides::

    kto/{train,test}.jsonl   prompt, completion, label, problem_id
    dpo/{train,test}.jsonl   prompt, chosen, rejected, problem_id
    sft/{train,test}.jsonl   prompt, completion, problem_id
    provenance.jsonl         every sample: problem_id, index, label, reason, detail, fate
    README.md                counts, hashes, and what a dataset loader wants to know

A completion is the sampled text as it is. The end-of-turn token is the trainer's to add.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from orchestrator.labels import Label
from orchestrator.pairs import balanced_pairs
from orchestrator.problem import Problem

FORMATS = ("kto", "dpo", "sft")
_SPLITS = ("train", "test")
#: The fate of a sample that became a row.
EXPORTED = "exported"


@dataclass(frozen=True)
class LabelledSample:
    """One sample with its final label."""

    index: int
    completion: str  # raw
    label: Label


@dataclass(frozen=True)
class LabelledProblem:
    """A problem and all its samples."""

    problem: Problem
    samples: Sequence[LabelledSample]


@dataclass(frozen=True)
class ExportSettings:
    """What a recipe may choose about the export."""

    seed: int = 0
    test_share: float = 0.0  # of the problems, in [0, 1)
    max_per_problem: int | None = None  # rows of each label at most; None takes all
    pairs_per_problem: int = 4
    formats: tuple[str, ...] = FORMATS


@dataclass(frozen=True)
class ExportSummary:
    """What was written: rows per file, and what became of every sample."""

    rows: dict[str, int]  # for example {"kto/train": 5120}
    sha256: dict[str, str]  # of each file
    samples: dict[str, int]  # by reason; adds up to what was sampled
    desirable: int  # samples exported, both splits
    undesirable: int


def export(
    problems: Iterable[LabelledProblem],
    render: Callable[[Problem], str],
    directory: Path,
    settings: ExportSettings,
    recipe_hash: str,
) -> ExportSummary:
    """Writes the dataset of `problems` to `directory` and returns what was written.

    `render` makes the prompt that the policy was sampled with. Every file is replaced whole,
    README.md last: a reader that finds its hashes there finds a complete export.
    """
    files: dict[str, list[dict[str, Any]]] = {
        f"{shape}/{split}": [] for shape in settings.formats for split in _SPLITS
    }
    files["provenance"] = []
    samples: Counter[str] = Counter()
    labels: Counter[bool] = Counter()
    for labelled in problems:
        chosen, fates = select(labelled, settings)
        prompt = render(labelled.problem) if chosen else ""
        split = _split(labelled.problem.id, settings)
        rows = _rows(prompt, labelled.problem.id, chosen, settings)
        for shape in settings.formats:
            files[f"{shape}/{split}"] += rows[shape]
        labels.update(sample.label.value is True for sample in chosen)
        for sample, fate in zip(labelled.samples, fates, strict=True):
            samples[fate] += 1
            files["provenance"].append(_provenance(labelled.problem.id, sample, fate))
    hashes = {name: _write_rows(directory / f"{name}.jsonl", rows) for name, rows in files.items()}
    summary = ExportSummary(
        rows={name: len(rows) for name, rows in files.items()},
        sha256={name: digest for name, digest in hashes.items() if digest},
        samples=dict(samples),
        desirable=labels[True],
        undesirable=labels[False],
    )
    _write(directory / "README.md", _card(summary, settings, recipe_hash))
    return summary


def select(
    labelled: LabelledProblem, settings: ExportSettings
) -> tuple[list[LabelledSample], list[str]]:
    """The samples of a problem that become rows, and the fate of each sample in their order.

    Equal completions become one row; of what is over the cap, a seed chooses.
    """
    by_text: dict[str, list[LabelledSample]] = {}
    for sample in labelled.samples:
        if sample.label.value is not None:
            by_text.setdefault(sample.completion, []).append(sample)
    fates = {s.index: f"dropped: {s.label.reason}" for s in labelled.samples}
    classes: dict[bool, list[LabelledSample]] = {True: [], False: []}
    for twins in by_text.values():
        agreed = len({s.label.value for s in twins}) == 1
        for twin in twins:
            fates[twin.index] = "merged: duplicate" if agreed else "dropped: duplicates disagree"
        if agreed:
            classes[twins[0].label.value is True].append(twins[0])
    chosen: list[LabelledSample] = []
    generator = random.Random(f"{settings.seed}:{labelled.problem.id}:cap")
    for samples in classes.values():
        cap = len(samples) if settings.max_per_problem is None else settings.max_per_problem
        chosen += generator.sample(samples, min(cap, len(samples)))
    for sample in chain(classes[True], classes[False]):
        fates[sample.index] = "left out: over the cap"
    chosen.sort(key=lambda s: s.index)
    for sample in chosen:
        fates[sample.index] = EXPORTED
    return chosen, [fates[s.index] for s in labelled.samples]


def _split(problem_id: str, settings: ExportSettings) -> str:
    """The split of a problem, which does not change when other problems come or go."""
    digest = hashlib.sha256(f"{settings.seed}:{problem_id}:split".encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") / 2**64 < settings.test_share else "train"


def _rows(
    prompt: str, problem_id: str, chosen: Sequence[LabelledSample], settings: ExportSettings
) -> dict[str, list[dict[str, Any]]]:
    def row(**columns: Any) -> dict[str, Any]:
        return {"prompt": prompt, **columns, "problem_id": problem_id}

    good = [s.completion for s in chosen if s.label.value is True]
    bad = [s.completion for s in chosen if s.label.value is False]
    seed = f"{settings.seed}:{problem_id}:pairs"
    pairs = balanced_pairs(good, bad, settings.pairs_per_problem, seed)
    return {
        "kto": [row(completion=s.completion, label=s.label.value) for s in chosen],
        "dpo": [row(chosen=a, rejected=b) for a, b in pairs],
        "sft": [row(completion=completion) for completion in good],
    }


def _provenance(problem_id: str, sample: LabelledSample, fate: str) -> dict[str, Any]:
    return {
        "problem_id": problem_id,
        "index": sample.index,
        "label": sample.label.value,
        "reason": sample.label.reason,
        "detail": sample.label.detail,
        "fate": fate,
    }


def _write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    """Writes a file and returns its SHA-256; an empty one is removed, for loaders choke on it."""
    if not rows:
        path.unlink(missing_ok=True)
        return ""
    return _write(path, "".join(_lines(rows)))


def _lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    # ASCII: lone surrogates, which models do produce, survive as escapes.
    return (json.dumps(row) + "\n" for row in rows)


def _write(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = text.encode()
    temporary = path.with_name(f".{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return hashlib.sha256(data).hexdigest()


def _card(summary: ExportSummary, settings: ExportSettings, recipe_hash: str) -> str:
    """The README: a header that dataset loaders read, and the counts for people."""
    configs = []
    for shape in settings.formats:
        splits = [s for s in _SPLITS if summary.rows[f"{shape}/{s}"]]
        if splits:
            configs += [f"- config_name: {shape}", "  data_files:"]
            for split in splits:
                configs += [f"  - split: {split}", f"    path: {shape}/{split}.jsonl"]
    header = ["---", "configs:", *configs, "---"] if configs else []
    files = [
        f"| {name}.jsonl | {count} | {summary.sha256.get(name, 'not written: no rows')} |"
        for name, count in summary.rows.items()
    ]
    fates = [f"| {fate} | {count} |" for fate, count in sorted(summary.samples.items())]
    total = sum(summary.samples.values())
    return "\n".join(
        [
            *header,
            "# Preference dataset",
            "",
            f"Made by plum from the recipe with hash `{recipe_hash}`.",
            f"{summary.desirable} desirable and {summary.undesirable} undesirable completions.",
            "A completion is raw sampled text, without an end-of-turn token.",
            "",
            f"Export seed {settings.seed}, share of problems held back {settings.test_share}, "
            f"rows per problem and label at most {settings.max_per_problem or 'all'}, "
            f"pairs per problem at most {settings.pairs_per_problem}.",
            "",
            "| file | rows | SHA-256 |",
            "|---|---|---|",
            *files,
            "",
            "| what became of a sample | count |",
            "|---|---|",
            *fates,
            f"| sampled | {total} |",
            "",
        ]
    )
