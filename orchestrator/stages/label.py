"""Stage `label`: candidates meet the kept suites, and the policy gives them their labels."""

from __future__ import annotations

from itertools import chain

from orchestrator.check_codes import fatal_codes
from orchestrator.errors import InputError
from orchestrator.labels import LabelPolicy, LabelReason
from orchestrator.run import Run
from orchestrator.stages.labelling import Labelling
from orchestrator.store.executions import error_counts
from orchestrator.store.labels import (
    count_labelled,
    label_counts,
    problems_not_executed_whole,
    problems_to_label,
)
from orchestrator.store.samples import count_samples
from orchestrator.store.stages import StageSummary


def label(run: Run) -> StageSummary:
    """Labels what has no final label, and executes what is needed for it.

    Raises:
        InputError: the recipe samples nothing.
        SandboxError: the sandbox cannot be reached, does not start, or executes nothing any more.
    """
    if run.recipe.sampling is None:
        raise InputError("the recipe has no [sampling]: there is nothing to label")
    problem_ids = problems_to_label(run.db)
    if not run.recipe.label.early_stop:
        # Also what has its labels: they do not change, but their candidates meet the rest.
        problem_ids = list(dict.fromkeys([*problem_ids, *problems_not_executed_whole(run.db)]))
    if problem_ids:
        _label(run, problem_ids)
    by_reason = label_counts(run.db)
    counts = {_name(value, reason): n for value, reason, n in by_reason}
    waiting = sum(n for _, reason, n in by_reason if reason == LabelReason.NOT_EXECUTED)
    notes = tuple(error_counts(run.db)) if waiting else ()
    return StageSummary("label", not waiting, counts, notes)


def _label(run: Run, problem_ids: list[str]) -> None:
    done = count_labelled(run.db)
    with run.progress(count_samples(run.db), "label", "samples", done=done) as bar:
        labelling = Labelling(
            run,
            problem_ids,
            _policy(run),
            early_stop=run.recipe.label.early_stop,
            together=lambda: _together(run),
            labelled=bar.advance,
        )
        try:
            executions = labelling.executions()
            first = next(executions, None)
            if first is not None:  # or else no sandbox need be there
                for outcome in run.sandbox().execute_many(chain([first], executions)):
                    labelling.take(outcome)
        finally:
            labelling.flush()


def _together(run: Run) -> int:
    """How many suites of one candidate the sandbox carries out together."""
    language = run.recipe.run.language
    return next((k.suites for k in run.sandbox().info().languages if k.name == language), 1)


def _policy(run: Run) -> LabelPolicy:
    return LabelPolicy(fatal_codes(run.recipe.check.codes))


def _name(value: bool | None, reason: str) -> str:
    kind = {True: "desirable", False: "undesirable", None: "dropped"}[value]
    return f"{kind}: {reason}"
