"""Stage `generate`: answers from the generator, each stored as soon as it is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing

from orchestrator.errors import InputError
from orchestrator.generation.provider import Provider, Request, answer_all
from orchestrator.generation.recorded import RecordedProvider
from orchestrator.recipe import GenerationSection
from orchestrator.run import Run
from orchestrator.run_inputs import freeze_file
from orchestrator.store.answers import add_answer, answered, count_answers, token_counts
from orchestrator.store.problems import count_problems, problem_pages
from orchestrator.store.stages import StageSummary

_PAGE = 256


def generate(run: Run) -> StageSummary:
    """Asks for every answer that is not stored yet.

    Raises:
        ProviderError: the generator failed; the answers until then are stored.
    """
    settings = run.recipe.generation
    if settings is None:
        raise InputError("the recipe has no [generation]")
    if settings.path is not None:
        freeze_file(run.db, "generation.path", settings.path)
    counts: Counter[str] = Counter()
    with closing(_provider(settings)) as provider:
        total = count_problems(run.db) * settings.answers_per_problem
        with run.progress(total, "generate", "answers", done=count_answers(run.db)) as bar:
            requests = _missing(run, provider, settings.answers_per_problem, counts)
            run.db.wait_for_disk(True)  # answers are paid for
            try:
                for request, answer in answer_all(provider, requests):
                    if answer is None:
                        counts["no recorded answer"] += 1
                    else:
                        problem_id = request.problem.id
                        add_answer(run.db, problem_id, request.sha, request.index, answer)
                        counts["answers"] += 1
                    bar.advance()
            finally:
                run.db.wait_for_disk(False)
    prompt_tokens, completion_tokens = token_counts(run.db)
    counts["prompt tokens"] = prompt_tokens
    counts["completion tokens"] = completion_tokens
    return StageSummary("generate", True, {key: n for key, n in counts.items() if n})


def _missing(
    run: Run, provider: Provider, answers_per_problem: int, counts: Counter[str]
) -> Iterator[Request]:
    for page in problem_pages(run.db, _PAGE):
        for problem in page:
            sha = provider.request_sha(problem)
            there = answered(run.db, sha)
            for index in range(answers_per_problem):
                if index in there:
                    counts["answers"] += 1
                else:
                    yield Request(problem, index, sha)


def _provider(settings: GenerationSection) -> Provider:
    if settings.path is not None:
        return RecordedProvider(settings.path)
    # Late: its client takes a while to import, and offline runs do not need it.
    from orchestrator.generation.openai_provider import OpenAIProvider

    return OpenAIProvider(settings)
