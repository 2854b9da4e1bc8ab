"""Encodes messages; the format is described in `codec`."""

from __future__ import annotations

import array
import collections
import math
from collections.abc import Callable
from typing import Any

from .codec import C128, DICT_TAGS, F64, I64, NODE, U32, Links
from .mirrors import Mirrors
from .plain import MUTABLE, VALUE_KINDS, learn

_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1


class _Parts:
    """A node for something that the links take apart."""

    __slots__ = ("name", "parts", "value")

    def __init__(self, value: Any, name: str, parts: list[Any]) -> None:
        self.value, self.name, self.parts = value, name, parts


class Writer:
    """Encodes one message."""

    def __init__(self, links: Links, mirrors: Mirrors) -> None:
        self.out = bytearray()
        self._links = links
        self._mirrors = mirrors
        self._index: dict[int, int] = {}
        self._nodes: list[Any] = []
        #: Classes that this message describes; theirs to know once it is sent.
        self.described: dict[int, Any] = {}
        self.registered: list[int] = []

    def message(self, roots: list[Any]) -> bytes:
        """The bytes of `roots`, and of every registered container that changed."""
        self.out += U32.pack(len(roots))
        for value in roots:
            self.put(value)
        root_bytes, self.out = self.out, bytearray()
        done = 0
        for changed in self._mirrors.changed():
            self._node_index(changed)
        while done < len(self._nodes):
            self._put_node(self._nodes[done])
            done += 1
        return bytes(root_bytes) + U32.pack(done) + bytes(self.out)

    def put(self, value: Any, keyed: bool = False) -> None:
        """Writes one token."""
        put = _PUT.get(type(value))
        if put is not None:
            put(self, value)
        elif learn(type(value)):
            _PUT[type(value)] = Writer._put_reference
            self._put_reference(value)
        else:
            self._links.token_for(value, self, keyed)

    def put_parts(self, value: Any, name: str, parts: list[Any]) -> None:
        """Writes a token for `value` as a node with `parts`, which `Links.make` joins again."""
        index = self._index.get(id(value))
        if index is None:
            index = self._index[id(value)] = len(self._nodes)
            self._nodes.append(_Parts(value, name, parts))
        self.out += b"@" + U32.pack(index)

    def text(self, value: str) -> None:
        """Writes a bare string: a length and UTF-8 that lets lone surrogates through."""
        data = value.encode("utf-8", "surrogatepass")
        self.out += U32.pack(len(data)) + data

    def number(self, value: int) -> None:
        """Writes a bare number in [0, 2**32)."""
        self.out += U32.pack(value)

    def _put_reference(self, value: Any) -> None:
        kind = type(value)
        if kind in MUTABLE and id(value) not in self._index:
            oid = self._mirrors.unchanged_oid(value)
            if oid is not None:
                self.out += b"k" + I64.pack(oid)
                return
        self.out += b"@" + U32.pack(self._node_index(value))

    def _node_index(self, value: Any) -> int:
        index = self._index.get(id(value))
        if index is None:
            index = self._index[id(value)] = len(self._nodes)
            self._nodes.append(value)
        return index

    def _put_node(self, value: Any) -> None:
        kind = type(value)
        if kind in MUTABLE:
            self._put_mutable(kind, value)
        elif kind is tuple or kind is frozenset:
            self._head(b"t" if kind is tuple else b"f", 0, len(value))
            for item in value:
                self.put(item, kind is frozenset)
        elif kind is _Parts:
            self._put_named(value.name, value.parts)
        else:
            self._put_named(VALUE_KINDS[kind][0], VALUE_KINDS[kind][1](value))

    def _put_named(self, name: str, parts: list[Any]) -> None:
        self._head(b"v", 0, len(parts))
        self.text(name)
        for item in parts:
            self.put(item)

    def _put_mutable(self, kind: type, value: Any) -> None:
        oid = self._mirrors.register(value)
        self.registered.append(oid)
        if kind is bytearray:
            self._head(b"y", oid, len(value))
            self.out += value
        elif kind is list:
            self._put_list(oid, value)
        elif kind is set:
            self._head(b"e", oid, len(value))
            for item in value:
                self.put(item, True)
        elif kind is collections.deque:
            self._head(b"q", oid, len(value) + 1)
            self.put(value.maxlen)
            for item in value:
                self.put(item)
        else:
            self._put_dict(oid, value)

    def _put_dict(self, oid: int, value: Any) -> None:
        self._head(DICT_TAGS[type(value)], oid, len(value))
        if type(value) is collections.defaultdict:
            self.put(value.default_factory)
        for key, item in value.items():
            self.put(key, True)
            self.put(item)

    def _put_list(self, oid: int, value: list[Any]) -> None:
        if len(value) > 8:
            kinds = set(map(type, value))
            if kinds == {int}:
                try:
                    packed = array.array("q", value).tobytes()
                except OverflowError:
                    pass
                else:
                    self._head(b"L", oid, len(value))
                    self.out += packed
                    return
            elif kinds == {float} and not math.isnan(sum(value)):
                self._head(b"G", oid, len(value))
                self.out += array.array("d", value).tobytes()
                return
        self._head(b"l", oid, len(value))
        put = self.put
        for item in value:
            put(item)

    def _head(self, tag: bytes, oid: int, count: int) -> None:
        self.out += NODE.pack(tag, oid, count)

    def _put_int(self, value: int) -> None:
        if _INT64_MIN <= value <= _INT64_MAX:
            self.out += b"i" + I64.pack(value)
        else:
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            self.out += b"I" + U32.pack(len(data)) + data

    def _put_str(self, value: str) -> None:
        data = value.encode("utf-8", "surrogatepass")
        self.out += b"s" + U32.pack(len(data)) + data

    def _put_bytes(self, value: bytes) -> None:
        self.out += b"b" + U32.pack(len(value)) + value

    def _put_bool(self, value: bool) -> None:
        self.out += b"T" if value else b"F"

    def _put_none(self, value: None) -> None:
        self.out += b"N"

    def _put_float(self, value: float) -> None:
        if math.isnan(value):
            self.out += b"z" + I64.pack(self._mirrors.nan_oid(value))
        else:
            self.out += b"d" + F64.pack(value)

    def _put_complex(self, value: complex) -> None:
        self.out += b"c" + C128.pack(value.real, value.imag)

    def _put_ellipsis(self, value: Any) -> None:
        self.out += b"."

    def _put_not_implemented(self, value: Any) -> None:
        self.out += b"!"


_PUT: dict[type, Callable[[Writer, Any], None]] = {
    int: Writer._put_int,
    str: Writer._put_str,
    bytes: Writer._put_bytes,
    bool: Writer._put_bool,
    type(None): Writer._put_none,
    float: Writer._put_float,
    complex: Writer._put_complex,
    type(...): Writer._put_ellipsis,
    type(NotImplemented): Writer._put_not_implemented,
    tuple: Writer._put_reference,
    frozenset: Writer._put_reference,
    **dict.fromkeys(MUTABLE, Writer._put_reference),
    **dict.fromkeys(VALUE_KINDS, Writer._put_reference),
}
