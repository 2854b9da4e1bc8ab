"""Makes stand-ins: a class for each class of the other side, and instances of them."""

from __future__ import annotations

import abc
import contextlib
import sys
from collections.abc import Callable, Iterator
from types import MethodType
from typing import TYPE_CHECKING, Any

from .handles import (
    FORWARDED,
    ClassHandle,
    ClassInfo,
    ExceptionHandle,
    Handle,
    hash_of,
    payload_of,
    set_hash,
    set_hid,
    set_payload,
    set_peer,
    set_shadows,
)

if TYPE_CHECKING:
    from .peer import Peer

#: What every object has without defining it; asked for only where it matters.
_ALWAYS = frozenset({"__repr__", "__str__", "__format__"})


def make_class(peer: Peer, info: ClassInfo) -> ClassHandle:
    """A class that stands for the described one."""
    exceptional = [c for c in info.claims if issubclass(c, BaseException)]
    bases: tuple[type, ...] = tuple(b for b in info.bases if isinstance(b, ClassHandle))
    namespace: dict[str, Any] = {
        "__module__": info.module,
        "__qualname__": info.qualname,
        "_plum_peer": peer,
        "_plum_info": info,
        "_plum_seen_as": None,
    }
    if exceptional:
        if not any(issubclass(b, BaseException) for b in bases):
            bases = (*bases, ExceptionHandle)
        for real in exceptional:
            if not any(issubclass(b, real) for b in bases if b is not ExceptionHandle):
                bases = (*bases, real)
        namespace.update(_exception_methods(info))
    else:
        if not bases:
            bases = (Handle,)
        namespace["__slots__"] = ()
        namespace.update(_methods(info))
    made: ClassHandle = type.__new__(_metaclass(info.meta), info.name, bases, namespace)
    for claim in info.claims:
        if type(claim) is abc.ABCMeta:
            abstract: Any = claim
            abstract.register(made)
    type.__setattr__(made, "_plum_seen_as", _seen_as(made, info))
    return made


def _seen_as(made: ClassHandle, info: ClassInfo) -> Any:
    """What instances answer as their ``__class__``, so that ``isinstance(x, int)`` is right."""
    if not info.claims or issubclass(made, BaseException):
        return made
    builtin = next((c for c in info.claims if c.__module__ == "builtins"), info.claims[0])
    if info.name == builtin.__name__:
        return builtin
    if type(builtin) is not type:
        return made
    try:
        return type(info.name, (builtin,), {"__module__": info.module})
    except TypeError:
        return made


def make_handle(peer: Peer, cls: Any, hid: int, hashed: int | None, payload: Any) -> Any:
    """A stand-in for the object `hid`, an instance of `cls`."""
    made = object.__new__(cls)
    set_peer(made, peer)
    set_hid(made, hid)
    set_hash(made, hashed)
    set_payload(made, payload)
    set_shadows(made, None)
    return made


def _exception_methods(info: ClassInfo) -> dict[str, Any]:
    names = info.own & (FORWARDED - {"__eq__", "__ne__", "__hash__"})
    return {name: _forward(name) for name in sorted(names)}


def _methods(info: ClassInfo) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for name in sorted((info.methods & FORWARDED) | _ALWAYS):
        local = info.payload is not None and name not in info.own and name not in _ALWAYS
        made[name] = _on_payload(info.payload, name) if local else _forward(name)
    if info.payload in (str, bytes, tuple) and "__radd__" not in made:
        made["__radd__"] = _appended  # Python itself would append it as it is
    elif list in info.claims and "__radd__" not in made:
        made["__radd__"] = _extended
    if info.unhashable:
        made["__hash__"] = None
    elif "__hash__" in made:
        made["__hash__"] = _hash(made["__hash__"])
    elif "__eq__" in made:
        made["__hash__"] = object.__hash__
    if "__await__" in made:
        made.update({"__await__": _await, "send": _send, "throw": _throw, "close": _close})
    made.setdefault("__bool__", _truth_by_default)
    made["_plum_local"] = frozenset({"send"}) if "__await__" in made else frozenset()
    if info.name in ("function", "_lru_cache_wrapper"):
        made["__get__"] = _bind
    return made


def _forward(name: str) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return type(self)._plum_peer.special(self, name, args, kwargs)

    method.__name__ = name
    return method


def _forward_to_class(name: str) -> Callable[..., Any]:
    def method(cls: Any, *args: Any, **kwargs: Any) -> Any:
        if cls._plum_seen_as is None:  # while it is made nobody can be asked
            return False
        return cls._plum_peer.special(cls, name, args, kwargs)

    method.__name__ = name
    return method


def _on_payload(base: type | None, name: str) -> Callable[..., Any]:
    real = getattr(base, name)

    def method(self: Any, *args: Any) -> Any:
        return real(payload_of(self), *map(_unwrap, args))

    method.__name__ = name
    return method


def _truth_by_default(self: Any) -> bool:
    known: bool = type(self)._plum_peer.truth(self)
    return known


def _appended(self: Any, other: Any) -> Any:
    payload = payload_of(self)
    return other + payload if isinstance(other, type(payload)) else NotImplemented


def _extended(self: Any, other: Any) -> Any:
    return other + list(self) if isinstance(other, list) else NotImplemented


def _unwrap(value: Any) -> Any:
    if issubclass(type(value), Handle) and type(value)._plum_info.payload is not None:
        return payload_of(value)
    return value


def _hash(method: Callable[..., Any]) -> Callable[[Any], int]:
    def __hash__(self: Any) -> int:
        known = hash_of(self)
        found: int = method(self) if known is None else known
        return found

    return __hash__


def _bind(self: Any, owner: Any, kind: Any = None) -> Any:
    return self if owner is None else MethodType(self, owner)


def _await(self: Any) -> Iterator[Any]:
    driver: Iterator[Any] = type(self)._plum_peer.tasks.drive(self)
    return driver


def _in_loop() -> bool:
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and asyncio._get_running_loop() is not None


def _send(self: Any, value: Any) -> Any:
    peer = type(self)._plum_peer
    if _in_loop():
        return peer.tasks.driver(self).send(value)
    return peer.get_attribute(self, "send")(value)


def _throw(self: Any, *args: Any) -> Any:
    peer = type(self)._plum_peer
    if _in_loop():
        return peer.tasks.driver(self).throw(*args)
    return peer.get_attribute(self, "throw")(*args)


def _close(self: Any) -> Any:
    with contextlib.suppress(RuntimeError):
        return type(self)._plum_peer.get_attribute(self, "close")()


_metaclasses: dict[frozenset[str], type] = {}


def _metaclass(methods: frozenset[str]) -> Any:
    names = methods & (FORWARDED - {"__call__", "__repr__", "__str__", "__format__", "__hash__"})
    names -= {"__eq__", "__ne__", "__or__", "__ror__"}
    if not names:
        return ClassHandle
    if names not in _metaclasses:
        space = {name: _forward_to_class(name) for name in sorted(names)}
        _metaclasses[names] = type("ClassHandle", (ClassHandle,), space)
    return _metaclasses[names]
