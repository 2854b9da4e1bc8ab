"""A training recipe: one TOML file, read strictly (see `orchestrator.recipe_table`).

Only `model`, `data` and `output_dir` are required. The defaults are meant for
a code model of one to ten billion parameters. Relative paths start at the
recipe's folder.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from orchestrator.recipe_table import RecipeTable


class Method(StrEnum):
    """How a policy is trained on labelled rows."""

    KTO = "kto"
    DPO = "dpo"
    SFT = "sft"


#: What each method is commonly run with at that size.
DEFAULT_LEARNING_RATE = {Method.KTO: 5e-6, Method.DPO: 1e-6, Method.SFT: 1e-5}

#: KTO's authors want (desirable weight x count) : (undesirable weight x count) in here.
WEIGHTED_RATIO_BOUNDS = (1.0, 4 / 3)

SCHEDULERS = ("linear", "cosine", "constant_with_warmup")

_TINY = 1e-12  # stands for "above zero"
_MANY = 10_000_000


@dataclass(frozen=True)
class Lora:
    """`[lora]`: train low-rank adapters in place of all parameters."""

    rank: int
    alpha: int
    dropout: float
    target_modules: tuple[str, ...] | None  # names of layers; None: every linear layer


@dataclass(frozen=True)
class Recipe:
    """Settings of one training run."""

    method: Method
    #: The policy to start from, which is the reference too: a folder, or a hub name.
    model: str
    #: JSONL rows: prompt (the text that the policy was given), completion (raw model
    #: text), label (bool), and problem_id where rows of one problem are to be told.
    data: Path
    #: Gets the trained policy, its manifest and, below it, the checkpoints.
    output_dir: Path
    seed: int

    epochs: float
    max_steps: int | None  # optimiser steps; goes before epochs
    #: Rows (DPO: pairs) per device and forward pass. KTO estimates its KL term by
    #: giving each row its neighbour's completion, so it needs at least 2.
    batch_size: int
    gradient_accumulation: int  # forward passes per optimiser step
    learning_rate: float
    warmup_share: float  # of all steps
    scheduler: str

    #: KTO, DPO: how strongly the policy is held to the reference.
    beta: float
    #: KTO: where `weights.balance` puts the ratio of the weighted counts.
    weighted_ratio: float

    #: Tokens of prompt and completion together. Longer rows are dropped, not cut:
    #: a cut completion teaches to stop half way.
    max_length: int
    end_of_turn: str | None  # text of a token; None: the tokenizer's end of sequence
    max_per_problem: int | None  # rows of one problem and label, a seeded choice
    eval_share: float  # of the problems, set aside to watch the loss

    save_steps: int  # optimiser steps between checkpoints; the newest two are kept
    log_steps: int
    gradient_checkpointing: bool  # trades time for memory
    lora: Lora | None

    def settings(self) -> dict[str, Any]:
        """All settings as plain data, for the manifest."""
        return {
            key: str(value) if isinstance(value, Path | Method) else value
            for key, value in asdict(self).items()
        }


def read_recipe(file: Path, method: Method) -> Recipe:
    """Reads a recipe.

    Raises:
        InputError: naming the file, the key, the value and what is allowed.
    """
    table = RecipeTable.load(file)
    folder = file.resolve().parent
    held_to_reference = method is not Method.SFT
    weighted = method is Method.KTO
    low, high = WEIGHTED_RATIO_BOUNDS
    recipe = Recipe(
        method=method,
        model=table.folder_or_name("model"),
        data=table.file("data"),
        output_dir=folder / Path(table.text("output_dir")).expanduser(),
        seed=table.integer("seed", 0, 0, 2**31 - 1),
        epochs=table.number("epochs", 1.0, 0.001, 1000.0),
        max_steps=table.optional_integer("max_steps", 1, _MANY),
        batch_size=table.integer("batch_size", 8, 2 if method is Method.KTO else 1, 65_536),
        gradient_accumulation=table.integer("gradient_accumulation", 4, 1, 65_536),
        learning_rate=table.number("learning_rate", DEFAULT_LEARNING_RATE[method], _TINY, 1.0),
        warmup_share=table.number("warmup_share", 0.1, 0.0, 1.0),
        scheduler=table.choice("scheduler", SCHEDULERS, "linear"),
        # A method's own settings are not even known to the others, so that nobody
        # tunes a value that has no effect.
        beta=table.number("beta", 0.1, 0.001, 100.0) if held_to_reference else 0.0,
        weighted_ratio=table.number("weighted_ratio", 1.15, low, high) if weighted else low,
        max_length=table.integer("max_length", 2048, 8, 1_048_576),
        end_of_turn=table.optional_text("end_of_turn"),
        max_per_problem=table.optional_integer("max_per_problem", 1, _MANY),
        eval_share=table.number("eval_share", 0.0, 0.0, 0.5),
        save_steps=table.integer("save_steps", 200, 1, _MANY),
        log_steps=table.integer("log_steps", 10, 1, _MANY),
        gradient_checkpointing=table.flag("gradient_checkpointing", True),
        lora=_lora(table.optional_table("lora")),
    )
    table.finish()
    return recipe


def _lora(table: RecipeTable | None) -> Lora | None:
    if table is None:
        return None
    lora = Lora(
        rank=table.integer("rank", 16, 1, 1024),
        alpha=table.integer("alpha", 32, 1, 4096),
        dropout=table.number("dropout", 0.0, 0.0, 0.9),
        target_modules=table.texts("target_modules"),
    )
    table.finish()
    return lora
