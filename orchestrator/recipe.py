"""A run's settings, read from a TOML file into frozen dataclasses. Strict: see `recipe_table`.

Sections that are absent leave their stages out, except `[run]`, `[quality]`, `[sandbox]`,
`[check]` and `[label]`, whose defaults serve, and `[instructions]`, which is required.
"""

from __future__ import annotations

import difflib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.benchmarks.read import FORMATS as BENCHMARK_FORMATS
from orchestrator.check_codes import CHECK_CODES, Meaning
from orchestrator.recipe_export import ExportSection, read_export_section
from orchestrator.recipe_generation import (
    GenerationSection,
    QualitySection,
    read_generation_section,
    read_quality_section,
)
from orchestrator.recipe_instructions import InstructionsSection, read_instructions_section
from orchestrator.recipe_sandbox import SandboxSection, read_sandbox_section
from orchestrator.recipe_table import RecipeTable
from orchestrator.sampling.backends import BACKENDS
from orchestrator.sampling.bounds import NEW_TOKENS, SAMPLES, TEMPERATURE, TOP_P

TRAIN_METHODS = ("kto", "dpo", "sft")


@dataclass(frozen=True)
class RunSection:
    """`[run]`: what holds for every stage."""

    seed: int
    language: str


@dataclass(frozen=True)
class SamplingSection:
    """`[sampling]`: which policy, and how its completions are drawn.

    model: a folder or hub name for transformers and vllm; the served name for openai.
    """

    backend: str
    model: str
    k: int
    temperature: float
    top_p: float
    max_new_tokens: int
    prompt_style: str  # "chat" or "plain"
    #: Shows the policy the start code of the problem's first kept answer, so that it knows
    #: which names the suites call. False where the instructions name them themselves.
    show_start_code: bool
    base_urls: tuple[str, ...]
    api_key_env: str  # empty where the endpoints ask for no key
    concurrency: int  # requests at one time
    stop: tuple[str, ...]  # a completion ends before the first of these
    engine: dict[str, Any] = field(hash=False)  # arguments of `vllm.LLM`


@dataclass(frozen=True)
class CheckSection:
    """`[check]`: the static check. `codes`: changes to the table of `check_codes`."""

    enabled: bool
    codes: dict[str, str] = field(hash=False)


@dataclass(frozen=True)
class LabelSection:
    """`[label]`: how candidates are labelled.

    early_stop: a candidate meets no further suite once its label is settled. False executes
    everything, for analysis; the labels are the same.
    """

    early_stop: bool


@dataclass(frozen=True)
class TrainSection:
    """`[train]`: what `plum-train` is started with; `options` are its own recipe's keys."""

    method: str
    model: str
    options: dict[str, Any] = field(hash=False)


@dataclass(frozen=True)
class EvaluationSection:
    """One `[[evaluation]]`: a benchmark, measured before and after training.

    samples: completions per problem at `temperature`, for pass@k; 0 measures only greedily.
    """

    name: str
    path: Path
    format: str
    greedy: bool
    samples: int
    temperature: float
    k: tuple[int, ...]
    limit: int | None


@dataclass(frozen=True)
class Recipe:
    """All settings of a run."""

    run: RunSection
    instructions: InstructionsSection
    generation: GenerationSection | None
    quality: QualitySection
    sandbox: SandboxSection
    sampling: SamplingSection | None
    check: CheckSection
    label: LabelSection
    export: ExportSection | None
    train: TrainSection | None
    evaluation: tuple[EvaluationSection, ...]

    def flat(self) -> dict[str, Any]:
        """Every setting by its dotted key, as plain data: what two recipes are compared by."""
        return dict(_flatten("", asdict(self)))


def load_recipe(file: Path, base: Path | None = None) -> Recipe:
    """Reads a recipe.

    base: the folder that relative paths start from; None takes the recipe's own.

    Raises:
        InputError: naming the file, the key, the value and what is allowed.
    """
    top = RecipeTable.load(file, base)
    run, instructions = top.table("run"), top.table("instructions")
    generation, quality = top.optional_table("generation"), top.table("quality")
    sandbox = top.table("sandbox")
    sampled, check = top.optional_table("sampling"), top.table("check")
    label = top.table("label")
    exported, train = top.optional_table("export"), top.optional_table("train")
    evaluation = top.tables("evaluation")
    top.finish()  # first, as a misspelt section would show as something missing elsewhere
    settings, sampling = _run(run), _sampling(sampled)
    recipe = Recipe(
        run=settings,
        instructions=read_instructions_section(instructions),
        generation=read_generation_section(generation),
        quality=read_quality_section(quality),
        sandbox=read_sandbox_section(sandbox),
        sampling=sampling,
        check=_check(check, settings.language),
        label=_label(label),
        export=read_export_section(exported),
        train=_train(train, sampling),
        evaluation=tuple(_evaluation(table) for table in evaluation),
    )
    _require_what_stages_need(top, recipe)
    return recipe


def _run(table: RecipeTable) -> RunSection:
    section = RunSection(
        seed=table.integer("seed", 0, 0, 2**31 - 1), language=table.text("language", "python")
    )
    table.finish()
    return section


