"""What crosses as a name or a handle: classes, instances of own classes, exceptions, functions.

One side's `exports` are the objects that the other side may name by number; its
`imports` are the stand-ins it made for the other side's.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import names
from .channel import ProtocolBreach
from .errors import attributes_of, new_exception, set_attributes
from .handles import (
    FORWARDED,
    ClassHandle,
    ClassInfo,
    ExceptionHandle,
    RemoteMethod,
    hid_of,
    is_handle,
)
from .reader import Reader
from .standins import make_class, make_handle
from .writer import Writer

if TYPE_CHECKING:
    from .peer import Peer

_PAYLOADS: tuple[type, ...] = (int, float, str, bytes, tuple, frozenset, complex)


class Links:
    """One side's tables of handles."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._exports: list[Any] = [None]
        self._export_ids: dict[int, int] = {}
        self._described: set[int] = set()
        self._imports: dict[int, Any] = {}
        #: Exceptions among the imports, by identity: they need not be stand-ins.
        self._import_ids: dict[int, int] = {}

    # -- writing ---------------------------------------------------------------------------

    def token_for(self, value: Any, writer: Writer, keyed: bool) -> None:
        """Writes the token for something that does not cross by value."""
        kind = type(value)
        if kind is _AsClass:
            self._class(value.kind, writer)
        elif self._home(kind, value, writer):
            return
        elif kind is types.TracebackType:
            writer.put(None)  # the frames of one side are nothing to the other
        elif issubclass(kind, type):
            self._class_token(value, writer)
        elif issubclass(kind, BaseException):
            self._exception_token(value, writer)
        elif kind is types.ModuleType and self._module_token(value, writer):
            return
        else:
            named = names.name_of(value) if callable(value) else None
            if named is not None and self._peer.may_name(*named):
                self._named(named, writer)
            else:
                self._instance_token(value, writer, keyed)

    def _home(self, kind: type, value: Any, writer: Writer) -> bool:
        hid = 0
        if kind is RemoteMethod:
            writer.out += b"B"
            writer.number(self._number_of(value.__self__))
            writer.text(value.__name__)
            return True
        if issubclass(kind, BaseException):
            hid = self._import_ids.get(id(value), 0)
        elif is_handle(value):
            hid = self._number_of(value)
        if hid == 0:
            return False
        writer.out += b"h"
        writer.number(hid)
        return True

    def _number_of(self, handle: Any) -> int:
        return handle._plum_info.cid if isinstance(handle, ClassHandle) else hid_of(handle)

    def _module_token(self, value: types.ModuleType, writer: Writer) -> bool:
        name = value.__dict__.get("__name__")
        if type(name) is not str or sys.modules.get(name) is not value:
            return False
        if names.accept_module(name) is not value:
            return False
        writer.out += b"m"
        writer.text(name)
        return True

    def _named(self, named: tuple[str, str], writer: Writer) -> None:
        writer.out += b"n"
        writer.text(named[0])
        writer.text(named[1])

    def _class_token(self, value: Any, writer: Writer) -> None:
        named = names.name_of(value)
        if named is not None and self._peer.may_name(*named):
            self._named(named, writer)
        else:
            self._class(value, writer)

    def _class(self, value: Any, writer: Writer) -> None:
        """Like `_class_token`, but always as a class with a number of its own."""
        cid = self.export(value)
        if cid in self._described or cid in writer.described:
            writer.out += b"K"
            writer.number(cid)
            return
        writer.described[cid] = value
        writer.out += b"C"
        writer.number(cid)
        for text in (value.__name__, value.__qualname__, str(value.__module__)):
            writer.text(text if type(text) is str else "?")
        mro = type.mro(value) if type(value) is type else list(value.__mro__)
        standard = {c: named for c in mro if (named := names.name_of(c)) is not None}
        bases = [b for b in value.__bases__ if b not in standard]
        writer.number(len(bases))
        for base in bases:
            self._class(base, writer)
        writer.text(" ".join(sorted(_methods_of(mro))))
        writer.text(" ".join(sorted(_methods_of([c for c in mro if not _is_c_type(c)]))))
        metas = [c for c in type(value).__mro__ if c not in (type, object)]
        writer.text(" ".join(sorted(_methods_of(metas))))
        claims = [named for c, named in standard.items() if c is not object]
        writer.number(len(claims))
        for claim in claims:
            writer.text(claim[0])
            writer.text(claim[1])
        payload = next((p for p in _PAYLOADS if p in mro), None)
        writer.text("" if payload is None else payload.__name__)
        writer.out += b"T" if getattr(value, "__hash__", None) is None else b"F"

    def _exception_token(self, value: BaseException, writer: Writer) -> None:
        kind = type(value)
        named = names.name_of(kind)
        own = named is None or not self._peer.may_name(*named)
        hid = self.export(value) if own or self._peer.keeps_exceptions else 0
        args: tuple[Any, ...] = tuple(value.args)
        if isinstance(value, BaseExceptionGroup):
            args = (value.message, tuple(value.exceptions))  # it keeps its own list of them
        parts = [
            _AsClass(kind) if own else kind,
            hid,
            args,
            None if own else attributes_of(value),
            self._peer.origin_of(value),
            self._before(value, value.__cause__),
            self._before(value, value.__context__),
            value.__suppress_context__,
        ]
        writer.put_parts(value, "exception", parts)

    def _before(self, error: BaseException, other: BaseException | None) -> BaseException | None:
        """`other`, where it crosses as what came before `error`."""
        return self._peer.deep_cause(other) if other is not error else None

    def _instance_token(self, value: Any, writer: Writer, keyed: bool) -> None:
        kind = type(value)
        hid = self.export(value)
        hashed = hash(value) if keyed else None
        payload = next((p for p in _PAYLOADS if isinstance(value, p)), None)
        if payload is not None and issubclass(kind, payload):
            parts = [_AsClass(kind), hid, hashed, _exact(payload, value)]
            writer.put_parts(value, "instance", parts)
            return
        writer.out += b"H"
        writer.number(hid)
        writer.put(hashed)
        self._class(kind, writer)

    def export(self, value: Any) -> int:
        """The number under which the other side may name `value`."""
        hid = self._export_ids.get(id(value))
        if hid is None:
            hid = self._export_ids[id(value)] = len(self._exports)
            self._exports.append(value)
        return hid

    def is_exported(self, value: Any) -> bool:
        """Whether the other side has a number for `value`."""
        return id(value) in self._export_ids

    def sent(self, writer: Writer) -> None:
        """Notes that the message of `writer` is on its way."""
        self._described.update(writer.described)

    # -- reading ---------------------------------------------------------------------------

    def read_token(self, tag: int, reader: Reader) -> Any:
        """Reads a token that the codec does not know."""
        read = _READ.get(tag)
        if read is None:
            raise ProtocolBreach(f"malformed message: unknown token {tag}")
        return read(self, reader)

    def _read_instance(self, reader: Reader) -> Any:
        hid, hashed = reader.number(), reader.token()
        return self._instance(reader.token(), hid, hashed, None)

    def _read_named(self, reader: Reader) -> Any:
        return self._taken(self._peer.accept_name(reader.text(), reader.text()))

    def _read_module(self, reader: Reader) -> Any:
        return self._taken(self._peer.accept_module(reader.text()))

    def _read_method(self, reader: Reader) -> Any:
        owner, name = self.exported(reader.number()), self._peer.attribute(reader.text())
        self._peer.guard(owner, name)
        return getattr(owner, name)

    def make(self, name: str, parts: list[Any]) -> Any:
        """Joins what `Writer.put_parts` took apart."""
        if name == "exception":
            return self._exception(*parts)
        if name == "instance":
            return self._instance(*parts)
        return NotImplemented

    def exported(self, hid: int) -> Any:
        """The object that the other side names by `hid`.

        Raises:
            ProtocolBreach: it was given no such number.
        """
        if not 0 < hid < len(self._exports):
            raise ProtocolBreach(f"no object has the number {hid}")
        return self._exports[hid]

    def imported(self, hid: int) -> Any:
        """The stand-in for the other side's object `hid`."""
        return self._imports[hid]

    def _taken(self, found: Any) -> Any:
        if found is None:
            raise ProtocolBreach("a name stands for nothing that may cross")
        return found

    def _known_class(self, cid: int) -> Any:
        found = self._imports.get(cid)
        if not isinstance(found, ClassHandle):
            raise ProtocolBreach(f"no class has the number {cid}")
        return found

    def _read_class(self, reader: Reader) -> Any:
        cid = reader.number()
        name, qualname, module = reader.text(), reader.text(), reader.text()
        bases = tuple(reader.token() for _ in range(reader.count(1)))
        methods, own, meta = (frozenset(reader.text().split()) for _ in range(3))
        named = [(reader.text(), reader.text()) for _ in range(reader.count(1))]
        payload = reader.text()
        unhashable = bool(reader.token())
        claims = [self._peer.accept_class(*n) for n in named]
        info = ClassInfo(
            cid=cid,
            name=name,
            qualname=qualname,
            module=module,
            bases=bases,
            methods=methods & FORWARDED,
            own=own & FORWARDED,
            meta=meta,
            claims=tuple(c for c in claims if c is not None),
            payload=next((p for p in _PAYLOADS if p.__name__ == payload), None),
            unhashable=unhashable,
        )
        if cid in self._imports:
            raise ProtocolBreach(f"the number {cid} was given twice")
        try:
            made = self._imports[cid] = make_class(self._peer, info)
        except (TypeError, ValueError, AttributeError) as e:
            raise ProtocolBreach(f"no class can be made: {e}") from None
        return made

    def _instance(self, cls: Any, hid: Any, hashed: Any, payload: Any) -> Any:
        if type(hid) is not int or not isinstance(cls, ClassHandle):
            raise ProtocolBreach("malformed message: an instance without a class")
        if hashed is not None and type(hashed) is not int:
            raise ProtocolBreach("malformed message: a hash is no number")
        found = self._imports.get(hid)
        if found is not None:
            return found
        if hid <= 0:
            raise ProtocolBreach("malformed message: an instance without a number")
        kind = cls._plum_info.payload
        if issubclass(cls, BaseException) or (kind is not None and type(payload) is not kind):
            raise ProtocolBreach("malformed message: an instance that its class cannot have")
        made = self._imports[hid] = make_handle(self._peer, cls, hid, hashed, payload)
        return made

    def _exception(
        self, cls: Any, hid: Any, args: Any, attributes: Any, origin: Any, *before: Any
    ) -> Any:
        if not (isinstance(cls, type) and issubclass(cls, BaseException)):
            raise ProtocolBreach("malformed message: an exception that is none")
        if type(args) is not tuple or type(origin) is not str or type(hid) is not int:
            raise ProtocolBreach("malformed message: an exception without its parts")
        if hid and hid in self._imports:
            return self._imports[hid]
        made = new_exception(cls, args)
        if type(attributes) is tuple and not isinstance(cls, ClassHandle):
            set_attributes(made, attributes)
        if hid:
            self._imports[hid] = made
            self._import_ids[id(made)] = hid
        if isinstance(made, ExceptionHandle):
            made._plum_peer, made._plum_hid = self._peer, hid
        cause, context, suppress = before
        if isinstance(cause, BaseException):
            made.__cause__ = cause
        if isinstance(context, BaseException):
            made.__context__ = context
        made.__suppress_context__ = suppress is True
        self._peer.came_from(made, origin)
        return made


