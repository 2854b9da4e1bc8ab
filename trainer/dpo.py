"""`plum-train dpo`: preference learning on pairs made of the same labelled rows."""

from __future__ import annotations

from typing import Any

from trl import DPOConfig, DPOTrainer

from orchestrator.errors import InputError
from trainer.manifest import write_manifest
from trainer.prepare import prepare
from trainer.recipe import Recipe
from trainer.rows import balanced_pairs
from trainer.tokens import load_tokenizer
from trainer.training import adapter, arguments, dataset, run


def train(recipe: Recipe, what: dict[str, Any], *, resume: bool) -> dict[str, Any]:
    """Trains with DPO and returns the manifest, which is written beside the policy.

    what: the training's identity.

    Raises:
        InputError: the model, the data or the checkpoints do not serve.
    """
    tokenizer = load_tokenizer(recipe.model, recipe.end_of_turn)
    rows = prepare(recipe, tokenizer)
    pairs = balanced_pairs(rows.train, recipe.seed)
    watched = balanced_pairs(rows.watch, recipe.seed)
    if not pairs:
        raise InputError(f"{recipe.data}: no problem has rows of both labels, so there is no pair")
    trainer = DPOTrainer(
        model=recipe.model,
        args=DPOConfig(**arguments(recipe, watch=bool(watched)), beta=recipe.beta),
        train_dataset=dataset(pairs),
        eval_dataset=dataset(watched),
        processing_class=tokenizer,
        peft_config=adapter(recipe),
    )
    result = run(trainer, recipe, what, resume=resume)
    counts = {**rows.counts, "pairs": len(pairs), "eval_pairs": len(watched)}
    return write_manifest(recipe, what, counts, None, result)
