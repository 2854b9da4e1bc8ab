"""KTO's weights bring any counts into the interval that its authors recommend."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.recipe import WEIGHTED_RATIO_BOUNDS
from trainer.weights import Weights, balance

COUNTS = st.integers(1, 10**9)
LOW, HIGH = WEIGHTED_RATIO_BOUNDS
ROUNDING = 1e-9


@given(COUNTS, COUNTS, st.floats(LOW, HIGH))
def test_weighted_counts_are_between_one_to_one_and_four_to_three(
    desirable: int, undesirable: int, ratio: float
) -> None:
    weights = balance(desirable, undesirable, ratio)
    weighted = (weights.desirable * desirable) / (weights.undesirable * undesirable)
    assert LOW - ROUNDING <= weighted <= HIGH + ROUNDING


@given(COUNTS, COUNTS, st.floats(LOW, HIGH))
def test_only_one_side_is_weighted_and_never_down(
    desirable: int, undesirable: int, ratio: float
) -> None:
    weights = balance(desirable, undesirable, ratio)
    assert min(weights.desirable, weights.undesirable) == 1.0


@pytest.mark.parametrize(("desirable", "undesirable"), [(1, 1), (100, 80), (4, 3), (133, 100)])
def test_counts_that_are_balanced_are_left_alone(desirable: int, undesirable: int) -> None:
    assert balance(desirable, undesirable, 1.15) == Weights(1.0, 1.0)


@pytest.mark.parametrize("counts", [(0, 5), (5, 0), (-1, 5)])
def test_an_absent_label_is_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        balance(*counts, 1.15)


@pytest.mark.parametrize("ratio", [0.99, 1.34, float("nan")])
def test_a_ratio_outside_the_interval_is_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        balance(5, 5, ratio)
