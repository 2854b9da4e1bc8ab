"""Which exact types cross by value, and how each is taken apart and put together."""

from __future__ import annotations

import array
import collections
import datetime
import decimal
import fractions
import pathlib
import re
import sys
from collections.abc import Callable
from typing import Any

from .channel import ProtocolBreach

#: Exact types of containers that are kept equal on both sides.
MUTABLE: frozenset[type] = frozenset(
    {
        list,
        dict,
        set,
        bytearray,
        collections.deque,
        collections.OrderedDict,
        collections.Counter,
        collections.defaultdict,
    }
)


def fill(target: Any, items: Any) -> None:
    """Makes `items` (keys and values by turns for dicts) the content of `target`, in place."""
    kind = type(target)
    if kind is list or kind is bytearray:
        target[:] = items
    elif kind is set:
        target.clear()
        target.update(items)
    elif kind is collections.deque:
        _fill_deque(target, items)
    else:
        if kind is collections.defaultdict:
            target.default_factory, items = items[0], items[1:]
        target.clear()
        for at in range(0, len(items), 2):
            target[items[at]] = items[at + 1]


def _fill_deque(target: collections.deque[Any], items: list[Any]) -> None:
    if items[0] is not None and (type(items[0]) is not int or items[0] < 0):
        raise ProtocolBreach("a deque's maxlen is no number")
    if items[0] != target.maxlen:
        # The bound of a deque is read-only; only __init__ can set it on the same object.
        target.__init__((), items[0])  # type: ignore[misc]
    target.clear()
    target.extend(items[1:])


def _zone(zone: datetime.tzinfo | None) -> tuple[Any, ...] | None:
    if zone is None:
        return None
    if type(zone) is datetime.timezone:
        return ("offset", zone.utcoffset(None), zone.tzname(None))
    zoneinfo: Any = sys.modules.get("zoneinfo")
    if zoneinfo is not None and type(zone) is zoneinfo.ZoneInfo:
        key = getattr(zone, "key", None)
        if key is not None:
            return ("zone", key)
    return ("offset", datetime.timedelta(0), "UTC")


def _read_zone(spec: Any) -> datetime.tzinfo | None:
    if spec is None:
        return None
    if spec[0] == "zone":
        import zoneinfo

        return zoneinfo.ZoneInfo(spec[1])
    if spec[1] == datetime.timedelta(0) and spec[2] == "UTC":
        return datetime.UTC
    return datetime.timezone(spec[1], spec[2])


def _take_datetime(v: datetime.datetime) -> list[Any]:
    numbers = [v.year, v.month, v.day, v.hour, v.minute, v.second, v.microsecond]
    return [*numbers, _zone(v.tzinfo), v.fold]


def _make_datetime(*a: Any) -> datetime.datetime:
    year, month, day, *clock = a[:7]
    made = datetime.datetime(year, month, day, *clock)
    return made.replace(tzinfo=_read_zone(a[7]), fold=a[8])


def _take_time(v: datetime.time) -> list[Any]:
    return [v.hour, v.minute, v.second, v.microsecond, _zone(v.tzinfo), v.fold]


def _make_time(*a: Any) -> datetime.time:
    return datetime.time(*a[:4]).replace(tzinfo=_read_zone(a[4]), fold=a[5])


def _make_array(code: str, data: bytes) -> Any:
    made = array.array(code)
    made.frombytes(data)
    return made


_VIEWS: tuple[type, ...] = (type({}.keys()), type({}.values()), type({}.items()))

#: Exact type -> (name on the wire, its parts, how to make it from them).
VALUE_KINDS: dict[type, tuple[str, Callable[[Any], list[Any]], Callable[..., Any]]] = {
    slice: ("slice", lambda v: [v.start, v.stop, v.step], slice),
    range: ("range", lambda v: [v.start, v.stop, v.step], range),
    decimal.Decimal: ("Decimal", lambda v: [str(v)], decimal.Decimal),
    fractions.Fraction: (
        "Fraction",
        lambda v: [v.numerator, v.denominator],
        fractions.Fraction,
    ),
    datetime.date: ("date", lambda v: [v.year, v.month, v.day], datetime.date),
    datetime.datetime: ("datetime", _take_datetime, _make_datetime),
    datetime.time: ("time", _take_time, _make_time),
    datetime.timedelta: (
        "timedelta",
        lambda v: [v.days, v.seconds, v.microseconds],
        datetime.timedelta,
    ),
    datetime.timezone: ("timezone", lambda v: [_zone(v)], _read_zone),
    pathlib.PosixPath: ("PosixPath", lambda v: [str(v)], pathlib.PosixPath),
    pathlib.PurePosixPath: ("PurePosixPath", lambda v: [str(v)], pathlib.PurePosixPath),
    re.Pattern: ("Pattern", lambda v: [v.pattern, v.flags], re.compile),
    array.array: ("array", lambda v: [v.typecode, v.tobytes()], _make_array),
    _VIEWS[0]: ("dict_keys", lambda v: [tuple(v)], lambda v: dict.fromkeys(v).keys()),
    _VIEWS[1]: ("dict_values", lambda v: [tuple(v)], lambda v: dict(enumerate(v)).values()),
    _VIEWS[2]: ("dict_items", lambda v: [tuple(v)], lambda v: dict(v).items()),
}


def _make_uuid(text: str) -> Any:
    import uuid

    return uuid.UUID(text)


_MAKERS = {name: make for name, _, make in VALUE_KINDS.values()} | {"UUID": _make_uuid}


def learn(kind: type) -> bool:
    """Whether `kind` crosses by value though nobody had loaded its module; VALUE_KINDS has it now.

    What `uuid` and `zoneinfo` load is a twentieth of all memory that a fork copies, and
    hardly a candidate uses them.
    """
    uuid = sys.modules.get("uuid")
    if uuid is None or kind is not getattr(uuid, "UUID", None):
        return False
    VALUE_KINDS[kind] = ("UUID", lambda v: [str(v)], _make_uuid)
    return True


def read_value(name: str, parts: list[Any]) -> Any:
    """Puts a value together from what the other side sent as its parts.

    Raises:
        ProtocolBreach: no such kind, or the parts do not fit.
    """
    make = _MAKERS.get(name)
    if make is None:
        raise ProtocolBreach(f"unknown kind of value {name!r}")
    try:
        return make(*parts)
    except Exception as e:
        raise ProtocolBreach(f"parts do not make a {name}: {type(e).__name__}") from None
