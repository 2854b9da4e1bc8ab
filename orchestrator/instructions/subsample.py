"""A seeded part of the problems."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable, Iterator

from orchestrator.instructions.loaders import Instruction
from orchestrator.store.problems import Drop


def subsample(
    rows: Iterable[Instruction | Drop], count: int, seed: int
) -> Iterator[Instruction | Drop]:
    """`count` of the instructions, in their order and after all drops; the rest as drops.

    The seed and an instruction's id decide, so that its neighbours do not matter: a source
    that grows keeps most of what was chosen before. Holds `count` instructions in memory.
    """
    best: list[tuple[bytes, int, Instruction]] = []  # a heap: the worst of the best comes first
    for order, row in enumerate(rows):
        if isinstance(row, Drop):
            yield row
            continue
        entry = (_rank(seed, row.problem.id), -order, row)
        if len(best) < count:
            heapq.heappush(best, entry)
        else:
            *_, worst = heapq.heappushpop(best, entry)
            yield Drop(worst.location, "not sampled")
    for _, _, row in sorted(best, key=lambda entry: -entry[1]):
        yield row


def _rank(seed: int, identifier: str) -> bytes:
    # The smallest digests are the worst: a heap gives up its smallest entry.
    text = f"{seed}:{identifier}:sample"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
