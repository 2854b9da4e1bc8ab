"""`plum-train sft`: imitation of the desirable completions of the same labelled rows."""

from __future__ import annotations

from typing import Any

from trl import SFTConfig, SFTTrainer

from trainer.manifest import write_manifest
from trainer.prepare import prepare
from trainer.recipe import Recipe
from trainer.tokens import load_tokenizer
from trainer.training import adapter, arguments, dataset, run


def train(recipe: Recipe, what: dict[str, Any], *, resume: bool) -> dict[str, Any]:
    """Fine-tunes on what passed and returns the manifest, which is written beside the policy.

    what: the training's identity.

    Raises:
        InputError: the model, the data or the checkpoints do not serve.
    """
    tokenizer = load_tokenizer(recipe.model, recipe.end_of_turn)
    rows = prepare(recipe, tokenizer)
    trainer = SFTTrainer(
        model=recipe.model,
        args=SFTConfig(**arguments(recipe, watch=bool(rows.watch)), completion_only_loss=True),
        train_dataset=dataset(rows.train),
        eval_dataset=dataset(rows.watch),
        processing_class=tokenizer,
        peft_config=adapter(recipe),
    )
    result = run(trainer, recipe, what, resume=resume)
    return write_manifest(recipe, what, rows.counts, None, result)
