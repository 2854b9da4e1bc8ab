"""Stage `export`: labelled samples become dataset files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from orchestrator.errors import InputError, PlumError
from orchestrator.export.card import Card
from orchestrator.export.rows import Render
from orchestrator.export.select import ExportSettings, LabelledProblem, LabelledSample
from orchestrator.export.write import export as write_dataset
from orchestrator.recipe import SamplingSection
from orchestrator.recipe_export import ExportSection
from orchestrator.run import Run
from orchestrator.sampling.prompts import user_message
from orchestrator.stages.policy import shown_problem, training_renderer
from orchestrator.store.labels import label_counts, labels_of, problems_to_label
from orchestrator.store.problems import problem_pages
from orchestrator.store.samples import samples_of
from orchestrator.store.stages import StageSummary

_PAGE = 256


def dataset_folder(run: Run) -> Path:
    """Where the files are written."""
    return run.folder / "dataset"


def export(run: Run) -> StageSummary:
    """Writes the dataset anew from the labels; the same labels give the same bytes.

    Raises:
        PlumError: labels are missing.
    """
    if run.recipe.export is None:
        raise InputError("the recipe has no [export]")
    return export_to(run, run.recipe.export, dataset_folder(run))


def export_to(run: Run, section: ExportSection, folder: Path) -> StageSummary:
    """Writes a dataset of the run's labels as `section` says, to any folder.

    Raises:
        InputError: the recipe samples nothing.
        PlumError: labels are missing.
    """
    sampling = run.recipe.sampling
    if sampling is None:
        raise InputError("the recipe has no [sampling]: there is nothing to export")
    _require_labels(run)
    summary = write_dataset(
        _labelled(run, sampling),
        _renderers(run, section, sampling),
        folder,
        ExportSettings(**asdict(section), seed=run.recipe.run.seed),
        Card(run.recipe_sha(), run.recipe.flat()),
    )
    counts = {name: n for name, n in summary.rows.items() if n}
    counts |= {"desirable": summary.desirable, "undesirable": summary.undesirable}
    return StageSummary("export", True, counts | summary.samples)


def _renderers(run: Run, section: ExportSection, sampling: SamplingSection) -> dict[str, Render]:
    renderers: dict[str, Render] = {"conversational": user_message}
    if "plain" in section.styles:  # only then a tokenizer is needed
        renderers["plain"] = training_renderer(run.recipe, sampling)
    return renderers


def _require_labels(run: Run) -> None:
    waiting = len(problems_to_label(run.db))
    if waiting:
        raise PlumError(f"{waiting} problems are not labelled completely; run `plum label` again")
    if not label_counts(run.db):
        raise PlumError("there are no labels to export; run `plum label` first")


def _labelled(run: Run, sampling: SamplingSection) -> Iterator[LabelledProblem]:
    for page in problem_pages(run.db, _PAGE):
        for problem in page:
            labels = labels_of(run.db, problem.id)
            if not labels:
                continue
            samples = [
                LabelledSample(sample.index, sample.text, labels[sample.index])
                for sample in samples_of(run.db, problem.id)
            ]
            yield LabelledProblem(shown_problem(run.db, sampling, problem), samples)
