"""Stage `sample`: k completions of the policy for every problem that has a suite."""

from __future__ import annotations

from contextlib import closing

from orchestrator.errors import InputError, PlumError
from orchestrator.extract import extract_solution
from orchestrator.problem import Problem
from orchestrator.progress import Progress
from orchestrator.recipe import SamplingSection
from orchestrator.run import Run
from orchestrator.run_inputs import freeze_model
from orchestrator.sampling.prompts import renderer
from orchestrator.sampling.sampler import (
    PromptSpec,
    Refused,
    SamplingSettings,
    by_problem,
    problem_seed,
)
from orchestrator.stages.policy import open_policy, shown_problem
from orchestrator.store.answers import suite_counts
from orchestrator.store.problems import problems_to_sample
from orchestrator.store.samples import (
    add_sample,
    complete_problems,
    count_refused,
    count_samples,
    forget_refused,
    refused_prompts,
    set_refused,
)
from orchestrator.store.stages import StageSummary

#: So many prompts refused and none answered, and it is not the prompts that are wrong.
_MOST_REFUSED = 100
_REFUSED_SHOWN = 10


def sample(run: Run) -> StageSummary:
    """Draws what is missing. The samples do not depend on how often the run was interrupted.

    A problem whose prompt the policy cannot take gets none, and the reason is stored.

    Raises:
        PlumError: the policy cannot be loaded or reached, or takes no prompt at all, or suites
            are still undecided.
    """
    settings = run.recipe.sampling
    if settings is None:
        raise InputError("the recipe has no [sampling]")
    freeze_model(run.db, "sampling.model", settings.model)
    _require_decided_suites(run)
    problems = {
        problem.id: shown_problem(run.db, settings, problem)
        for problem in problems_to_sample(run.db)
    }
    done = complete_problems(run.db, settings.k)
    total = len(problems) * settings.k
    if len(done) < len(problems):
        with run.progress(total, "sample", "samples", done=count_samples(run.db)) as bar:
            _draw(run, settings, problems, done, bar)
    counts = {"problems": len(problems), "samples": count_samples(run.db)}
    refused = count_refused(run.db)
    if refused:
        counts["prompts refused"] = refused
    notes = tuple(
        f"problem {one.problem_id!r} gets no samples: {one.reason}"
        for one in refused_prompts(run.db, _REFUSED_SHOWN)
    )
    whole = counts["samples"] + refused * settings.k == total
    return StageSummary("sample", whole, counts, notes)


def _draw(
    run: Run,
    settings: SamplingSection,
    problems: dict[str, Problem],
    done: set[str],
    bar: Progress,
) -> None:
    render = renderer(settings.backend, settings.prompt_style, settings.model)
    # Every problem, done or not: batches, and with them the samples, must stay the same.
    prompts = [
        PromptSpec(
            problem.id, render(problem), problem_seed(run.recipe.run.seed, problem.id), settings.k
        )
        for problem in problems.values()
    ]
    how = SamplingSettings(
        settings.temperature, settings.max_new_tokens, settings.top_p, settings.stop
    )
    with closing(open_policy(settings)) as policy:
        forget_refused(run.db)
        refused = 0
        for problem_id, found in by_problem(policy.sample(prompts, how, done), settings.k):
            with run.db.transaction():
                if isinstance(found, Refused):
                    set_refused(run.db, found)
                else:
                    for sampled in found:
                        candidate = extract_solution(problems[problem_id], sampled.text)
                        add_sample(run.db, sampled, candidate)
            bar.advance(settings.k)
            refused += isinstance(found, Refused)
            if refused in (_MOST_REFUSED, len(prompts)) and not count_samples(run.db):
                [first] = refused_prompts(run.db, 1)
                raise PlumError(
                    f"the policy refuses every prompt; problem {first.problem_id!r}: {first.reason}"
                )


def _require_decided_suites(run: Run) -> None:
    waiting = sum(n for (kept, _), n in suite_counts(run.db).items() if kept is None)
    if waiting:
        raise PlumError(
            f"{waiting} suites have not been tried on their own reference; run `plum generate` again"
        )
