"""Stand-ins for objects of the other process.

Every class of the other side gets a class here with the special methods that it
has there, so that Python's own rules (iteration, comparison, `with`, `except`)
work on the stand-ins. Plain attributes are always asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .peer import Peer

_BINARY = [
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "lshift",
    "rshift",
    "and",
    "or",
    "xor",
    "matmul",
    "divmod",
]
#: Special methods that a stand-in forwards.
FORWARDED: frozenset[str] = frozenset(
    f"__{name}__"
    for name in (
        [
            "lt",
            "le",
            "gt",
            "ge",
            "eq",
            "ne",
            "hash",
            "repr",
            "str",
            "format",
            "bytes",
            "bool",
            "int",
            "float",
            "complex",
            "index",
            "round",
            "trunc",
            "floor",
            "ceil",
            "neg",
            "pos",
            "abs",
            "invert",
            "len",
            "iter",
            "next",
            "reversed",
            "contains",
            "getitem",
            "setitem",
            "delitem",
            "call",
            "enter",
            "exit",
            "aenter",
            "aexit",
            "aiter",
            "anext",
            "await",
            "fspath",
            "instancecheck",
            "subclasscheck",
        ]
        + _BINARY
        + [f"r{name}" for name in _BINARY]
        + [f"i{name}" for name in _BINARY if name != "divmod"]
    )
)
#: Attributes that belong to the stand-in itself.
_LOCAL = frozenset(
    {
        "__new__",
        "__init_subclass__",
        "__subclasshook__",
        "__getattribute__",
        "__setattr__",
        "__delattr__",
        "__reduce__",
        "__reduce_ex__",
        "__copy__",
        "__deepcopy__",
        "__getstate__",
        "__signature__",
        "__weakref__",
    }
)
#: Attributes of every class that say what it is; a stand-in would tell of itself.
_OF_CLASSES = frozenset(
    {
        "__annotations__",
        "__base__",
        "__bases__",
        "__dict__",
        "__doc__",
        "__init__",
        "__mro__",
        "__slots__",
        "__subclasses__",
    }
)


@dataclass(frozen=True, eq=False)
class ClassInfo:
    """What one side tells the other about a class."""

    cid: int
    name: str
    qualname: str
    module: str
    bases: tuple[Any, ...]  # stand-ins of its bases that are not standard ones
    methods: frozenset[str]  # special methods that its instances have
    own: frozenset[str]  # those among them that no builtin type gives
    meta: frozenset[str]  # special methods of the class itself
    claims: tuple[type, ...]  # standard classes among its ancestors
    payload: type | None  # immutable builtin type whose value its instances carry
    unhashable: bool


class Handle:
    """A stand-in for an object of the other process."""

    __slots__ = (
        "__weakref__",
        "_plum_hash",
        "_plum_hid",
        "_plum_payload",
        "_plum_peer",
        "_plum_shadows",
    )

    def __getattribute__(self, name: str) -> Any:
        if name[:2] == "__" and name[-2:] == "__":
            if name == "__class__":
                return type(self)._plum_seen_as  # type: ignore[attr-defined]
            if name in _LOCAL or name in FORWARDED:
                try:
                    return object.__getattribute__(self, name)
                except AttributeError:
                    if name != "__signature__":
                        raise AttributeError(name) from None
        elif name in ("send", "throw", "close") and "send" in type(self)._plum_local:  # type: ignore[attr-defined]
            return object.__getattribute__(self, name)
        return peer_of(self).get_attribute(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        peer_of(self).request("setattr", self, name, value)

    def __delattr__(self, name: str) -> None:
        peer_of(self).request("delattr", self, name)

    def __dir__(self) -> list[str]:
        return list(peer_of(self).request("dir", self))

    def __copy__(self) -> Any:
        return peer_of(self).request("copy", self, False)

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        return peer_of(self).request("copy", self, True)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return restore, (hid_of(self),)

    @property
    def __signature__(self) -> Any:
        return peer_of(self).signature(self)


hid_of: Callable[[Any], int] = Handle.__dict__["_plum_hid"].__get__
peer_of: Callable[[Any], Peer] = Handle.__dict__["_plum_peer"].__get__
hash_of: Callable[[Any], Any] = Handle.__dict__["_plum_hash"].__get__
payload_of: Callable[[Any], Any] = Handle.__dict__["_plum_payload"].__get__
shadows_of: Callable[[Any], Any] = Handle.__dict__["_plum_shadows"].__get__
set_hid = Handle.__dict__["_plum_hid"].__set__
set_peer = Handle.__dict__["_plum_peer"].__set__
set_hash = Handle.__dict__["_plum_hash"].__set__
set_payload = Handle.__dict__["_plum_payload"].__set__
set_shadows = Handle.__dict__["_plum_shadows"].__set__

_unpickler: list[Peer] = []


def unpickle_through(peer: Peer) -> None:
    """Names the peer that pickled stand-ins are restored from."""
    _unpickler[:] = [peer]


def restore(hid: int) -> Any:
    """What unpickling a stand-in gives: a copy, made where the object lives."""
    peer = _unpickler[0]
    return peer.request("copy", peer.imported(hid), True)


class ClassHandle(type):
    """The type of stand-ins for classes."""

    _plum_peer: Peer
    _plum_info: ClassInfo
    _plum_seen_as: Any

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls._plum_peer.request("call", cls, args, pairs(kwargs))

    def __getattribute__(cls, name: str) -> Any:
        if name[:6] == "_plum_":
            return type.__getattribute__(cls, name)
        if name[:2] == "__" and not (
            name in _OF_CLASSES and cls._plum_seen_as is not None and cls._plum_peer.asks_classes
        ):
            return type.__getattribute__(cls, name)
        return type.__getattribute__(cls, "_plum_peer").get_attribute(cls, name)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_plum_"):
            raise AttributeError(name)
        return cls._plum_peer.get_attribute(cls, name)

    def __setattr__(cls, name: str, value: Any) -> None:
        if name.startswith("_plum_") or name.startswith("__"):
            type.__setattr__(cls, name, value)
        else:
            cls._plum_peer.request("setattr", cls, name, value)

    def __delattr__(cls, name: str) -> None:
        cls._plum_peer.request("delattr", cls, name)

    def __dir__(cls) -> list[str]:
        return list(cls._plum_peer.request("dir", cls))

    def mro(cls) -> list[type]:
        """The usual order; bases are stand-ins, `Handle` and real exceptions only."""
        return type.mro(cls)

    @property
    def __signature__(cls) -> Any:
        return cls._plum_peer.signature(cls)


class ExceptionHandle(BaseException):
    """Mixed into stand-ins for exceptions of the other side's own classes."""

    _plum_peer: Any = None
    _plum_hid = 0

    def __getattr__(self, name: str) -> Any:
        if self._plum_peer is None or (name[:2] == "__" and name[-2:] == "__"):
            raise AttributeError(name)
        return self._plum_peer.get_attribute(self, name)

    def __reduce_ex__(self, protocol: Any) -> Any:
        return restore, (self._plum_hid,)