_READ: dict[int, Callable[[Links, Reader], Any]] = {
    ord("h"): lambda links, reader: links.exported(reader.number()),
    ord("K"): lambda links, reader: links._known_class(reader.number()),
    ord("C"): Links._read_class,
    ord("H"): Links._read_instance,
    ord("n"): Links._read_named,
    ord("m"): Links._read_module,
    ord("B"): Links._read_method,
}


class _AsClass:
    """Marks a class that is to cross as one with a number, even where it is a standard one."""

    __slots__ = ("kind",)

    def __init__(self, kind: type) -> None:
        self.kind = kind


def _is_c_type(cls: type) -> bool:
    return not cls.__flags__ & (1 << 9)  # Py_TPFLAGS_HEAPTYPE


def _methods_of(mro: list[type]) -> set[str]:
    found: set[str] = set()
    for cls in mro:
        if cls is object:
            continue
        own = cls.__dict__
        found.update(name for name in FORWARDED if own.get(name) is not None)
    return found


def _exact(kind: type, value: Any) -> Any:
    """The value that an instance of a subclass of `kind` carries, past anything it overrides."""
    return _EXACT[kind](value)


_EXACT: dict[type, Callable[[Any], Any]] = {
    int: lambda v: int.__add__(v, 0),
    float: float.__pos__,
    str: lambda v: str.join("", str.__iter__(v)),
    bytes: lambda v: bytes(memoryview(v)),
    complex: complex.__pos__,
    tuple: lambda v: tuple(tuple.__iter__(v)),
    frozenset: lambda v: frozenset(frozenset.__iter__(v)),
}
