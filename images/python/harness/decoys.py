"""Values to ask a candidate's object about beside the real one.

An object that says it equals, or differs by nothing from, a value that nobody
could expect is lying. The decoys of a value are made so that the real one does
not stand out among them: they form a chain of small steps in which the real
value has a random place.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import fractions
import os
import random
import string
from collections.abc import Callable
from typing import Any

_CHAIN = 6

#: Not the module's own generator: a suite may seed that one.
_random = random.Random()


def reseed() -> None:
    """Makes the decoys of this process unguessable; to be called after a fork."""
    _random.seed(os.urandom(32))


def shuffled(items: list[Any]) -> list[Any]:
    """The items in a random order."""
    return _random.sample(items, len(items))


def chain(value: Any) -> list[Any]:
    """Values like `value`, none equal to it; empty where the type has nothing to vary."""
    before = _random.randint(0, _CHAIN)
    made: list[Any] = []
    for steps, direction in ((before, -1), (_CHAIN - before, 1)):
        at = value
        for _ in range(steps):
            at = _step(at, direction)
            if at is _NOTHING:
                return []
            made.append(at)
    return [item for item in made if _differs(item, value)]


def strangers() -> list[Any]:
    """Values that nothing sensible is equal to."""
    word = "".join(_random.choices(string.ascii_letters, k=12))
    return [_random.getrandbits(61) + (1 << 61), word, [word, _random.getrandbits(40)]]


def far(value: Any) -> tuple[Any, Any] | None:
    """A value far below and one far above `value`; None where the type has no order."""
    if type(value) in _NUMBERS:
        size = _random.randint(10**12, 10**13) + abs(int(value)) * 1000 if _finite(value) else None
        if size is None:
            return None
        kind = type(value) if type(value) is not bool else int
        return kind(-size), kind(size)
    if type(value) is str:
        return "", "\U0010fffd" * 3
    if type(value) is bytes:
        return b"", b"\xff" * 64
    if type(value) in (datetime.date, datetime.datetime) and getattr(value, "tzinfo", None) is None:
        kind = type(value)
        return kind(1, 1, _random.randint(1, 20)), kind(9999, 12, _random.randint(1, 20))
    return None


def is_operand(value: Any) -> bool:
    """Whether arithmetic with `value` is checked."""
    if type(value) in (set, frozenset):
        return True
    return type(value) in _NUMBERS and type(value) is not bool and _finite(value)


def operand_decoys(value: Any) -> list[Any]:
    """What to calculate with beside `value`: for numbers some near ones and one far."""
    if type(value) in (set, frozenset):
        return chain(value)
    kind = type(value)
    picked = _random.sample([i for i in range(-9, 10) if i], 4)
    return [value + kind(i) for i in picked] + [kind(_random.randint(10**9, 10**10))]


def alike(results: list[Any], real: Any) -> bool:
    """Whether all results are the same as `real`, as far as a test would notice."""
    if type(real) in (set, frozenset):
        return len(results) > 2 and all(type(r) is type(real) and r == real for r in results)
    if type(real) not in _NUMBERS:
        return False
    return all(type(r) in _NUMBERS and _close(r, real) for r in results)


def _close(a: Any, b: Any) -> bool:
    try:
        return abs(float(a) - float(b)) < 1e-3
    except (OverflowError, ValueError):
        return bool(a == b)


_NUMBERS = frozenset({int, float, bool, decimal.Decimal, fractions.Fraction})
_NOTHING: Any = object()


def _finite(value: Any) -> bool:
    try:
        int(value)
    except (OverflowError, ValueError):
        return False
    return True


def _differs(a: Any, b: Any) -> bool:
    try:
        return bool(a != b)
    except Exception:
        return True


def _step(value: Any, direction: int) -> Any:
    step = _STEPS.get(type(value))
    return _NOTHING if step is None else step(value, direction)


def _step_bool(value: bool, direction: int) -> Any:
    return not value


def _step_number(value: Any, direction: int) -> Any:
    if not _finite(value):
        return type(value)(_random.randint(-50, 50))
    return value + type(value)(direction * _random.randint(1, 3))


def _step_complex(value: complex, direction: int) -> complex:
    return value + direction * _random.randint(1, 3)


def _step_str(value: str, direction: int) -> str:
    if not value:
        return _random.choice(string.ascii_letters)
    at = _random.randrange(len(value))
    pool = next(
        (
            p
            for p in (string.ascii_lowercase, string.ascii_uppercase, string.digits)
            if value[at] in p
        ),
        string.ascii_letters,
    )
    return value[:at] + _random.choice(pool.replace(value[at], "")) + value[at + 1 :]


def _step_bytes(value: Any, direction: int) -> Any:
    if not value:
        return type(value)([_random.randrange(256)])
    at = _random.randrange(len(value))
    changed = (value[at] + _random.randint(1, 255)) % 256
    return type(value)(value[:at] + bytes([changed]) + value[at + 1 :])


def _step_sequence(value: Any, direction: int) -> Any:
    items = list(value)
    for at in _random.sample(range(len(items)), len(items))[:8]:
        changed = _step(items[at], direction)
        if changed is not _NOTHING:
            items[at] = changed
            return type(value)(items)
    return type(value)([*items, _random.getrandbits(30)])


def _step_set(value: Any, direction: int) -> Any:
    return type(value)(_step_sequence(list(value), direction))


def _step_dict(value: Any, direction: int) -> Any:
    made = dict(value)
    keys = list(made)
    for key in _random.sample(keys, len(keys))[:8]:
        changed = _step(made[key], direction)
        if changed is not _NOTHING:
            made[key] = changed
            return made
    made[_random.getrandbits(30)] = None
    return made


def _step_date(value: Any, direction: int) -> Any:
    try:
        return value + datetime.timedelta(days=direction * _random.randint(1, 3))
    except OverflowError:
        return _NOTHING


_STEPS: dict[type, Callable[[Any, int], Any]] = {
    bool: _step_bool,
    int: _step_number,
    float: _step_number,
    decimal.Decimal: _step_number,
    fractions.Fraction: _step_number,
    complex: _step_complex,
    str: _step_str,
    bytes: _step_bytes,
    bytearray: _step_bytes,
    list: _step_sequence,
    tuple: _step_sequence,
    collections.deque: _step_sequence,
    set: _step_set,
    frozenset: _step_set,
    dict: _step_dict,
    collections.OrderedDict: _step_dict,
    collections.defaultdict: _step_dict,
    collections.Counter: _step_dict,
    datetime.date: _step_date,
    datetime.datetime: _step_date,
    datetime.timedelta: _step_date,
}
