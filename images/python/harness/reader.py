"""Decodes messages of a peer that may be hostile; the format is described in `codec`."""

from __future__ import annotations

import array
import struct
from collections.abc import Callable
from typing import Any

from .channel import ProtocolBreach
from .codec import C128, F64, I64, MUTABLE_TAGS, NODE, U32, Links
from .mirrors import Mirrors
from .plain import fill, read_value


class _Ref:
    """A token that stands for a node, until the nodes are built."""

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index


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
        nodes = [self._node() for _ in range(self.count(NODE.size))]
        if self._at != len(self._data):
            raise ProtocolBreach("malformed message: bytes are left over")
        self._build(nodes)
        return [self._resolve(token) for token in roots]

    def count(self, size: int) -> int:
        """A bare number of things that take at least `size` bytes each."""
        count: int = U32.unpack_from(self._data, self._at)[0]
        self._at += 4
        if count * size > len(self._data) - self._at:
            raise ProtocolBreach("malformed message: a count goes beyond its end")
        return count

    def number(self) -> int:
        """A bare number in [0, 2**32)."""
        value: int = U32.unpack_from(self._data, self._at)[0]
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
        value: int = I64.unpack_from(self._data, self._at)[0]
        self._at += 8
        return value

    def _get_big(self) -> int:
        return int.from_bytes(self._bytes(self.count(1)), "little", signed=True)

    def _get_float(self) -> float:
        value: float = F64.unpack_from(self._data, self._at)[0]
        self._at += 8
        return value

    def _get_nan(self) -> float:
        return self._mirrors.nan_at(self._get_int())

    def _get_complex(self) -> complex:
        real, imag = C128.unpack_from(self._data, self._at)
        self._at += 16
        return complex(real, imag)

    def _get_bytes(self) -> bytes:
        return self._bytes(self.count(1))

    def _get_known(self) -> Any:
        return self._mirrors.known(self._get_int())

    def _get_ref(self) -> _Ref:
        return _Ref(self.number())

    def _node(self) -> _Node:
        tag_byte, oid, count = NODE.unpack_from(self._data, self._at)
        self._at += NODE.size
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
            kind = MUTABLE_TAGS.get(node.tag)
            if kind is not None:
                built[index] = self._mirrors.at(node.oid, kind)
        for index in range(len(nodes)):
            if built[index] is _UNBUILT:
                self._build_value(nodes, index)
        for index, node in enumerate(nodes):
            if node.tag in MUTABLE_TAGS:
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
    ord("z"): Reader._get_nan,
    ord("c"): Reader._get_complex,
    ord("."): lambda _: ...,
    ord("!"): lambda _: NotImplemented,
    ord("@"): Reader._get_ref,
    ord("k"): Reader._get_known,
}
