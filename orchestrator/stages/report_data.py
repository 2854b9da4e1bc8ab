"""Gathers from the store what the report shows."""

from __future__ import annotations

import random
from collections import Counter
from datetime import UTC, datetime

from orchestrator.check_codes import fatal_codes
from orchestrator.domain import ExecutionResult
from orchestrator.instructions.decontamination import CONTAMINATED
from orchestrator.problem import Problem
from orchestrator.report.data import (
    CandidateView,
    ConsistencyRow,
    ContaminatedRow,
    ExecutionView,
    FunnelStep,
    LabelCount,
    NamedCount,
    ProblemView,
    ReportData,
    SuiteView,
    Timing,
    VerdictCount,
)
from orchestrator.report.render import MAX_CANDIDATES, MAX_PROBLEMS
from orchestrator.run import Run
from orchestrator.stages.evaluate import comparisons
from orchestrator.store.answers import (
    cost_usd,
    self_consistency,
    skipped_counts,
    suite_counts,
    suites_of,
    token_counts,
)
from orchestrator.store.database import Database
from orchestrator.store.executions import outcome_of, verdict_counts
from orchestrator.store.labels import correct_shares, label_counts, labels_of
from orchestrator.store.problems import count_problems, drop_counts, drops_for, problems_at
from orchestrator.store.samples import (
    check_code_counts,
    check_of,
    count_refused,
    count_samples,
    refused_counts,
    samples_of,
    source,
)
from orchestrator.store.stages import StageRecord, stage_records

_CONTAMINATED_SHOWN = 200


def gather(run: Run) -> ReportData:
    """Everything that is known of the run at this moment."""
    db = run.db
    labels = label_counts(db)
    settings = ((key, str(v)) for key, v in run.recipe.flat().items() if v is not None)
    total, seed = count_problems(db), run.recipe.run.seed
    drawn = sorted(random.Random(seed).sample(range(total), min(total, MAX_PROBLEMS)))
    return ReportData(
        title=run.folder.resolve().name,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        settings=tuple(settings),
        funnel=_funnel(db),
        drops=tuple(NamedCount(*row) for row in drop_counts(db).items()),
        contaminated=tuple(
            ContaminatedRow(drop.location, drop.detail)
            for drop in drops_for(db, CONTAMINATED, _CONTAMINATED_SHOWN)
        ),
        consistency=tuple(
            ConsistencyRow(row.source, row.answers, row.suites, row.consistent, row.kept)
            for row in self_consistency(db)
        ),
        suites=tuple(
            NamedCount("kept" if kept else "open" if kept is None else "dropped", count, reason)
            for (kept, reason), count in suite_counts(db).items()
        ),
        checks_left_out=tuple(NamedCount(*row) for row in skipped_counts(db).items()),
        refused=tuple(NamedCount(*row) for row in refused_counts(db)),
        verdicts=tuple(VerdictCount(*row) for row in verdict_counts(db)),
        check_codes=_check_codes(run),
        labels=tuple(LabelCount(*row) for row in labels),
        correct_shares=tuple(correct_shares(db)),
        comparisons=tuple(comparisons(db)),
        timings=tuple(
            Timing(record.summary.stage, record.wall_time_s, _pace(record))
            for record in stage_records(db)
        ),
        costs=_costs(db),
        problems=tuple(_problem(db, problem) for problem in problems_at(db, drawn)),
        problems_total=total,
        seed=seed,
    )


def _pace(record: StageRecord) -> str:
    units = {"generate": "answers", "sample": "samples"}.get(record.summary.stage)
    count = record.summary.counts.get(units or "", 0)
    if not count or record.wall_time_s < 1:
        return ""
    return f"{count} {units}, {count / record.wall_time_s:.1f} a second"


