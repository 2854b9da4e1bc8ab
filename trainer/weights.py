"""Weights of KTO's two losses, so that neither label drowns the other."""

from __future__ import annotations

from dataclasses import dataclass

from trainer.recipe import WEIGHTED_RATIO_BOUNDS


@dataclass(frozen=True)
class Weights:
    """Factors of the losses of desirable and undesirable rows; both at least 1."""

    desirable: float
    undesirable: float


def balance(desirable: int, undesirable: int, weighted_ratio: float) -> Weights:
    """Weights for which (desirable weight x count) : (undesirable weight x count) is in [1, 4/3].

    Counts that are within the interval already are left alone; otherwise the
    rarer side is raised until the ratio is `weighted_ratio`. Raising rather
    than lowering keeps each row's pull at one or more, whatever the imbalance.

    desirable, undesirable: numbers of rows, at least 1.
    weighted_ratio: within [1, 4/3].

    Raises:
        ValueError: an argument is out of its bounds.
    """
    low, high = WEIGHTED_RATIO_BOUNDS
    if min(desirable, undesirable) < 1:
        raise ValueError(
            f"desirable={desirable}, undesirable={undesirable}: both must be at least 1"
        )
    if not low <= weighted_ratio <= high:
        raise ValueError(f"weighted_ratio={weighted_ratio} is outside [{low:g}, {high:g}]")
    if low <= desirable / undesirable <= high:
        return Weights(1.0, 1.0)
    if desirable < undesirable * low:
        return Weights(weighted_ratio * undesirable / desirable, 1.0)
    return Weights(1.0, desirable / (weighted_ratio * undesirable))
