"""Writes a dataset: every shape, style and file type that is asked for, in one pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.export.card import Card, ExportSummary, dataset_card
from orchestrator.export.files import FILE_TYPES, JsonlFile, RowFile, write_text
from orchestrator.export.rows import Render, config_name, problem_rows, side_of
from orchestrator.export.select import (
    SPLITS,
    ExportSettings,
    LabelledProblem,
    LabelledSample,
    select,
    split_of,
)

_PROVENANCE = "provenance.jsonl"


def export(
    problems: Iterable[LabelledProblem],
    renderers: Mapping[str, Render],
    directory: Path,
    settings: ExportSettings,
    card: Card,
) -> ExportSummary:
    """Writes the dataset of `problems` to `directory` and returns what was written.

    renderers: for each style what makes a problem's prompt (plain) or user message.

    Every file is replaced whole, README.md last: a reader that finds its hashes there finds a
    complete export. One problem at a time is in memory.

    Raises:
        PlumError: the library that writes Parquet is not installed.
    """
    samples: Counter[str] = Counter()
    labels: Counter[bool] = Counter()
    with _open_files(directory, settings) as files:
        for labelled in problems:
            chosen, fates = select(labelled, settings)
            labels.update(sample.label.value is True for sample in chosen)
            samples.update(fates)
            for sample, fate in zip(labelled.samples, fates, strict=True):
                files[_PROVENANCE].add(_provenance(labelled.problem.id, sample, fate))
            for name, row in _rows(labelled, chosen, renderers, settings):
                files[name].add(row)
        hashes = {name: file.finish() for name, file in files.items()}
        summary = ExportSummary(
            rows={name: file.rows for name, file in files.items()},
            sha256={name: digest for name, digest in hashes.items() if digest},
            samples=dict(samples),
            desirable=labels[True],
            undesirable=labels[False],
        )
    write_text(directory / "README.md", dataset_card(card, settings, summary))
    return summary


def _rows(
    labelled: LabelledProblem,
    chosen: list[LabelledSample],
    renderers: Mapping[str, Render],
    settings: ExportSettings,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every row of a problem with the name of the file that it belongs in."""
    problem = labelled.problem
    split = split_of(problem.id, settings)
    by_shape = {shape: chosen for shape in settings.formats}
    if "ablation" in by_shape:
        by_shape["ablation"] = select(labelled, settings, side_of("ablation"))[0]
    if not any(by_shape.values()):
        return
    for style in settings.styles:
        prompt = renderers[style](problem)
        for shape, taken in by_shape.items():
            rows = problem_rows(
                *(shape, style),
                prompt=prompt,
                problem_id=problem.id,
                chosen=taken,
                settings=settings,
            )
            for row in rows:
                for file_type in settings.file_types:
                    yield f"{config_name(shape, style)}/{split}.{file_type}", row


@contextmanager
def _open_files(directory: Path, settings: ExportSettings) -> Iterator[dict[str, RowFile]]:
    files: dict[str, RowFile] = {
        name: FILE_TYPES[file_type](directory / name)
        for shape in settings.formats
        for style in settings.styles
        for split in SPLITS
        for file_type in settings.file_types
        for name in [f"{config_name(shape, style)}/{split}.{file_type}"]
    }
    files[_PROVENANCE] = JsonlFile(directory / _PROVENANCE)
    try:
        yield files
    except BaseException:
        for file in files.values():
            file.discard()
        raise


def _provenance(problem_id: str, sample: LabelledSample, fate: str) -> dict[str, Any]:
    return {
        "problem_id": problem_id,
        "index": sample.index,
        "label": sample.label.value,
        "reason": sample.label.reason,
        "detail": sample.label.detail,
        "fate": fate,
    }
