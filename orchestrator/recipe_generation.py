"""`[generation]` and `[quality]` of a recipe: who writes suites, and which of them are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.recipe_table import RecipeTable
from orchestrator.sampling.bounds import NEW_TOKENS, TEMPERATURE

PROVIDERS = ("openai", "batch", "recorded")
_PROMPT_PRICE = "usd_per_million_prompt_tokens"
_COMPLETION_PRICE = "usd_per_million_completion_tokens"


@dataclass(frozen=True)
class GenerationSection:
    """`[generation]`: who writes reference solutions and suites.

    Provider "openai" asks `base_url` for `model`; "batch" hands the same requests to its
    Batch API; "recorded" replays the answers of `path`.
    """

    provider: str
    answers_per_problem: int | None  # None: the default of each problem's source
    temperature: float
    max_tokens: int
    concurrency: int  # requests at one time
    max_retries: int
    timeout_s: float  # of one request
    base_url: str | None
    model: str | None
    api_key_env: str
    path: Path | None
    cache: Path | None  # answers of all runs that name it
    usd_per_million_prompt_tokens: float
    usd_per_million_completion_tokens: float
    max_cost_usd: float | None
    batch_size: int  # requests at most
    poll_s: float  # between two looks at a batch


@dataclass(frozen=True)
class QualitySection:
    """`[quality]`: what a suite must be worth beside that its own reference passes it.

    Each check can be switched off: 0 or false.
    """

    reruns: int  # times the reference has to pass again, with other hash seeds where there are any
    reorder: bool  # once with assertions in another order, other addresses and another date
    stub: bool  # an empty stub has to fail
    mutants: int  # of so many mutants of the reference, at least one has to fail
    min_assertions: int  # different ones
    merge_equal: bool  # of equal suites of a problem, the first is kept
    agreement: float  # share of the problem's other references that have to pass


def read_generation_section(table: RecipeTable | None) -> GenerationSection | None:
    """Reads and checks the table; None where the recipe has none.

    Raises:
        InputError: naming the file, the key, the value and what is allowed.
    """
    if table is None:
        return None
    provider = table.choice("provider", PROVIDERS)
    recorded = provider == "recorded"
    section = GenerationSection(
        provider=provider,
        answers_per_problem=table.optional_integer("answers_per_problem", 1, 64),
        temperature=table.number("temperature", 0.7, *TEMPERATURE),
        max_tokens=table.integer("max_tokens", 2048, *NEW_TOKENS),
        concurrency=table.integer("concurrency", 8, 1, 1024),
        max_retries=table.integer("max_retries", 6, 0, 100),
        timeout_s=table.number("timeout_s", 300.0, 0.1, 86_400.0),
        base_url=None if recorded else table.optional_url("base_url"),
        model=None if recorded else table.text("model"),
        api_key_env=table.text("api_key_env", "OPENAI_API_KEY"),
        path=table.file("path") if recorded else None,
        cache=None if recorded else table.optional_place("cache"),
        usd_per_million_prompt_tokens=table.number(_PROMPT_PRICE, 0.0, 0.0, 1e6),
        usd_per_million_completion_tokens=table.number(_COMPLETION_PRICE, 0.0, 0.0, 1e6),
        max_cost_usd=table.optional_number("max_cost_usd", 0.0, 1e9),
        batch_size=table.integer("batch_size", 10_000, 1, 50_000),
        poll_s=table.number("poll_s", 30.0, 0.01, 3600.0),
    )
    if section.max_cost_usd is not None and _PROMPT_PRICE not in table:
        raise table.error(_PROMPT_PRICE, "is missing: max_cost_usd needs to know what tokens cost")
    if section.max_cost_usd is not None and _COMPLETION_PRICE not in table:
        raise table.error(_COMPLETION_PRICE, "is missing: max_cost_usd needs to know it")
    table.finish()
    return section


def read_quality_section(table: RecipeTable) -> QualitySection:
    """Reads and checks the table.

    Raises:
        InputError: naming the file, the key, the value and what is allowed.
    """
    section = QualitySection(
        reruns=table.integer("reruns", 2, 0, 100),
        reorder=table.flag("reorder", True),
        stub=table.flag("stub", True),
        mutants=table.integer("mutants", 6, 0, 100),
        min_assertions=table.integer("min_assertions", 1, 0, 1000),
        merge_equal=table.flag("merge_equal", True),
        agreement=table.number("agreement", 0.5, 0.0, 1.0),
    )
    table.finish()
    return section
