"""Stage `load`: instructions become problems."""

from __future__ import annotations

from orchestrator.instructions.load import load_instructions
from orchestrator.progress import progress
from orchestrator.run import Run
from orchestrator.run_inputs import freeze_file
from orchestrator.store.problems import Drop, add_drop, add_problem, count_problems, drop_counts
from orchestrator.store.stages import StageSummary, meta, set_meta

_LOADED = "loaded"


def load(run: Run) -> StageSummary:
    """Reads the instructions, once, all or nothing.

    A source that is a file, and the benchmarks it is compared with, must not change later; a
    dataset is taken at its name.

    Raises:
        InputError: a row is broken, or a file changed since it was read.
        PlumError: a dataset cannot be reached.
    """
    # A file that turns out to be broken is not remembered: it is to be mended.
    with run.db.transaction():
        _freeze_files(run)
        if meta(run.db, _LOADED) is None:
            _load_problems(run)
            set_meta(run.db, _LOADED, "yes")
    drops = {f"dropped: {reason}": n for reason, n in drop_counts(run.db).items()}
    return StageSummary("load", True, {"problems": count_problems(run.db), **drops})


def _freeze_files(run: Run) -> None:
    settings = run.recipe.instructions
    if settings.path is not None:
        freeze_file(run.db, "instructions.path", settings.path)
    for index, benchmark in enumerate(settings.decontamination.benchmarks):
        freeze_file(run.db, f"instructions.decontamination.{index}", benchmark.path)


def _load_problems(run: Run) -> None:
    rows = load_instructions(run.recipe.instructions, run.recipe.run.language, run.recipe.run.seed)
    ordinal = 0
    for row in progress(rows, "load", "rows"):
        if isinstance(row, Drop):
            add_drop(run.db, row)
        else:
            add_problem(run.db, ordinal, row.problem)
            ordinal += 1
