"""Results as text: exact plain types only, as a tree of bounded size. The reader trusts nothing."""

from __future__ import annotations

import json
from typing import Any

MAX_BYTES = 256 << 10
_MAX_DEPTH = 60
_ATOMS = frozenset({int, float, str, bool, type(None)})
_TAGS: dict[type, str] = {list: "l", tuple: "t", set: "s", frozenset: "z", dict: "d"}
_MAKERS: dict[str, Any] = {"l": list, "t": tuple, "s": set, "z": frozenset}


def encode(value: Any) -> bytes | None:
    """`value` as JSON; None where it is not plain, too large, or too deep."""
    try:
        text = json.dumps(_flatten(value, 0, [MAX_BYTES]))
    except (TypeError, ValueError, RecursionError, MemoryError):
        return None
    return text.encode("ascii") if len(text) <= MAX_BYTES else None


def _flatten(value: Any, depth: int, room: list[int]) -> Any:
    kind = type(value)
    if kind in _ATOMS:
        return value
    tag = _TAGS.get(kind)
    if tag is None or depth > _MAX_DEPTH:
        raise TypeError("not plain")
    room[0] -= len(value) + 1  # a tree may hold the same list many times
    if room[0] < 0:
        raise ValueError("too large")
    items = value
    if kind is dict:
        items = [part for item in value.items() for part in item]
    if _ATOMS.issuperset(map(type, items)):
        return [tag, *items]
    return [tag, *[_flatten(item, depth + 1, room) for item in items]]


def decode(data: bytes) -> Any:
    """The value that `encode` was given.

    Raises:
        ValueError: the bytes are nothing that `encode` writes.
    """
    if len(data) > MAX_BYTES:
        raise ValueError("too large")
    try:
        return _unflatten(json.loads(data))
    except (TypeError, LookupError, RecursionError) as e:
        raise ValueError(f"no flat value: {type(e).__name__}") from None


def _unflatten(value: Any) -> Any:
    if type(value) in _ATOMS:
        return value
    if type(value) is not list:
        raise ValueError("no flat value: an object")
    tag, *items = value
    items = [item if type(item) in _ATOMS else _unflatten(item) for item in items]
    if tag == "d":
        return dict(zip(items[::2], items[1::2], strict=True))
    return _MAKERS[tag](items)
