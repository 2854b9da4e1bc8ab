"""Values that have nothing to do with the real one, to ask a candidate's object about.

What an honest object says of them does not depend on how near the real value is to others.
"""

from __future__ import annotations

import math
import string
from typing import Any

from .chance import generator, shuffled
from .decoys import is_number

_FEW = 3
_DIVISIBLE = 2 * 3 * 5 * 7 * 11 * 13
_SEQUENCES = frozenset({list, tuple, set, frozenset})


def strangers() -> list[Any]:
    """Values that nothing sensible is equal to: a number, a word and a list."""
    word = "".join(generator.choices(string.ascii_letters, k=12))
    return [generator.getrandbits(61) + (1 << 61), word, [word, generator.getrandbits(40)]]


def unlike(value: Any) -> list[Any]:
    """Values that have nothing in common with `value`, those that cost least to look for first.

    A number is divided by each that is smaller, until one is found, where primes are asked for.
    """
    number, *others = strangers()
    number -= number % _DIVISIBLE
    return [number, *others] if is_number(value) else [*others, number]


def outlandish(value: Any) -> list[Any]:
    """Values like `value` that are hardly all beside it in a container; empty for most types.

    None is much larger: to count up to it, or to make a list of that length, must be possible.
    """
    made = [_outlandish(value, is_odd) for is_odd in (False, True, True)]
    return [] if None in made else made


def _outlandish(value: Any, is_odd: bool) -> Any:
    kind = type(value)
    if is_number(value):  # not all of them are prime, or even
        return value + kind((2 * generator.randint(250, 2500) + is_odd) * (1 if value >= 0 else -1))
    if kind is str:
        letters = "".join(generator.choices(string.ascii_letters, k=4))
        return generator.choice((value, generator.choice(letters) * len(value))) + letters
    if kind is bytes or kind is bytearray:
        return value + generator.randbytes(4)
    items = [_outlandish(item, is_odd) for item in value] if kind in _SEQUENCES else []
    return None if None in items or not items else kind(items)


def with_a_stranger(value: Any) -> list[Any]:
    """Containers of all that is in `value` and of something else; empty where it is none."""
    if type(value) not in _SEQUENCES:
        return []
    return [type(value)([*value, _number()]) for _ in range(_FEW)]


def of_strangers(value: Any) -> list[Any]:
    """Containers like `value` of something else; empty where it is none."""
    if type(value) not in _SEQUENCES and type(value) is not range:
        return []
    kind = set if type(value) is range else type(value)
    return [kind([_number()]) for _ in range(_FEW)]


def _number() -> int:
    """One that no container holds by accident, and that may yet be a bit of an integer."""
    return generator.randint(2 * 10**5, 10**6)


def far_multiples(value: Any, step: Any) -> list[Any]:
    """Numbers far from `value`, by multiples of `step` and, if it is above one, by others too."""
    kind, made = type(value), []
    for _ in range(_FEW):
        at = value + step * kind(generator.randint(50, 10**4) * (1 if value >= 0 else -1))
        made.append(at)
        if step > 1:
            made.append(at + kind(generator.randint(1, math.ceil(step) - 1)))
    return shuffled(made)