def pairs(kwargs: dict[str, Any]) -> tuple[tuple[str, Any], ...]:
    """Named arguments as they cross: a dict would be kept equal on both sides from then on."""
    return tuple(kwargs.items())


class RemoteMethod:
    """A bound method of a stand-in, kept as object and name until it is called."""

    __slots__ = ("__name__", "__self__")

    def __init__(self, owner: Any, name: str) -> None:
        self.__self__ = owner
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        owner = self.__self__
        return _peer(owner).request("method", owner, self.__name__, args, pairs(kwargs))

    def __getattribute__(self, name: str) -> Any:
        if name in ("__self__", "__name__", "__call__"):
            return object.__getattribute__(self, name)
        if name == "__class__":
            return MethodType
        if name == "__signature__":
            return _peer(self.__self__).signature(self)
        return _peer(self.__self__).request("method attribute", self, name)

    def __repr__(self) -> str:
        return f"<bound method {self.__name__} of {self.__self__!r}>"

    def __eq__(self, other: object) -> bool:
        if type(other) is not RemoteMethod:
            return NotImplemented
        return self.__self__ is other.__self__ and self.__name__ == other.__name__

    def __hash__(self) -> int:
        return hash((id(self.__self__), self.__name__))


def _peer(owner: Any) -> Peer:
    if issubclass(type(owner), Handle):
        return peer_of(owner)
    found: Peer = owner._plum_peer
    return found


def is_handle(value: Any) -> bool:
    """Whether `value` stands for an object, not an exception, of the other process."""
    kind = type(value)
    return issubclass(kind, Handle | ClassHandle)
