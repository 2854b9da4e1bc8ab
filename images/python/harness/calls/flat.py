"""Results as bytes: exact plain types only, as a tree of bounded size. The reader trusts nothing.

The bytes are what `marshal` writes in version 2, which has no references: it takes
exact builtin types only, and it costs the candidate's process no page. They are never given
back to `marshal`, which trusts its input, but read here, one bounded step after the other.
"""

from __future__ import annotations

import marshal
import math
import struct
from collections.abc import Callable
from typing import Any

MAX_BYTES = 256 << 10
#: Elements of sets and keys of dicts in one value. Those of a hostile peer may all have one
#: hash, and then take time with the square of their number.
MAX_HASHED = 512
_VERSION = 2
_MAX_DEPTH = 60
_I32 = struct.Struct("<i")
_F64 = struct.Struct("<d")
_DIGIT_BITS = 15
#: Longer numbers are not read, in digits: Python writes those that are shorter as text.
_MAX_DIGITS = 950
_CONSTANTS: dict[int, Any] = {ord("N"): None, ord("T"): True, ord("F"): False, ord("."): ...}
_SEQUENCES: dict[int, Any] = {
    ord("["): list,
    ord("("): tuple,
    ord("<"): set,
    ord(">"): frozenset,
}
_SETS = frozenset(b"<>")
_END_OF_DICT = ord("0")


class NotFlatError(Exception):
    """Well-formed bytes of something that is not read here."""


def encode(value: Any) -> bytes | None:
    """`value` as bytes; None where it is not plain, or too large."""
    try:
        data = marshal.dumps(value, _VERSION)
    except (ValueError, RecursionError, MemoryError):
        return None
    return data if len(data) <= MAX_BYTES else None


def decode(data: bytes, *, in_order: bool = False) -> Any:
    """The value that `encode` was given.

    in_order: whether the order in which its sets are iterated matters. `marshal` loses it.

    Raises:
        ValueError: the bytes are nothing that `encode` writes.
        NotFlatError: they are, but stand for what may have been another type, or is too deep.
    """
    reader = _Reader(data, in_order)
    try:
        value = reader.value(0)
    except (struct.error, TypeError, IndexError, KeyError) as e:
        raise ValueError(f"no flat value: {type(e).__name__}") from None
    if reader.at != len(data):
        raise ValueError("no flat value: bytes are left over")
    return value


class _Reader:
    def __init__(self, data: bytes, in_order: bool) -> None:
        self._data = data
        self._in_order = in_order
        self._hashed = 0
        self.at = 0

    def value(self, depth: int) -> Any:
        """The next value; every bound is checked before anything is made of it."""
        tag = self._data[self.at]
        self.at += 1
        if tag in _CONSTANTS:
            return _CONSTANTS[tag]
        atom = _ATOMS.get(tag)
        if atom is not None:
            return atom(self)
        if depth <= _MAX_DEPTH:
            if tag in _SEQUENCES:
                count = self._count()
                if tag in _SETS:
                    self._will_hash(count)
                    if self._in_order and count > 1:
                        raise NotFlatError
                items = [self.value(depth + 1) for _ in range(count)]
                return _SEQUENCES[tag](items)
            if tag == ord("{"):
                return self._dict(depth)
        # Bytes among them: anything that has a buffer is written as such.
        raise NotFlatError

    def _text(self) -> str:
        return self._bytes(self._count()).decode("utf-8", "surrogatepass")

    def _float(self) -> float:
        value = float(_F64.unpack(self._bytes(_F64.size))[0])
        if math.isnan(value):
            raise NotFlatError  # lists and sets tell one nan from another, by its identity
        return value

    def _dict(self, depth: int) -> dict[Any, Any]:
        made = {}
        while self._data[self.at] != _END_OF_DICT:
            self._will_hash(1)
            key = self.value(depth + 1)
            made[key] = self.value(depth + 1)
        self.at += 1
        return made

    def _will_hash(self, count: int) -> None:
        self._hashed += count
        if self._hashed > MAX_HASHED:
            raise NotFlatError

    def _int(self) -> int:
        return int(_I32.unpack(self._bytes(_I32.size))[0])

    def _count(self) -> int:
        """A number of things of at least a byte each."""
        count = self._int()
        if not 0 <= count <= len(self._data) - self.at:
            raise ValueError(f"no flat value: {count} things in {len(self._data)} bytes")
        return count

    def _long(self) -> int:
        count = self._int()
        if abs(count) > _MAX_DIGITS:
            raise NotFlatError
        digits = struct.unpack(f"<{abs(count)}H", self._bytes(2 * abs(count)))
        value = 0
        for digit in reversed(digits):
            value = value << _DIGIT_BITS | digit
        return -value if count < 0 else value

    def _bytes(self, size: int) -> bytes:
        start = self.at
        self.at += size
        return self._data[start : self.at]


_ATOMS: dict[int, Callable[[_Reader], Any]] = {
    ord("i"): _Reader._int,
    ord("l"): _Reader._long,
    ord("g"): _Reader._float,
    ord("u"): _Reader._text,
}
