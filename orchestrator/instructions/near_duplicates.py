"""Near-duplicates: instructions that share most of their words in the same order.

Candidates come from MinHash with locality-sensitive hashing; the share of common shingles is
then computed exactly, so that nothing is dropped by an estimate. A pair that is just as alike
as asked is found with a probability of 0.87 at a threshold of 0.5, and above 0.999 from 0.7.
"""

from __future__ import annotations

from orchestrator.errors import PlumError
from orchestrator.instructions.loaders import Instruction
from orchestrator.instructions.words import ngrams, words_of
from orchestrator.problem import Problem
from orchestrator.store.problems import Drop

#: Words of a shingle. Files are compared by five; instructions are short, and one changed word
#: would touch most of their runs of five.
_SHINGLE = 3
_PERMUTATIONS = 128
_BANDS = 32
#: Fixed: what is a duplicate does not depend on the run.
_SEED = 1


class NearDuplicates:
    """Drops a row that is too much like one that it let pass before."""

    def __init__(self, threshold: float) -> None:
        """threshold: least share of common shingles (Jaccard), in [0.5, 1].

        Raises:
            PlumError: the library is not installed.
        """
        try:
            from rensa import RMinHash, RMinHashLSH
        except ImportError as e:
            raise PlumError(
                "near-duplicates need rensa: pip install 'plum-code[dedup]' brings it"
            ) from e
        self._sketch = RMinHash
        self._index = RMinHashLSH(threshold, _PERMUTATIONS, _BANDS)
        self._threshold = threshold
        self._kept: list[Instruction] = []

    def __call__(self, row: Instruction) -> Drop | None:
        shingles = _shingles(row.problem)
        if not shingles:
            return None
        sketch = self._sketch(_PERMUTATIONS, _SEED)
        sketch.update(list(shingles))
        for key in sorted(self._index.query(sketch)):
            other = self._kept[key]
            shared = _jaccard(shingles, _shingles(other.problem))
            if shared >= self._threshold:
                detail = f"{shared:.2f} of {other.location}"
                return Drop(row.location, "near-duplicate", detail)
        self._index.insert(len(self._kept), sketch)
        self._kept.append(row)
        return None


def _shingles(problem: Problem) -> set[str]:
    words = words_of(problem)
    return set(ngrams(words, min(_SHINGLE, len(words)))) if words else set()


def _jaccard(some: set[str], others: set[str]) -> float:
    shared = len(some & others)
    return shared / (len(some) + len(others) - shared)
