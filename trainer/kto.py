"""`plum-train kto`: unpaired preference learning on desirable and undesirable completions."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from trainer.manifest import write_manifest
from trainer.prepare import prepare
from trainer.recipe import Recipe
from trainer.rows import read_rows
from trainer.tokens import load_tokenizer
from trainer.weights import balance


def train(recipe: Recipe, what: dict[str, Any], start: Path | None) -> dict[str, Any]:
    """Trains with KTO and returns the manifest, which is written beside the policy.

    what: the training's identity. start: the checkpoint to go on from, if any.

    Raises:
        InputError: the model or the data do not serve.
    """
    read = read_rows(recipe.data)
    tokenizer = load_tokenizer(recipe.model, recipe.end_of_turn)
    rows = prepare(recipe, read, tokenizer)
    weights = balance(rows.desirable, rows.undesirable, recipe.weighted_ratio)
    # Late, as these take seconds to load: what is wrong with the rows has been said by now.
    from trl import KTOConfig, KTOTrainer

    from trainer.training import adapter, arguments, begin, dataset, run

    begin(recipe)
    trainer = KTOTrainer(
        # A path, not a loaded model: the reference is loaded from the same place.
        model=recipe.model,
        args=KTOConfig(
            **arguments(recipe, watch=bool(rows.watch)),
            beta=recipe.beta,
            desirable_weight=weights.desirable,
            undesirable_weight=weights.undesirable,
        ),
        train_dataset=dataset(rows.train),
        eval_dataset=dataset(rows.watch),
        processing_class=tokenizer,
        peft_config=adapter(recipe),
    )
    result = run(trainer, recipe, what, start)
    return write_manifest(recipe, what, rows.counts, asdict(weights), result)
