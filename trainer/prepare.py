"""From the rows of a file to those of one training, with a count for every row left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import InputError
from trainer.recipe import Method, Recipe
from trainer.rows import Row, cap, shuffle, split, without_lone_last
from trainer.tokens import fit


@dataclass(frozen=True)
class Prepared:
    """Rows in the order in which they are used."""

    train: list[Row]
    watch: list[Row]  # of other problems; to follow the loss, never trained on
    counts: dict[str, int]  # what was read, left out and used

    @property
    def desirable(self) -> int:
        """Rows to train on with label True."""
        return sum(row.label for row in self.train)

    @property
    def undesirable(self) -> int:
        """Rows to train on with label False."""
        return len(self.train) - self.desirable


def prepare(recipe: Recipe, rows: Sequence[Row], tokenizer: Any) -> Prepared:
    """Fits, splits, caps and shuffles the rows that were read from `recipe.data`.

    Raises:
        InputError: too few are left to train with.
    """
    usable = [row for row in rows if row.label] if recipe.method is Method.SFT else rows
    fitted = fit(usable, tokenizer, recipe.max_length)
    train, watch = split(fitted.rows, recipe.eval_share, recipe.seed)
    capped = cap(train, recipe.max_per_problem, recipe.seed)
    final, watch = shuffle(capped, recipe.seed), shuffle(watch, recipe.seed)
    if recipe.method is Method.KTO:
        final = without_lone_last(final, recipe.batch_size)
        watch = without_lone_last(watch, recipe.batch_size)
    prepared = Prepared(
        final,
        watch,
        counts={
            "read": len(rows),
            "undesirable_not_used": len(rows) - len(usable),
            "too_long": fitted.too_long,
            "prompt_and_completion_share_a_token": fitted.merged,
            "over_max_per_problem": len(train) - len(capped),
            "alone_in_last_batch": len(capped) - len(final),
            "eval": len(watch),
            "desirable": sum(row.label for row in final),
            "undesirable": sum(not row.label for row in final),
        },
    )
    _require_enough(recipe, prepared)
    return prepared


def _require_enough(recipe: Recipe, prepared: Prepared) -> None:
    lacking = prepared.desirable == 0 or (
        recipe.method is not Method.SFT and prepared.undesirable == 0
    )
    if lacking:
        counts = ", ".join(f"{name} {count}" for name, count in prepared.counts.items())
        raise InputError(
            f"{recipe.data}: {recipe.method} needs "
            f"{'desirable rows' if recipe.method is Method.SFT else 'rows of both labels'}; "
            f"of the rows: {counts}"
        )
