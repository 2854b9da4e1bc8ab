"""The policy that a recipe samples from: what runs it, and what it is shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from orchestrator.problem import Problem
from orchestrator.recipe import Recipe, SamplingSection
from orchestrator.sampling.backends import open_sampler
from orchestrator.sampling.prompts import renderer
from orchestrator.sampling.sampler import Sampler
from orchestrator.store.answers import start_codes
from orchestrator.store.database import Database


def open_policy(settings: SamplingSection) -> Sampler:
    """The policy before training.

    Raises:
        PlumError: it cannot be loaded.
    """
    return open_sampler(
        settings.backend,
        settings.model,
        chat=settings.prompt_style == "chat",
        base_urls=settings.base_urls,
        api_key_env=settings.api_key_env,
        concurrency=settings.concurrency,
        engine=settings.engine,
    )


def shown_problem(db: Database, settings: SamplingSection, problem: Problem) -> Problem:
    """The problem as the policy sees it: with a start code, where it needs one to know the names."""
    if problem.start_code is not None or not settings.show_start_code:
        return problem
    kept = start_codes(db, problem.id)
    return replace(problem, start_code=kept[0][1]) if kept else problem


def training_renderer(recipe: Recipe, settings: SamplingSection) -> Callable[[Problem], str]:
    """How prompts are written into training rows: as the policy itself reads them.

    An endpoint applies its model's chat template out of our sight, so there the template of the
    model to be trained is taken.
    """
    if settings.backend == "openai" and recipe.train is not None:
        return renderer("transformers", settings.prompt_style, recipe.train.model)
    return renderer(settings.backend, settings.prompt_style, settings.model)
