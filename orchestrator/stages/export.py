"""Stage `export`: labelled samples become dataset files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from orchestrator.errors import InputError, PlumError
from orchestrator.export import ExportSettings, LabelledProblem, LabelledSample
from orchestrator.export import export as write_dataset
from orchestrator.recipe import SamplingSection
from orchestrator.run import Run
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
    settings, sampling = run.recipe.export, run.recipe.sampling
    if settings is None or sampling is None:
        raise InputError("the recipe has no [export]")
    _require_labels(run)
    summary = write_dataset(
        _labelled(run, sampling),
        training_renderer(run.recipe, sampling),
        dataset_folder(run),
        ExportSettings(
            seed=run.recipe.run.seed,
            test_share=settings.test_share,
            max_per_problem=settings.max_per_problem,
            pairs_per_problem=settings.pairs_per_problem,
            formats=settings.formats,
        ),
        run.recipe_sha(),
    )
    counts = {name: n for name, n in summary.rows.items() if n}
    counts |= {"desirable": summary.desirable, "undesirable": summary.undesirable}
    return StageSummary("export", True, counts | summary.samples)


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
