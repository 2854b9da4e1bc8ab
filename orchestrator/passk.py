"""Pass@k without bias, and intervals from a bootstrap over problems."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

#: Resamples of a bootstrap: its percentiles then wobble by less than the third digit shown.
RESAMPLES = 5000


@dataclass(frozen=True)
class Estimate:
    """A mean over problems with the ends of its 95 % percentile interval."""

    value: float
    low: float
    high: float


def pass_at_k(n: int, correct: int, k: int) -> float:
    """The chance that of k samples at least one is correct, estimated from n of them.

    Unbiased (Chen et al., 2021): one minus the share of k-subsets of the n samples that
    hold no correct one.

    Raises:
        ValueError: not 1 <= k <= n, or not 0 <= correct <= n.
    """
    if not 1 <= k <= n:
        raise ValueError(f"k={k} is outside [1, n={n}]")
    if not 0 <= correct <= n:
        raise ValueError(f"correct={correct} is outside [0, n={n}]")
    if n - correct < k:
        return 1.0
    return 1.0 - prod(1.0 - k / i for i in range(n - correct + 1, n + 1))


def mean_with_interval(values: Sequence[float], seed: int = 0) -> Estimate:
    """The mean of one value per problem, its interval from resampled problems.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("no problem to take a mean over")
    # A generator of its own: the interval must not depend on what else is random.
    generator = random.Random(seed)
    count = len(values)
    means = sorted(sum(generator.choices(values, k=count)) / count for _ in range(RESAMPLES))
    tail = round(RESAMPLES * 0.025)
    return Estimate(sum(values) / count, means[tail], means[-1 - tail])


def paired_difference(
    before: Mapping[str, float], after: Mapping[str, float], seed: int = 0
) -> Estimate:
    """The mean of after minus before over the same problems, by problem id.

    Pairing takes the difficulty of the problems out of the interval.

    Raises:
        ValueError: the two do not have the same problems, or none.
    """
    if before.keys() != after.keys():
        odd = sorted(before.keys() ^ after.keys())
        raise ValueError(f"{len(odd)} problems are on one side only, for example {odd[0]!r}")
    return mean_with_interval([after[id] - before[id] for id in sorted(before)], seed)
