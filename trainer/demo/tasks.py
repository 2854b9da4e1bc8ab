"""The demo's problems: keep some numbers of a list, change each, bring them together.

A problem is a composition of three phrases. Every phrase has the expression it
asks for and a plausible mistake; a policy that learnt from a corpus in which
phrases are often mistaken starts mediocre, and can only improve by learning
which reading the tests reward. The splits share phrases, never a composition.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product


@dataclass(frozen=True)
class Phrase:
    """A part of an instruction, the expression it asks for and a common mistake."""

    text: str
    right: str
    wrong: str


#: Conditions on x.
FILTERS = (
    Phrase("the even numbers", "x % 2 == 0", "x % 2 == 1"),
    Phrase("the odd numbers", "x % 2 == 1", "x % 2 == 0"),
    Phrase("the positive numbers", "x > 0", "x < 0"),
    Phrase("the negative numbers", "x < 0", "x > 0"),
    Phrase("the multiples of three", "x % 3 == 0", "x % 3 == 1"),
    Phrase("the multiples of five", "x % 5 == 0", "x % 5 == 1"),
    Phrase("the numbers above four", "x > 4", "x >= 4"),
    Phrase("the numbers below four", "x < 4", "x <= 4"),
    Phrase("the numbers up to six", "x <= 6", "x < 6"),
    Phrase("the numbers from minus two on", "x >= -2", "x > -2"),
    Phrase("the numbers other than one", "x != 1", "x == 1"),
    Phrase("the numbers larger than five in size", "abs(x) > 5", "x > 5"),
    Phrase("the numbers not divisible by four", "x % 4 != 0", "x % 4 == 0"),
    Phrase("the numbers from two to seven", "2 <= x <= 7", "2 < x < 7"),
)

#: Values made of x.
MAPS = (
    Phrase("double each", "x * 2", "x + 2"),
    Phrase("triple each", "x * 3", "x + 3"),
    Phrase("square each", "x * x", "x * 2"),
    Phrase("cube each", "x ** 3", "x ** 2"),
    Phrase("add three to each", "x + 3", "x - 3"),
    Phrase("take one from each", "x - 1", "x + 1"),
    Phrase("negate each", "-x", "abs(x)"),
    Phrase("take the size of each", "abs(x)", "-x"),
    Phrase("halve each and round down", "x // 2", "x / 2"),
    Phrase("take each modulo seven", "x % 7", "x // 7"),
    Phrase("multiply each by ten", "x * 10", "x + 10"),
    Phrase("take each from twenty", "20 - x", "x - 20"),
)

#: Results made of the list ys.
AGGREGATES = (
    Phrase("their sum", "sum(ys)", "len(ys)"),
    Phrase("the largest or zero", "max(ys, default=0)", "min(ys, default=0)"),
    Phrase("the smallest or zero", "min(ys, default=0)", "max(ys, default=0)"),
    Phrase("how many differ", "len(set(ys))", "len(ys)"),
    Phrase("them in rising order", "sorted(ys)", "sorted(ys, reverse=True)"),
    Phrase("them in falling order", "sorted(ys, reverse=True)", "sorted(ys)"),
    Phrase("them in reverse", "ys[::-1]", "ys"),
    Phrase("the last three", "ys[-3:]", "ys[:3]"),
    Phrase("the first three", "ys[:3]", "ys[-3:]"),
    Phrase("every other one", "ys[::2]", "ys[1::2]"),
    Phrase("them without repeats", "list(dict.fromkeys(ys))", "sorted(set(ys))"),
)

PHRASES = FILTERS + MAPS + AGGREGATES

#: Problems per split; compositions beyond these are left over.
SPLIT_SIZES = {"base": 520, "preference": 600, "development": 320, "held_out": 400}

_PROBES = 60
_MIN_ASSERTIONS = 6


@dataclass(frozen=True)
class Task:
    """One composition."""

    keep: Phrase
    change: Phrase
    gather: Phrase

    @property
    def id(self) -> str:
        """Stable over seeds and splits."""
        return (
            f"demo/{FILTERS.index(self.keep):02d}-{MAPS.index(self.change):02d}"
            f"-{AGGREGATES.index(self.gather):02d}"
        )

    @property
    def instruction(self) -> str:
        """What a user asks for."""
        return (
            "Write a function solve(xs). "
            f"Keep {self.keep.text}, {self.change.text}, and return {self.gather.text}."
        )

    @property
    def parts(self) -> tuple[Phrase, Phrase, Phrase]:
        """The phrases in the order of the instruction."""
        return (self.keep, self.change, self.gather)

    def program(self, mistaken: Sequence[bool] = (False, False, False)) -> str:
        """Source of `solve` in which the phrases flagged in `mistaken` are misread."""
        keep, change, gather = (
            phrase.wrong if flag else phrase.right
            for phrase, flag in zip(self.parts, mistaken, strict=True)
        )
        return f"def solve(xs):\n    ys = [{change} for x in xs if {keep}]\n    return {gather}\n"


def all_tasks() -> list[Task]:
    """Every composition, in a fixed order."""
    return [Task(*parts) for parts in product(FILTERS, MAPS, AGGREGATES)]


def split_tasks(seed: int) -> dict[str, list[Task]]:
    """Disjoint splits, by name, in an order that depends on `seed` alone."""
    tasks = all_tasks()
    random.Random(f"split {seed}").shuffle(tasks)
    splits: dict[str, list[Task]] = {}
    for name, size in SPLIT_SIZES.items():
        splits[name], tasks = tasks[:size], tasks[size:]
    return splits


def load(source: str) -> Callable[[list[int]], object]:
    """The function `solve` of a program written by `Task.program`: our own text, nobody else's."""
    names: dict[str, Callable[[list[int]], object]] = {}
    exec(source, names)
    return names["solve"]


def assertions(task: Task, rng: random.Random) -> list[str]:
    """Assertions that hold for the right program and, together, for no misreading of it.

    A misreading that happens to mean the same (no probe tells it from the right
    program) is right too.
    """
    solve = load(task.program())
    probes: list[list[int]] = [[]]
    probes += [[rng.randint(-9, 12) for _ in range(rng.randint(3, 8))] for _ in range(_PROBES)]
    misread = [
        load(task.program(flags)) for flags in product((False, True), repeat=3) if any(flags)
    ]
    open_ones = [f for f in misread if any(f(p) != solve(p) for p in probes)]
    chosen = [probes[0]]
    for probe in probes[1:]:
        still = [f for f in open_ones if f(probe) == solve(probe)]
        if len(still) < len(open_ones) or (not open_ones and len(chosen) < _MIN_ASSERTIONS):
            chosen.append(probe)
        open_ones = still
    return [f"assert solve({probe!r}) == {solve(probe)!r}" for probe in chosen]