def _sampling(table: RecipeTable | None) -> SamplingSection | None:
    if table is None:
        return None
    backend = table.choice("backend", BACKENDS, "transformers")
    model = table.text("model")
    section = SamplingSection(
        backend=backend,
        model=model if backend == "openai" else table.folder_or_name("model"),
        k=table.integer("k", 20, *SAMPLES),
        temperature=table.number("temperature", 1.0, *TEMPERATURE),
        top_p=table.number("top_p", 1.0, *TOP_P),
        max_new_tokens=table.integer("max_new_tokens", 1024, *NEW_TOKENS),
        prompt_style=table.choice("prompt_style", ("chat", "plain"), "chat"),
        show_start_code=table.flag("show_start_code", True),
        base_urls=table.urls("base_urls"),
        api_key_env=table.optional_text("api_key_env") or "",
        concurrency=table.integer("concurrency", 16, 1, 1024),
        stop=table.texts("stop") or (),
        engine=table.table("engine").raw(),
    )
    if backend != "vllm" and section.engine:
        raise table.error("engine", f"is for the vllm backend, this one is {backend!r}")
    if "model" in section.engine:
        raise table.error("engine.model", "is set by sampling.model; remove it")
    if backend == "openai" and not section.base_urls:
        raise table.error("base_urls", "is missing: the openai backend needs at least one")
    if section.temperature == 0 and section.k > 1:
        raise table.error("temperature", f"= 0 gives {section.k} equal samples: set k = 1")
    table.finish()
    return section


def _label(table: RecipeTable) -> LabelSection:
    section = LabelSection(early_stop=table.flag("early_stop", True))
    table.finish()
    return section


def _check(table: RecipeTable, language: str) -> CheckSection:
    codes = table.table("codes")
    changes = {code: codes.choice(code, tuple(Meaning)) for code in codes.raw()}
    if language == "python":
        for code in changes.keys() - CHECK_CODES.keys():
            near = difflib.get_close_matches(code, CHECK_CODES, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise codes.error(code, f"is no code of mypy{hint}")
    section = CheckSection(enabled=table.flag("enabled", True), codes=changes)
    table.finish()
    return section


def _train(table: RecipeTable | None, sampling: SamplingSection | None) -> TrainSection | None:
    if table is None:
        return None
    method = table.choice("method", TRAIN_METHODS, "kto")
    if "model" in table:
        model = table.folder_or_name("model")
    elif sampling is not None and sampling.backend != "openai":
        model = sampling.model
    else:
        raise table.error("model", "is missing: which weights are to be trained?")
    options = table.table("options")
    for key in ("model", "data", "output_dir", "seed"):
        if key in options:
            raise options.error(key, "is set by the run; remove it")
    section = TrainSection(method=method, model=model, options=options.raw())
    table.finish()
    return section


def _evaluation(table: RecipeTable) -> EvaluationSection:
    path = table.file("path")
    samples = table.integer("samples", 0, 0, SAMPLES[1])
    section = EvaluationSection(
        name=table.text("name", path.stem),
        path=path,
        format=table.choice("format", tuple(BENCHMARK_FORMATS), "humaneval"),
        greedy=table.flag("greedy", True),
        samples=samples,
        temperature=table.number("temperature", 1.0, *TEMPERATURE),
        k=table.integers("k", (1,), *SAMPLES),
        limit=table.optional_integer("limit", 1, 10**9),
    )
    if samples and max(section.k) > samples:
        raise table.error("k", f"holds {max(section.k)}, more than samples = {samples}")
    if not samples and not section.greedy:
        raise table.error("samples", "= 0 with greedy = false measures nothing")
    table.finish()
    return section


def _require_what_stages_need(top: RecipeTable, recipe: Recipe) -> None:
    needs = (
        ("sampling", recipe.sampling, "generation", recipe.generation),
        ("export", recipe.export, "sampling", recipe.sampling),
        ("train", recipe.train, "export", recipe.export),
        ("evaluation", recipe.evaluation or None, "sampling", recipe.sampling),
    )
    for name, section, needed, there in needs:
        if section is not None and there is None:
            raise top.error(needed, f"is missing: [{name}] needs it")
    if recipe.train and recipe.export:
        # plum-train makes its pairs itself: every method reads the labelled rows.
        for key, item in (("formats", "kto"), ("styles", "plain"), ("file_types", "jsonl")):
            if item not in getattr(recipe.export, key):
                raise top.error(f"export.{key}", f"lacks {item!r}, the rows that [train] reads")


def _flatten(prefix: str, value: object) -> list[tuple[str, object]]:
    if isinstance(value, dict):
        pairs = []
        for key, item in value.items():
            pairs.extend(_flatten(f"{prefix}.{key}" if prefix else key, item))
        return pairs
    if isinstance(value, tuple | list):
        if value and all(isinstance(v, dict) for v in value):
            return _flatten(prefix, {str(i): v for i, v in enumerate(value)})
        return [(prefix, [str(v) if isinstance(v, Path) else v for v in value])]
    return [(prefix, str(value) if isinstance(value, Path) else value)]
