"""Turns object graphs into bytes and back, for a peer that may be hostile.

Plain data (exact builtin and a few exact standard types) crosses by value, with
its sharing and cycles. Mutable containers are registered on both sides
(`mirrors`), so that a change made on one side reaches the other's object.
Everything else crosses as a token that the two hooks of `Links` deal with.

A message is a list of root tokens and a table of nodes. Tokens are atoms or
references into the table, so depth never turns into recursion.
"""

from __future__ import annotations

import array
import collections
import struct
from collections.abc import Callable
from typing import Any, Protocol

from .channel import ProtocolBreach
from .mirrors import Mirrors
from .plain import MUTABLE, VALUE_KINDS, fill, read_value

_U32 = struct.Struct("<I")
_I64 = struct.Struct("<q")
_F64 = struct.Struct("<d")
_C128 = struct.Struct("<dd")
_NODE = struct.Struct("<cqI")
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1


class Links(Protocol):
    """What cannot cross by value: how a side names it, and what it makes of a name."""

    def token_for(self, value: Any, writer: Writer, keyed: bool) -> None:
        """Writes one token for `value`; `keyed` where it stands as a dict key or set element."""

    def read_token(self, tag: int, reader: Reader) -> Any:
        """Reads the rest of a token with a tag that is not the codec's own."""

    def make(self, name: str, parts: list[Any]) -> Any:
        """Puts together what `Writer.put_parts` took apart; NotImplemented for other names."""


