"""Stage `evaluate`: every benchmark of the recipe, before training and after it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.benchmarks.read import read_benchmark
from orchestrator.errors import InputError
from orchestrator.evaluate import EvaluationSettings, compare
from orchestrator.evaluate import evaluate as measure
from orchestrator.recipe import EvaluationSection, SamplingSection
from orchestrator.report.data import Comparison, Score
from orchestrator.run import Run
from orchestrator.run_inputs import freeze_file, model_digest
from orchestrator.sampling.backends import open_sampler
from orchestrator.sampling.prompts import renderer
from orchestrator.sampling.sampler import Sampler
from orchestrator.stages.policy import open_policy
from orchestrator.stages.train import trained_model
from orchestrator.store.database import Database
from orchestrator.store.evaluations import (
    AFTER,
    BEFORE,
    Journal,
    evaluation,
    scores,
    set_evaluation,
)
from orchestrator.store.stages import StageSummary


def evaluate(run: Run) -> StageSummary:
    """Measures what is not measured yet.

    Raises:
        PlumError: a policy or the sandbox cannot be reached, or a benchmark cannot be read.
    """
    sampling = run.recipe.sampling
    if sampling is None or not run.recipe.evaluation:
        raise InputError("the recipe has no [[evaluation]]")
    not_executed = 0
    # The manifest is written last: with it, the weights are whole.
    trained = (trained_model(run) / "manifest.json").exists()
    for which in [BEFORE, AFTER] if trained else [BEFORE]:
        with ExitStack() as loaded:
            # Loaded once it is needed, and gone before the next one is.
            sampler = cache(
                lambda which=which, loaded=loaded: loaded.enter_context(
                    closing(_policy(run, sampling, which))
                )
            )
            for benchmark in run.recipe.evaluation:
                freeze_file(run.db, f"evaluation.{benchmark.name}", benchmark.path)
                fingerprint = _fingerprint(run, sampling, benchmark, which)
                result = evaluation(run.db, benchmark.name, which, fingerprint)
                if result is None or result["not_executed"]:
                    journal = Journal(run.db, fingerprint)
                    result = _measure(
                        run, sampling, benchmark, which=which, sampler=sampler(), journal=journal
                    )
                    set_evaluation(run.db, benchmark.name, which, fingerprint, result)
                    if not result["not_executed"]:
                        journal.clear()
                not_executed += result["not_executed"]
    counts = {"benchmarks": len(run.recipe.evaluation)}
    if not_executed:
        counts["not executed"] = not_executed
    notes = tuple(_line(comparison) for comparison in comparisons(run.db))
    return StageSummary("evaluate", not not_executed, counts, notes)


def comparisons(db: Database) -> Iterator[Comparison]:
    """Every measure of every benchmark, before and, where there is one, after training."""
    found = scores(db)
    for (name, which), measures in found.items():
        if which == BEFORE:
            after = found.get((name, AFTER), {})
            for measure_name, before in measures.items():
                yield compare(f"{name}, {measure_name}", before, after.get(measure_name))


def _policy(run: Run, sampling: SamplingSection, which: str) -> Sampler:
    if which == BEFORE:
        return open_policy(sampling)
    backend = _backend(sampling, which)
    return open_sampler(backend, str(trained_model(run)), engine=sampling.engine)


def _backend(sampling: SamplingSection, which: str) -> str:
    # No endpoint serves what was trained just now.
    return "transformers" if which == AFTER and sampling.backend == "openai" else sampling.backend


def _measure(
    run: Run,
    sampling: SamplingSection,
    benchmark: EvaluationSection,
    *,
    which: str,
    sampler: Sampler,
    journal: Journal,
) -> dict[str, Any]:
    problems = read_benchmark(benchmark.path, benchmark.format, benchmark.limit)
    model = sampling.model if which == BEFORE else str(trained_model(run))
    render = renderer(_backend(sampling, which), sampling.prompt_style, model)
    settings = EvaluationSettings(
        max_new_tokens=sampling.max_new_tokens,
        greedy=benchmark.greedy,
        n=benchmark.samples,
        ks=benchmark.k,
        temperature=benchmark.temperature,
        top_p=sampling.top_p,
        stop=sampling.stop,
        seed=run.recipe.run.seed,
        limits=run.recipe.sandbox.limits,
    )
    return measure(problems, sampler, run.sandbox(), settings, render, journal=journal).to_json()


def _fingerprint(
    run: Run, sampling: SamplingSection, benchmark: EvaluationSection, which: str
) -> str:
    """Of the weights that are measured and of how: a new training is measured anew."""
    folder = Path(sampling.model) if which == BEFORE else trained_model(run)
    weights = model_digest(folder) if folder.is_dir() else sampling.model
    how = json.dumps([weights, asdict(benchmark), run.recipe.run.seed], default=str)
    return hashlib.sha256(how.encode()).hexdigest()


def _line(comparison: Comparison) -> str:
    line = f"{comparison.name}, {comparison.problems} problems: {_percent(comparison.before)}"
    if comparison.after is None or comparison.difference is None:
        return line
    return f"{line} -> {_percent(comparison.after)}, change {_percent(comparison.difference)}"


def _percent(score: Score) -> str:
    if score.low is None or score.high is None:
        return f"{100 * score.value:.1f} %"
    return f"{100 * score.value:.1f} % [{100 * score.low:.1f}, {100 * score.high:.1f}]"
