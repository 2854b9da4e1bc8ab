"""Pass@k is the mean over all subsets; intervals cover, pair and repeat."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.passk import mean_with_interval, paired_difference, pass_at_k


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_sample(n: int) -> None:
    for correct in range(n + 1):
        for k in range(1, n + 1):
            subsets = list(combinations([i < correct for i in range(n)], k))
            share = sum(any(subset) for subset in subsets) / len(subsets)
            assert pass_at_k(n, correct, k) == pytest.approx(share)


@pytest.mark.parametrize(("n", "correct", "k"), [(3, 1, 0), (3, 1, 4), (3, 4, 1), (3, -1, 1)])
def test_impossible_counts_are_refused(n: int, correct: int, k: int) -> None:
    with pytest.raises(ValueError, match="outside"):
        pass_at_k(n, correct, k)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_an_interval_holds_its_mean_and_stays_in_range(values: list[float]) -> None:
    found = mean_with_interval(values)
    assert min(values) - 1e-9 <= found.low <= found.high <= max(values) + 1e-9
    assert found == mean_with_interval(values)


def test_pairing_takes_the_difficulty_out_of_the_interval() -> None:
    before = {str(i): i / 100 for i in range(90)}
    after = {id: score + 0.1 for id, score in before.items()}
    gain = paired_difference(before, after)
    assert gain.low == pytest.approx(0.1)
    assert gain.high == pytest.approx(0.1)


def test_a_difference_of_unlike_problems_is_refused() -> None:
    with pytest.raises(ValueError, match="'b'"):
        paired_difference({"a": 1.0}, {"a": 1.0, "b": 0.0})
