"""Which completions of a problem are compared with which."""

from __future__ import annotations

import random
from collections.abc import Sequence


def balanced_pairs(
    chosen: Sequence[str], rejected: Sequence[str], limit: int | None, seed: str
) -> list[tuple[str, str]]:
    """As many pairs as there are of the rarer side, at most `limit` (None: no limit).

    No item is in two pairs, and `seed` chooses which are left out: a problem with 1 success
    and 19 failures gives one pair and not 19 that all prefer the same text.
    """
    generator = random.Random(seed)
    count = min(len(chosen), len(rejected))
    if limit is not None:
        count = min(count, limit)
    good, bad = generator.sample(chosen, count), generator.sample(rejected, count)
    return list(zip(good, bad, strict=True))
