"""Stage `label`: every candidate meets every kept suite, and the policy gives it its label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from orchestrator.check_codes import fatal_codes
from orchestrator.labels import Label, LabelPolicy, LabelReason, label_candidate, label_problem
from orchestrator.progress import progress
from orchestrator.run import Run
from orchestrator.stages.executing import execute_pairs
from orchestrator.store.database import Database
from orchestrator.store.executions import (
    count_missing_pairs,
    error_counts,
    kept_suites,
    missing_pairs,
    outcome_of,
)
from orchestrator.store.labels import label_counts, problems_to_label, set_labels
from orchestrator.store.samples import check_of, samples_of
from orchestrator.store.stages import StageSummary


def label(run: Run) -> StageSummary:
    """Executes what has no result yet, then labels what has no final label.

    Raises:
        SandboxError: the sandbox cannot be reached, or does not start.
    """
    policy = _policy(run)
    problem_ids = problems_to_label(run.db)
    if problem_ids:
        pairs = _pairs(run, problem_ids, policy)
        execute_pairs(run, pairs, count_missing_pairs(run.db), "execute")
        for problem_id in progress(problem_ids, "label", "problems"):
            set_labels(run.db, problem_id, _labels(run, problem_id, policy))
    counts = {_name(value, reason): n for value, reason, n in label_counts(run.db)}
    waiting = sum(n for _, reason, n in label_counts(run.db) if reason == LabelReason.NOT_EXECUTED)
    notes = tuple(error_counts(run.db)) if waiting else ()
    return StageSummary("label", not waiting, counts, notes)


def _policy(run: Run) -> LabelPolicy:
    return LabelPolicy(fatal_codes(run.recipe.check.codes))


def _pairs(run: Run, problem_ids: Sequence[str], policy: LabelPolicy) -> Iterator[tuple[str, str]]:
    for problem_id in problem_ids:
        settled: dict[str, bool] = {}
        for candidate_sha, test_sha in missing_pairs(run.db, problem_id):
            if candidate_sha not in settled:
                settled[candidate_sha] = _settled(run.db, candidate_sha, policy)
            if not settled[candidate_sha]:
                yield candidate_sha, test_sha


def _settled(db: Database, candidate_sha: str, policy: LabelPolicy) -> bool:
    """Whether the static check alone decides, so that nothing need be executed."""
    found = label_candidate(check_of(db, candidate_sha), (), policy)
    return found.reason is not LabelReason.NO_SUITE


def _labels(run: Run, problem_id: str, policy: LabelPolicy) -> list[tuple[int, Label]]:
    suites = kept_suites(run.db, problem_id)
    samples = samples_of(run.db, problem_id)
    labels = []
    for sample in samples:
        sha = sample.candidate_sha
        outcomes = [] if sha is None else [outcome_of(run.db, sha, suite) for suite in suites]
        labels.append(
            label_candidate(
                None if sha is None else check_of(run.db, sha),
                outcomes,
                policy,
                extracted=sha is not None,
                truncated=sample.truncated,
            )
        )
    indices = [sample.index for sample in samples]
    return list(zip(indices, label_problem(labels), strict=True))


def _name(value: bool | None, reason: str) -> str:
    kind = {True: "desirable", False: "undesirable", None: "dropped"}[value]
    return f"{kind}: {reason}"
