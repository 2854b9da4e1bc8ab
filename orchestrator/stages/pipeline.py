"""The stages in their order, and what is noted of each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from orchestrator.recipe import Recipe
from orchestrator.run import Run
from orchestrator.stages.check import check
from orchestrator.stages.evaluate import evaluate
from orchestrator.stages.export import export
from orchestrator.stages.filter import filter_suites
from orchestrator.stages.generate import generate
from orchestrator.stages.label import label
from orchestrator.stages.load import load
from orchestrator.stages.report import report
from orchestrator.stages.sample import sample
from orchestrator.stages.train import train
from orchestrator.store.stages import StageRecord, StageSummary, record_stage

STAGES: dict[str, Callable[[Run], StageSummary]] = {
    "load": load,
    "generate": generate,
    "filter": filter_suites,
    "sample": sample,
    "check": check,
    "label": label,
    "export": export,
    "train": train,
    "evaluate": evaluate,
    "report": report,
}


def configured_stages(recipe: Recipe) -> list[str]:
    """The stages that a recipe asks for, in their order."""
    names = ["load"]
    if recipe.generation is not None:
        names += ["generate", "filter"]
    if recipe.sampling is not None:
        names += ["sample", "check", "label"]
    if recipe.export is not None:
        names.append("export")
    if recipe.train is not None:
        names.append("train")
    if recipe.evaluation:
        names.append("evaluate")
    return [*names, "report"]


def run_stages(run: Run, names: list[str]) -> Iterator[StageRecord]:
    """Runs stages in the given order; ends after one that could not do all of its work.

    Raises:
        PlumError: a stage failed. What it and the stages before it did is stored.
    """
    for name in names:
        began = time.monotonic()
        summary = STAGES[name](run)
        wall_time_s = time.monotonic() - began
        record_stage(run.db, summary, wall_time_s)
        yield StageRecord(summary, wall_time_s)
        if not summary.complete:
            return