def _costs(db: Database) -> tuple[tuple[str, str], ...]:
    prompt, completion = token_counts(db)
    if not prompt and not completion:
        return ()
    tokens = (("prompt tokens", f"{prompt:,}"), ("completion tokens", f"{completion:,}"))
    cost = cost_usd(db)
    return (*tokens, ("paid, USD", f"{cost:.2f}")) if cost else tokens


def _check_codes(run: Run) -> tuple[NamedCount, ...]:
    fatal = fatal_codes(run.recipe.check.codes)
    return tuple(
        NamedCount(code, count, "does not run" if code in fatal else "only a warning")
        for code, count in check_code_counts(run.db)
    )


def _funnel(db: Database) -> tuple[FunnelStep, ...]:
    suites = suite_counts(db)
    kept = sum(count for (kept, _), count in suites.items() if kept)
    with_suite: int = db.value("SELECT count(DISTINCT problem_id) FROM suites WHERE kept = 1")
    by_value: Counter[bool | None] = Counter()
    for value, _, count in label_counts(db):
        by_value[value] += count
    rows = by_value[True] + by_value[False]
    different = db.value("SELECT count(DISTINCT candidate_sha) FROM samples")
    refused = count_refused(db)
    samples = f"{different} different candidates" + f", {refused} prompts refused" * bool(refused)
    dropped = sum(drop_counts(db).values())
    return (
        FunnelStep("instructions", count_problems(db) + dropped),
        FunnelStep("problems", count_problems(db), f"{dropped} rows dropped"),
        FunnelStep("answers", sum(suites.values())),
        FunnelStep("suites kept", kept, "their own reference passes them"),
        FunnelStep("problems with a suite", with_suite),
        FunnelStep("samples", count_samples(db), samples),
        FunnelStep(
            "preference rows", rows, f"{by_value[True]} desirable, {by_value[False]} undesirable"
        ),
    )


def _problem(db: Database, problem: Problem) -> ProblemView:
    suites = suites_of(db, problem.id)
    kept = [(str(suite.answer_id), suite.test_sha) for suite in suites if suite.kept]
    labels = labels_of(db, problem.id)
    candidates = []
    samples = samples_of(db, problem.id)
    for sample in samples[:MAX_CANDIDATES]:
        sha, label = sample.candidate_sha, labels.get(sample.index)
        found = None if sha is None else check_of(db, sha)
        candidates.append(
            CandidateView(
                index=sample.index,
                completion=sample.text,
                source=None if sha is None else source(db, sha),
                label=None if label is None else label.value,
                reason="not labelled yet" if label is None else _reason(label.reason, label.detail),
                diagnostics=()
                if found is None
                else tuple(f"line {d.line}: {d.message} [{d.code}]" for d in found.diagnostics),
                executions=()
                if sha is None
                else tuple(_execution(db, name, sha, test) for name, test in kept if test),
            )
        )
    return ProblemView(
        id=problem.id,
        instruction=problem.instruction,
        language=problem.language,
        suites=tuple(
            SuiteView(
                id=str(suite.answer_id),
                text="" if suite.test_sha is None else source(db, suite.test_sha),
                reference="" if suite.reference_sha is None else source(db, suite.reference_sha),
                kept=bool(suite.kept),
                reason=suite.reason,
            )
            for suite in suites
        ),
        candidates=tuple(candidates),
        more_candidates=len(samples) - len(candidates),
    )


def _execution(db: Database, suite_id: str, candidate_sha: str, test_sha: str) -> ExecutionView:
    outcome = outcome_of(db, candidate_sha, test_sha)
    if isinstance(outcome, ExecutionResult):
        return ExecutionView(
            suite_id=suite_id,
            verdict=outcome.verdict,
            phase=outcome.phase,
            message=outcome.message,
            proof=outcome.proof,
            failure=outcome.assertions.first_failure,
        )
    message = "not executed" if outcome is None else f"{outcome.code}: {outcome.message}"
    return ExecutionView(suite_id, None, None, message)


def _reason(reason: str, detail: str) -> str:
    return f"{reason}: {detail}" if detail else reason