class _Ref:
    """A token that stands for a node, until the nodes are built."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


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
        self.out += _U32.pack(len(roots))
        for value in roots:
            self.put(value)
        root_bytes, self.out = self.out, bytearray()
        done = 0
        for changed in self._mirrors.changed():
            self._node_index(changed)
        while done < len(self._nodes):
            self._put_node(self._nodes[done])
            done += 1
        return bytes(root_bytes) + _U32.pack(done) + bytes(self.out)

    def put(self, value: Any, keyed: bool = False) -> None:
        """Writes one token."""
        put = _PUT.get(type(value))
        if put is not None:
            put(self, value)
        else:
            self._links.token_for(value, self, keyed)

    def put_parts(self, value: Any, name: str, parts: list[Any]) -> None:
        """Writes a token for `value` as a node with `parts`, which `Links.make` joins again."""
        index = self._index.get(id(value))
        if index is None:
            index = self._index[id(value)] = len(self._nodes)
            self._nodes.append(_Parts(value, name, parts))
        self.out += b"@" + _U32.pack(index)

    def text(self, value: str) -> None:
        """Writes a bare string: a length and UTF-8 that lets lone surrogates through."""
        data = value.encode("utf-8", "surrogatepass")
        self.out += _U32.pack(len(data)) + data

    def number(self, value: int) -> None:
        """Writes a bare number in [0, 2**32)."""
        self.out += _U32.pack(value)

    def _put_reference(self, value: Any) -> None:
        kind = type(value)
        if kind in MUTABLE and id(value) not in self._index:
            oid = self._mirrors.unchanged_oid(value)
            if oid is not None:
                self.out += b"k" + _I64.pack(oid)
                return
        self.out += b"@" + _U32.pack(self._node_index(value))

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
        self._head(_DICT_TAGS[type(value)], oid, len(value))
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
            elif kinds == {float}:
                self._head(b"G", oid, len(value))
                self.out += array.array("d", value).tobytes()
                return
        self._head(b"l", oid, len(value))
        put = self.put
        for item in value:
            put(item)

    def _head(self, tag: bytes, oid: int, count: int) -> None:
        self.out += _NODE.pack(tag, oid, count)

    def _put_int(self, value: int) -> None:
        if _INT64_MIN <= value <= _INT64_MAX:
            self.out += b"i" + _I64.pack(value)
        else:
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            self.out += b"I" + _U32.pack(len(data)) + data

    def _put_str(self, value: str) -> None:
        data = value.encode("utf-8", "surrogatepass")
        self.out += b"s" + _U32.pack(len(data)) + data

    def _put_bytes(self, value: bytes) -> None:
        self.out += b"b" + _U32.pack(len(value)) + value

    def _put_bool(self, value: bool) -> None:
        self.out += b"T" if value else b"F"

    def _put_none(self, value: None) -> None:
        self.out += b"N"

    def _put_float(self, value: float) -> None:
        self.out += b"d" + _F64.pack(value)

    def _put_complex(self, value: complex) -> None:
        self.out += b"c" + _C128.pack(value.real, value.imag)

    def _put_ellipsis(self, value: Any) -> None:
        self.out += b"."

    def _put_not_implemented(self, value: Any) -> None:
        self.out += b"!"


_DICT_TAGS: dict[type, bytes] = {
    dict: b"D",
    collections.OrderedDict: b"o",
    collections.Counter: b"u",
    collections.defaultdict: b"a",
}
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

#: Node tag -> type of the mutable container it describes.
_MUTABLE_TAGS: dict[int, type] = {
    ord("l"): list,
    ord("L"): list,
    ord("G"): list,
    ord("D"): dict,
    ord("e"): set,
    ord("y"): bytearray,
    ord("q"): collections.deque,
    ord("a"): collections.defaultdict,
    ord("o"): collections.OrderedDict,
    ord("u"): collections.Counter,
}


class _Node:
    """A parsed node: tag, number of its container (0 for values), tokens, name of a value kind."""

    __slots__ = ("name", "oid", "tag", "tokens")

    def __init__(self, tag: int, oid: int, tokens: Any, name: str = "") -> None:
        self.tag, self.oid, self.tokens, self.name = tag, oid, tokens, name


class Reader:
    """Decodes one message. Every bound is checked before anything is allocated for it."""

    def __init__(self, data: bytes, links: Links, mirrors: Mirrors) -> None:
        self._data = data
        self._at = 0
        self._links = links
        self._mirrors = mirrors
        self._built: list[Any] = []

    def message(self) -> list[Any]:
        """The roots.

        Raises:
            ProtocolBreach: the bytes are no message.
        """
        try:
            return self._message()
        except (
            struct.error,
            LookupError,
            TypeError,
            ValueError,
            OverflowError,
            AttributeError,
        ) as e:
            raise ProtocolBreach(f"malformed message: {type(e).__name__}") from None

    def _message(self) -> list[Any]:
        roots = [self.token() for _ in range(self.count(1))]
        nodes = [self._node() for _ in range(self.count(_NODE.size))]
        if self._at != len(self._data):
            raise ProtocolBreach("malformed message: bytes are left over")
        self._build(nodes)
        return [self._resolve(token) for token in roots]

    def count(self, size: int) -> int:
        """A bare number of things that take at least `size` bytes each."""
        count: int = _U32.unpack_from(self._data, self._at)[0]
        self._at += 4
        if count * size > len(self._data) - self._at:
            raise ProtocolBreach("malformed message: a count goes beyond its end")
        return count

    def number(self) -> int:
        """A bare number in [0, 2**32)."""
        value: int = _U32.unpack_from(self._data, self._at)[0]
        self._at += 4
        return value

    def text(self) -> str:
        """A bare string."""
        return self._bytes(self.count(1)).decode("utf-8", "surrogatepass")

    def token(self) -> Any:
        """One token; a reference stays a reference until the nodes are built."""
        tag = self._data[self._at]
        self._at += 1
        get = _GET.get(tag)
        return get(self) if get is not None else self._links.read_token(tag, self)

    def _bytes(self, size: int) -> bytes:
        start = self._at
        self._at += size
        return self._data[start : self._at]

    def _get_int(self) -> int:
        value: int = _I64.unpack_from(self._data, self._at)[0]
        self._at += 8
        return value

    def _get_big(self) -> int:
        return int.from_bytes(self._bytes(self.count(1)), "little", signed=True)

    def _get_float(self) -> float:
        value: float = _F64.unpack_from(self._data, self._at)[0]
        self._at += 8
        return value

    def _get_complex(self) -> complex:
        real, imag = _C128.unpack_from(self._data, self._at)
        self._at += 16
        return complex(real, imag)

    def _get_bytes(self) -> bytes:
        return self._bytes(self.count(1))

    def _get_known(self) -> Any:
        return self._mirrors.known(self._get_int())

    def _get_ref(self) -> _Ref:
        return _Ref(self.number())

    def _node(self) -> _Node:
        tag_byte, oid, count = _NODE.unpack_from(self._data, self._at)
        self._at += _NODE.size
        tag = tag_byte[0]
        size = {ord("L"): 8, ord("G"): 8}.get(tag, 1)
        if count * size > len(self._data) - self._at:
            raise ProtocolBreach("malformed message: a count goes beyond its end")
        if tag == ord("L") or tag == ord("G"):
            packed = array.array("q" if tag == ord("L") else "d")
            packed.frombytes(self._bytes(8 * count))
            return _Node(tag, oid, packed.tolist())
        if tag == ord("y"):
            return _Node(tag, oid, self._bytes(count))
        name = self.text() if tag == ord("v") else ""
        if tag in _DICTS:
            count = 2 * count + (tag == ord("a"))
        elif tag not in _SEQUENCES:
            raise ProtocolBreach(f"malformed message: unknown node {tag}")
        return _Node(tag, oid, [self.token() for _ in range(count)], name)

    def _build(self, nodes: list[_Node]) -> None:
        built = self._built = [_UNBUILT] * len(nodes)
        for index, node in enumerate(nodes):
            kind = _MUTABLE_TAGS.get(node.tag)
            if kind is not None:
                built[index] = self._mirrors.at(node.oid, kind)
        for index in range(len(nodes)):
            if built[index] is _UNBUILT:
                self._build_value(nodes, index)
        for index, node in enumerate(nodes):
            if node.tag in _MUTABLE_TAGS:
                self._fill(built[index], node)
                self._mirrors.synced(node.oid)

    def _build_value(self, nodes: list[_Node], index: int) -> None:
        built, stack, open_nodes = self._built, [index], set()
        while stack:
            at = stack[-1]
            if built[at] is not _UNBUILT:
                stack.pop()
                continue
            missing = [
                t.index for t in nodes[at].tokens if type(t) is _Ref and built[t.index] is _UNBUILT
            ]
            if missing:
                if at in open_nodes:
                    raise ProtocolBreach("malformed message: a value contains itself")
                open_nodes.add(at)
                stack.extend(missing)
                continue
            built[at] = self._value(nodes[at])
            stack.pop()

    def _value(self, node: _Node) -> Any:
        items = [self._resolve(token) for token in node.tokens]
        if node.tag == ord("t"):
            return tuple(items)
        if node.tag == ord("f"):
            return frozenset(items)
        made = self._links.make(node.name, items)
        return read_value(node.name, items) if made is NotImplemented else made

    def _fill(self, target: Any, node: _Node) -> None:
        if node.tag in _PACKED:
            fill(target, node.tokens)
            return
        fill(target, [self._resolve(token) for token in node.tokens])

    def _resolve(self, token: Any) -> Any:
        return self._built[token.index] if type(token) is _Ref else token


_UNBUILT: Any = object()
_DICTS = frozenset(b"Doua")
_SEQUENCES = frozenset(b"ltfevq")
_PACKED = frozenset(b"LGy")
_GET: dict[int, Callable[[Reader], Any]] = {
    ord("i"): Reader._get_int,
    ord("I"): Reader._get_big,
    ord("s"): Reader.text,
    ord("b"): Reader._get_bytes,
    ord("T"): lambda _: True,
    ord("F"): lambda _: False,
    ord("N"): lambda _: None,
    ord("d"): Reader._get_float,
    ord("c"): Reader._get_complex,
    ord("."): lambda _: ...,
    ord("!"): lambda _: NotImplemented,
    ord("@"): Reader._get_ref,
    ord("k"): Reader._get_known,
}
