"""Values to ask a candidate's object about beside the real one.

An object that says it equals, or differs by nothing from, a value that nobody
could expect is lying. The decoys of a value are made so that the real one does
not stand out among them: they form a chain of small steps in which the real
value has a random place.
"""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import enum
import fractions
import math
import operator
import pathlib
import re
import string
import types
from collections.abc import Callable
from typing import Any

from .chance import generator as _random

_CHAIN = 6
#: Exact numbers are near up to here, so that what they differ by has few divisors.
_WIDEST = 10**4


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
    # Each once: what is asked about twice is not the real value.
    once: list[Any] = []
    for item in made:
        if all(_differs(item, other) for other in (value, *once)):
            once.append(item)
    return once


def thresholds(value: Any) -> list[Any]:
    """Numbers near `value`, and farther, on both sides; empty for what is no number.

    None is negative where `value` is not: some objects know of no such numbers.
    """
    if not is_number(value):
        return []
    kind = type(value)
    size = abs(int(value)) + 2
    farther = [value - kind(_random.randint(1, size)), value + kind(_random.randint(1, size))]
    points = [*chain(value), *farther]
    return [number for number in points if number >= 0] if value >= 0 else points


def is_number(value: Any) -> bool:
    """Whether it is a finite number of an exact type."""
    return type(value) in _NUMBERS and type(value) is not bool and _finite(value)


def is_operand(value: Any) -> bool:
    """Whether arithmetic with `value` is checked."""
    if type(value) in (set, frozenset):
        return True
    return is_number(value)


def operand_decoys(value: Any) -> list[Any]:
    """What to calculate with beside `value`.

    For numbers: those next to it, since some objects count modulo two; nothing, since some know
    only of something and nothing; and one farther away on each side, since some saturate.
    """
    if type(value) in (set, frozenset):
        return [*chain(value), value | {_random.randint(10**5, 10**6)}]
    kind = type(value)
    near = [value + kind(i) for i in (1, -1, *_random.sample([-9, -6, -3, -2, 2, 3, 6, 9], 2))]
    size = abs(int(value)) + _random.randint(1000, 5000)
    ends = [kind(size), kind(-size)]
    return [number for number in (*near, *ends, kind(0)) if number != value]


def alike(results: list[Any], real: Any) -> bool:
    """Whether all results are the same number as `real`, as far as a test would notice, or as
    empty a set."""
    if type(real) in (set, frozenset):
        return not real and all(type(r) is type(real) and not r for r in results)
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
    """Also not by the order of what is in it, or by the case of letters, alone."""
    try:
        if type(a) is type(b) is str:
            return sorted(a.casefold()) != sorted(b.casefold())
        if type(a) is type(b) and type(a) in (list, tuple) and _NUMBERS.issuperset(map(type, a)):
            return sorted(a) != sorted(b)
        return bool(a != b)
    except Exception:
        return True


def _step(value: Any, direction: int) -> Any:
    step = _STEPS.get(type(value), _step_object)
    return step(value, direction)


def _step_bool(value: bool, direction: int) -> Any:
    return not value


def _step_number(value: Any, direction: int) -> Any:
    if not _finite(value):
        return type(value)(_random.randint(-50, 50))
    # What is equal up to a part of it is not near.
    size = max(1, min(abs(int(value)) // 5, _WIDEST if type(value) is not float else 10**300))
    return value + type(value)(direction * _random.randint(1, 3) * size)


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
    return type(value)([*items, _random.randint(100, 10**4)])


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
    made[_random.randint(100, 10**4)] = None
    return made


def _step_date(value: Any, direction: int) -> Any:
    try:
        return value + datetime.timedelta(days=direction * _random.randint(1, 3))
    except OverflowError:
        return _NOTHING


def _step_object(value: Any, direction: int) -> Any:
    """Another of the same kind, made without running any code of its class."""
    try:
        if isinstance(value, enum.Enum):
            return _other(list(type(value)), value)
        if isinstance(value, type):
            return _other(_TYPES, value)
        if isinstance(value, types.BuiltinFunctionType):
            return _other(_FUNCTIONS, value)
        if type(value) is types.FunctionType:
            return types.FunctionType(value.__code__, value.__globals__, value.__name__)
        return _step_instance(value, direction)
    except Exception:
        return _NOTHING


def _other(pool: list[Any], value: Any) -> Any:
    others = [item for item in pool if item is not value]
    return _random.choice(others) if others else _NOTHING


def _step_instance(value: Any, direction: int) -> Any:
    kind = type(value)
    base: Any = next((b for b in _CARRIED if isinstance(value, b)), object)
    carried = () if base is object else (_step(base(value), direction),)
    made: Any = base.__new__(kind, *carried)
    slots = [n for c in kind.__mro__ for n in _slots_of(c) if hasattr(value, n)]
    held = {**getattr(value, "__dict__", {}), **{name: getattr(value, name) for name in slots}}
    changed = base is not object
    for name in _random.sample(list(held), len(held)):
        stepped = _NOTHING if changed else _step(held[name], direction)
        if stepped is not _NOTHING:
            held[name], changed = stepped, True
    for name, item in held.items():
        object.__setattr__(made, name, item)
    return made if changed else _NOTHING


def _slots_of(cls: type) -> tuple[str, ...]:
    slots = cls.__dict__.get("__slots__", ())
    named = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in named if name not in ("__weakref__", "__dict__"))


def _step_range(value: range, direction: int) -> range:
    more = direction * _random.randint(1, 3)
    return range(value.start + more, value.stop + more + _random.randint(0, 1), value.step)


def _step_slice(value: slice, direction: int) -> slice:
    return slice(value.start, _random.randint(0, 99), value.step)


def _step_path(value: pathlib.PurePath, direction: int) -> pathlib.PurePath:
    return type(value)(_step_str(str(value), direction))


def _step_time(value: datetime.time, direction: int) -> datetime.time:
    return value.replace(minute=_random.randrange(60), hour=_random.randrange(24))


def _step_zone(value: datetime.timezone, direction: int) -> datetime.timezone:
    return datetime.timezone(datetime.timedelta(hours=_random.randint(-12, 12)))


def _step_array(value: Any, direction: int) -> Any:
    return array.array(value.typecode, _step_sequence(list(value), direction))


def _step_pattern(value: re.Pattern[Any], direction: int) -> Any:
    return re.compile(_step(value.pattern, direction), value.flags)


#: What a class of a suite may derive from and still be made without its own code.
_CARRIED: tuple[Any, ...] = (int, float, str, bytes, tuple, list, dict, set, frozenset, complex)
_TYPES = [int, str, list, dict, float, set, tuple, bytes, bool, complex, type(None)]
_FUNCTIONS = [operator.add, operator.sub, operator.mul, len, abs, max, min, sum, sorted, math.sqrt]
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
    datetime.time: _step_time,
    datetime.timezone: _step_zone,
    range: _step_range,
    slice: _step_slice,
    pathlib.PosixPath: _step_path,
    pathlib.PurePosixPath: _step_path,
    array.array: _step_array,
    re.Pattern: _step_pattern,
    type({}.keys()): lambda v, d: _step_dict(dict.fromkeys(v), d).keys(),
    type({}.values()): lambda v, d: dict(enumerate(_step_sequence(list(v), d))).values(),
    type({}.items()): lambda v, d: _step_dict(dict(v), d).items(),
    type(None): lambda v, d: _NOTHING,
    type(...): lambda v, d: _NOTHING,
    type(NotImplemented): lambda v, d: _NOTHING,
}
