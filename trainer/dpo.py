"""`plum-train dpo`: preference learning on pairs made of the same labelled rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from trainer.manifest import write_manifest
from trainer.prepare import prepare
from trainer.recipe import Recipe
from trainer.rows import preference_pairs, read_rows
from trainer.tokens import load_tokenizer


def train(recipe: Recipe, what: dict[str, Any], start: Path | None) -> dict[str, Any]:
    """Trains with DPO and returns the manifest, which is written beside the policy.

    what: the training's identity. start: the checkpoint to go on from, if any.

    Raises:
        InputError: the model or the data do not serve.
    """
    read = read_rows(recipe.data)
    tokenizer = load_tokenizer(recipe.model, recipe.end_of_turn)
    rows = prepare(recipe, read, tokenizer)
    pairs = preference_pairs(rows.train, recipe.seed)
    watched = preference_pairs(rows.watch, recipe.seed)
    if not pairs:
        raise InputError(f"{recipe.data}: no problem has rows of both labels, so there is no pair")
    # Late, as these take seconds to load: what is wrong with the rows has been said by now.
    from trl import DPOConfig, DPOTrainer

    from trainer.training import adapter, arguments, begin, dataset, run

    begin(recipe)
    trainer = DPOTrainer(
        model=recipe.model,
        args=DPOConfig(**arguments(recipe, watch=bool(watched)), beta=recipe.beta),
        train_dataset=dataset(pairs),
        eval_dataset=dataset(watched),
        processing_class=tokenizer,
        peft_config=adapter(recipe),
    )
    result = run(trainer, recipe, what, start)
    counts = {**rows.counts, "pairs": len(pairs), "eval_pairs": len(watched)}
    return write_manifest(recipe, what, counts, None, result)
