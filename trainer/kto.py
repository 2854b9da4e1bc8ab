"""`plum-train kto`: unpaired preference learning on desirable and undesirable completions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from trl import KTOConfig, KTOTrainer

from trainer.manifest import write_manifest
from trainer.prepare import prepare
from trainer.recipe import Recipe
from trainer.tokens import load_tokenizer
from trainer.training import adapter, arguments, dataset, run
from trainer.weights import balance


def train(recipe: Recipe, what: dict[str, Any], *, resume: bool) -> dict[str, Any]:
    """Trains with KTO and returns the manifest, which is written beside the policy.

    what: the training's identity.

    Raises:
        InputError: the model, the data or the checkpoints do not serve.
    """
    tokenizer = load_tokenizer(recipe.model, recipe.end_of_turn)
    rows = prepare(recipe, tokenizer)
    weights = balance(rows.desirable, rows.undesirable, recipe.weighted_ratio)
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
    result = run(trainer, recipe, what, resume=resume)
    return write_manifest(recipe, what, rows.counts, asdict(weights), result)
