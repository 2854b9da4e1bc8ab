"""Stage `check`: every different candidate is checked statically, many at a time."""

from __future__ import annotations

from orchestrator.domain import CheckStatus
from orchestrator.errors import InputError
from orchestrator.run import Run
from orchestrator.store.samples import (
    add_checks,
    check_counts,
    count_unchecked,
    drop_failed_checks,
    unchecked_pages,
)
from orchestrator.store.stages import StageSummary

#: What a kill can lose. The client makes batches for the checker of it.
_BATCH = 400


def check(run: Run) -> StageSummary:
    """Checks what is not checked yet. A candidate that cannot be checked is only counted.

    Raises:
        InputError: the recipe samples nothing.
        SandboxError: the sandbox cannot be reached, or does not start.
    """
    if run.recipe.sampling is None:
        raise InputError("the recipe has no [sampling]: there is nothing to check")
    if not run.recipe.check.enabled:
        return StageSummary("check", True, {}, ("switched off by the recipe",))
    drop_failed_checks(run.db)
    total = count_unchecked(run.db)
    language = run.recipe.run.language
    if total:
        with run.progress(total, "check", "candidates") as bar:
            for page in unchecked_pages(run.db, _BATCH):
                results = run.sandbox().check(language, page)
                add_checks(run.db, results)
                bar.advance(len(results))
    counts = check_counts(run.db)
    failed = counts.get(CheckStatus.NOT_CHECKED, 0)
    notes = (f"{failed} candidates could not be checked; they are executed all the same",)
    return StageSummary("check", True, counts, notes if failed else ())
