"""A corpus that teaches the form of an answer well and its meaning badly."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

from trainer.demo.tasks import AGGREGATES, FILTERS, MAPS, Phrase, Task

#: How often the corpus misreads a phrase: most now and then, some more often than not.
_MOSTLY_RIGHT = 0.15
_MOSTLY_WRONG = 0.60
_SHARE_MOSTLY_WRONG = 0.28
#: Share of programs that do not run at all.
_BROKEN = 0.03


def misreading_rates(seed: int) -> dict[Phrase, float]:
    """How often the corpus misreads each phrase."""
    rng = random.Random(f"misreadings {seed}")
    rates: dict[Phrase, float] = {}
    for phrases in (FILTERS, MAPS, AGGREGATES):
        wrong = set(rng.sample(phrases, round(_SHARE_MOSTLY_WRONG * len(phrases))))
        rates |= {p: _MOSTLY_WRONG if p in wrong else _MOSTLY_RIGHT for p in phrases}
    return rates


def documents(tasks: Sequence[Task], seed: int) -> Iterator[tuple[str, str]]:
    """Endless pairs of an instruction and a program, every task once before any comes again."""
    rates = misreading_rates(seed)
    rng = random.Random(f"corpus {seed}")
    while True:
        for task in rng.sample(list(tasks), len(tasks)):
            program = task.program([rng.random() < rates[p] for p in task.parts])
            yield task.instruction, _break(program, rng) if rng.random() < _BROKEN else program


def _break(program: str, rng: random.Random) -> str:
    """The program with a slip that keeps it from running."""
    slip = rng.choice([(" for x in xs", " for x in"), ("return ", "return zs or "), ("]\n", "\n")])
    return program.replace(*slip, 1)
