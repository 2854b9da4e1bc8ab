"""Stage `generate`: answers from the generator, each stored as soon as it is there."""

from __future__ import annotations

from contextlib import ExitStack, closing

from orchestrator.errors import InputError
from orchestrator.generation.amount import answers_wanted
from orchestrator.generation.budget import Budget
from orchestrator.generation.cache import open_cache
from orchestrator.generation.provider import Provider, Request, answer_all
from orchestrator.generation.recorded import RecordedProvider
from orchestrator.problem import Problem
from orchestrator.recipe_generation import GenerationSection
from orchestrator.run import Run
from orchestrator.run_inputs import freeze_file
from orchestrator.stages.answering import Answering
from orchestrator.store.answers import cost_usd, count_answers, token_counts
from orchestrator.store.problems import counts_by_source
from orchestrator.store.stages import StageSummary


def generate(run: Run) -> StageSummary:
    """Asks for every answer that is not stored yet.

    Raises:
        ProviderError: the generator failed; the answers until then are stored.
        BudgetError: the next answer may cost more than is left; the others are stored.
    """
    settings = run.recipe.generation
    if settings is None:
        raise InputError("the recipe has no [generation]")
    if settings.path is not None:
        freeze_file(run.db, "generation.path", settings.path)
    sources = counts_by_source(run.db).items()
    total = sum(n * answers_wanted(settings.answers_per_problem, source) for source, n in sources)
    with ExitStack() as stack:
        bar = run.progress(total, "generate", "answers", done=count_answers(run.db))
        answering = Answering(
            run.db,
            settings,
            stack.enter_context(open_cache(settings.cache)),
            Budget(settings, cost_usd(run.db)),
            stack.enter_context(bar),
        )
        run.db.wait_for_disk(True)  # answers are paid for
        stack.callback(run.db.wait_for_disk, False)
        if settings.provider == "batch":
            # Late: its client takes a while to import, and other runs do not need it.
            from orchestrator.stages.generate_batches import generate_in_batches

            generate_in_batches(answering)
        else:
            _generate(answering)
    return _summary(run, settings, answering)


def _generate(answering: Answering) -> None:
    budget = answering.budget
    blocked: list[Problem] = []

    def admit(request: Request) -> bool:
        admitted = budget.admit(request.problem, request.index)
        blocked[:] = [] if admitted else [request.problem]
        return admitted

    with closing(_provider(answering.settings)) as provider:
        requests = answering.missing(provider.request_sha)
        for request, answer in answer_all(provider, requests, admit):
            if answer is None:
                budget.settle(request.problem.id, request.index, None)
                answering.counts["no recorded answer"] += 1
                answering.bar.advance()
            else:
                answering.take(request.problem.id, request.sha, request.index, answer)
    if blocked:
        raise budget.error(blocked[0])


def _provider(settings: GenerationSection) -> Provider:
    if settings.path is not None:
        return RecordedProvider(settings.path)
    # Late: its client takes a while to import, and offline runs do not need it.
    from orchestrator.generation.openai_provider import OpenAIProvider

    return OpenAIProvider(settings)


def _summary(run: Run, settings: GenerationSection, answering: Answering) -> StageSummary:
    prompt_tokens, completion_tokens = token_counts(run.db)
    counts = {
        "answers": count_answers(run.db),
        **answering.counts,
        "prompt tokens": prompt_tokens,
        "completion tokens": completion_tokens,
    }
    notes: tuple[str, ...] = ()
    if settings.usd_per_million_prompt_tokens or settings.usd_per_million_completion_tokens:
        bound = settings.max_cost_usd
        most = "" if bound is None else f" of at most {bound:g} USD"
        notes = (f"cost: {cost_usd(run.db):.6f} USD{most}",)
    return StageSummary("generate", True, {key: n for key, n in counts.items() if n}, notes)
