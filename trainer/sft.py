"""`plum-train sft`: imitation of the desirable completions of the same labelled rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from trainer.manifest import write_manifest
from trainer.prepare import prepare
from trainer.recipe import Recipe
from trainer.rows import read_rows
from trainer.tokens import load_tokenizer


def train(recipe: Recipe, what: dict[str, Any], start: Path | None) -> dict[str, Any]:
    """Fine-tunes on what passed and returns the manifest, which is written beside the policy.

    what: the training's identity. start: the checkpoint to go on from, if any.

    Raises:
        InputError: the model or the data do not serve.
    """
    read = read_rows(recipe.data)
    tokenizer = load_tokenizer(recipe.model, recipe.end_of_turn)
    rows = prepare(recipe, read, tokenizer)
    # Late, as these take seconds to load: what is wrong with the rows has been said by now.
    from trl import SFTConfig, SFTTrainer

    from trainer.training import adapter, arguments, begin, dataset, run

    begin(recipe)
    trainer = SFTTrainer(
        model=recipe.model,
        args=SFTConfig(**arguments(recipe, watch=bool(rows.watch)), completion_only_loss=True),
        train_dataset=dataset(rows.train),
        eval_dataset=dataset(rows.watch),
        processing_class=tokenizer,
        peft_config=adapter(recipe),
    )
    result = run(trainer, recipe, what, start)
    return write_manifest(recipe, what, rows.counts, None, result)
