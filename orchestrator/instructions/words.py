"""Texts as words, for whatever compares instructions with each other."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from orchestrator.problem import Problem

_WORD = re.compile(r"\w+")


def words_of(problem: Problem) -> list[str]:
    """The words of a problem in lower case, without punctuation; its start code's after its own."""
    text = problem.instruction
    if problem.start_code is not None and problem.start_code != text:
        text = f"{text}\n{problem.start_code}"
    return _WORD.findall(text.lower())


def ngrams(words: Sequence[str], size: int) -> Iterator[str]:
    """Every run of `size` words; none where there are fewer."""
    for start in range(len(words) - size + 1):
        yield " ".join(words[start : start + size])
