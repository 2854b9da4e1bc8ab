"""One side of the conversation: requests, answers, and requests that come while waiting.

Both sides run the same loop. A side that waits for its answer serves what the
other side asks meanwhile, which is how call-backs nest.
"""

from __future__ import annotations

import contextlib
import copy
import inspect
import struct
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from . import names, recursion
from .channel import Channel, ProtocolBreach
from .handles import FORWARDED, RemoteMethod, pairs
from .links import Links
from .mirrors import Mirrors
from .reader import Reader
from .tasks import Tasks
from .writer import Writer

_HEAD = struct.Struct("<BI")
_REQUEST, _ANSWER, _RAISED = 1, 2, 3
#: Frames that sending and receiving may take.
_TALK_FRAMES = 100
#: Frames of ours between a program's call and what the other side's program calls back.
_FRAMES_OF_A_CALL = 17
#: Call-backs within call-backs: each takes a dozen frames of the C stack.
_MOST_NESTED = 400


class Peer(ABC):
    """What judge and candidate have in common."""

    #: Whether classes of the other side say themselves what they are made of.
    asks_classes = False
    #: Whether exceptions that leave here are kept, so that they come back as themselves.
    keeps_exceptions = False

    def __init__(self, channel: Channel, first_container: int) -> None:
        self.channel = channel
        self.links = Links(self)
        self.tasks = Tasks(self)
        self._mirrors = Mirrors(first_container)
        self._turn = threading.RLock()
        self._next = 0
        #: Requests without an answer yet, and those of the other side that are served meanwhile.
        self._asking = self._nested = 0
        self._answers: dict[int, tuple[int, Any]] = {}
        self._operations: dict[str, Callable[..., Any]] = {
            "call": lambda f, args, kwargs: f(*args, **dict(kwargs)),
            "method": self._call_method,
            "getattr": self._get_attribute,
            "method attribute": self._get_method_attribute,
            "setattr": self._set_attribute,
            "delattr": self._delete_attribute,
            "dir": dir,
            "special": self._special,
            "copy": lambda o, deep: copy.deepcopy(o) if deep else copy.copy(o),
            "signature": _signature,
            "spawn": self.tasks.spawn,
            "pump": self.tasks.pump,
            "result": self.tasks.result,
            "cancel": self.tasks.cancel,
        }

    # -- asking ----------------------------------------------------------------------------

    def request(self, operation: str, *args: Any) -> Any:
        """Has the other side carry out `operation`; its exception is raised here."""
        with self._turn:
            recursion.allow(_TALK_FRAMES)  # a message must not be lost half-way
            self._asking += 1
            try:
                number = self._next
                self._next += 1
                self._send(_REQUEST, number, [operation, self.context(), *args])
                kind, value = self._wait(number)
            finally:
                self._asking -= 1
                with contextlib.suppress(RecursionError):
                    recursion.allow(-_TALK_FRAMES)
        if kind == _RAISED:
            raise value
        return value

    def get_attribute(self, owner: Any, name: str) -> Any:
        """Attribute of an object of the other side."""
        is_method, value = self.request("getattr", owner, name)
        return RemoteMethod(owner, name) if is_method else value

    def special(self, owner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Calls a special method of an object of the other side, as its type has it."""
        return self.request("special", owner, name, args, pairs(kwargs))

    def truth(self, owner: Any) -> bool:
        """What an object of the other side is that does not say whether it is true."""
        if "__len__" in type(owner)._plum_info.methods:
            return bool(type(owner).__len__(owner))
        return True

    def signature(self, owner: Any) -> inspect.Signature:
        """Signature of a callable of the other side."""
        parameters, returns = self.request("signature", owner)
        return inspect.Signature(
            [
                inspect.Parameter(
                    name,
                    inspect._ParameterKind(kind),  # the public names are attributes of a class
                    default=default[0] if default else inspect.Parameter.empty,
                    annotation=annotation[0] if annotation else inspect.Parameter.empty,
                )
                for name, kind, default, annotation in parameters
            ],
            return_annotation=returns[0] if returns else inspect.Signature.empty,
        )

    def imported(self, hid: int) -> Any:
        """The stand-in for an object of the other side."""
        return self.links.imported(hid)

    # -- what the two sides differ in ------------------------------------------------------

    def context(self) -> Any:
        """Sent with every request."""
        return None

    def enter_context(self, context: Any) -> None:
        """Takes what came with a request."""

    def spoken(self) -> Any:
        """Sent with every message; standard output that the other side is to write."""
        return None

    def heard(self, spoken: Any) -> None:
        """Takes what came with a message."""

    @abstractmethod
    def may_name(self, module: str, qualname: str) -> bool:
        """Whether the other side takes a standard object by its name."""

    @abstractmethod
    def accept_name(self, module: str, qualname: str) -> Any:
        """The standard object that the other side names, or None."""

    def accept_class(self, module: str, qualname: str) -> type | None:
        """The standard class that one of the other side derives from, or None."""
        return names.accept_class(module, qualname)

    def accept_module(self, name: str) -> Any:
        """The standard module that the other side names, or None."""
        return names.accept_module(name)

    def attribute(self, name: str) -> str:
        """The attribute name, if the other side may use it."""
        if type(name) is not str:
            raise ProtocolBreach("malformed message: an attribute without a name")
        return name

    def guard(self, owner: Any, name: str) -> None:
        """Raises AttributeError where the other side may not look at `name` of `owner`."""

    def guard_change(self, owner: Any, name: str) -> None:
        """Raises AttributeError where the other side may not set `name` of `owner`."""

    def origin_of(self, error: BaseException) -> str:
        """Where the code of this side raised `error`, for people."""
        return ""

    def came_from(self, error: BaseException, origin: str) -> None:
        """Takes note of an exception of the other side."""

    def deep_cause(self, cause: BaseException | None) -> BaseException | None:
        """The cause that crosses with an exception: chains are cut after a few."""
        depth, at = 0, cause
        while at is not None and depth < 8:
            depth, at = depth + 1, at.__cause__ or at.__context__
        return cause if at is None else None

    # -- serving ---------------------------------------------------------------------------

    def serve_one(self) -> None:
        """Takes one message and, where it is a request, answers it."""
        with self._turn:
            kind, number, roots = self._receive()
        if kind == _REQUEST:
            self._serve(number, roots)
        else:
            self._answers[number] = (kind, roots[0])

    def _wait(self, number: int) -> tuple[int, Any]:
        while number not in self._answers:
            kind, at, roots = self._receive()
            if kind == _REQUEST:
                self._serve(at, roots)
            else:
                self._answers[at] = (kind, roots[0])
        return self._answers.pop(number)

    def _serve(self, number: int, roots: list[Any]) -> None:
        try:
            operation, context, *args = roots
            handler = self._operations[operation]
        except (ValueError, KeyError, TypeError):
            raise ProtocolBreach("malformed request") from None
        try:
            self.enter_context(context)
            value = self._run(handler, args)
            kind = _ANSWER
        except ProtocolBreach:
            raise
        except BaseException as e:
            kind, value = _RAISED, e
        self._answer(kind, number, value)

    def _run(self, handler: Callable[..., Any], args: list[Any]) -> Any:
        """Carries it out; meanwhile the recursion limit counts the program's own frames."""
        taken = _TALK_FRAMES - _FRAMES_OF_A_CALL if self._asking > self._nested else 0
        self._nested += bool(taken)
        try:
            if self._nested > _MOST_NESTED:
                raise RecursionError("maximum recursion depth exceeded in call-backs")
            recursion.allow(-taken)
            return self.carry_out(handler, args)
        finally:
            self._nested -= bool(taken)
            recursion.allow(taken)

    def carry_out(self, handler: Callable[..., Any], args: list[Any]) -> Any:
        """Runs one operation for the other side."""
        return handler(*args)

    def _answer(self, kind: int, number: int, value: Any) -> None:
        try:
            self._send(kind, number, [value])
        except (RecursionError, MemoryError, TypeError, ValueError, AttributeError) as e:
            error = type(e)(f"the value cannot be handed over: {e}")
            self._send(_RAISED, number, [error])

    def _send(self, kind: int, number: int, roots: list[Any]) -> None:
        writer = Writer(self.links, self._mirrors)
        let_go = self._mirrors.let_go()
        try:
            body = writer.message([let_go or None, self.spoken(), *roots])
        except BaseException:
            self._mirrors.unsent(writer.registered)
            raise
        self.links.sent(writer)
        self.channel.send(_HEAD.pack(kind, number) + body)

    def _receive(self) -> tuple[int, int, list[Any]]:
        data = self.channel.receive()
        if len(data) < _HEAD.size:
            raise ProtocolBreach("malformed message: no head")
        kind, number = _HEAD.unpack_from(data)
        roots = Reader(data[_HEAD.size :], self.links, self._mirrors).message()
        if kind not in (_REQUEST, _ANSWER, _RAISED) or len(roots) < 3:
            raise ProtocolBreach("malformed message: it says nothing")
        let_go, spoken, *rest = roots
        if type(let_go) is list:
            self._mirrors.forget([oid for oid in let_go if type(oid) is int])
        if kind == _RAISED and not isinstance(rest[0], BaseException):
            raise ProtocolBreach("malformed message: raised what is no exception")
        if spoken is not None:
            self.heard(spoken)
        return kind, number, rest

    # -- operations ------------------------------------------------------------------------

    def _get_attribute(self, owner: Any, name: str) -> tuple[bool, Any]:
        self.guard(owner, self.attribute(name))
        value = getattr(owner, name)
        bound = getattr(value, "__self__", None)
        if bound is owner and getattr(value, "__name__", None) == name and callable(value):
            return True, None
        return False, value

    def _get_method_attribute(self, method: Any, name: str) -> Any:
        self.guard(method, self.attribute(name))
        return getattr(method, name)

    def _set_attribute(self, owner: Any, name: str, value: Any) -> None:
        self.guard_change(owner, self.attribute(name))
        setattr(owner, name, value)

    def _delete_attribute(self, owner: Any, name: str) -> None:
        self.guard_change(owner, self.attribute(name))
        delattr(owner, name)

    def _call_method(self, owner: Any, name: str, args: Any, kwargs: Any) -> Any:
        self.guard(owner, self.attribute(name))
        return getattr(owner, name)(*args, **dict(kwargs))

    def _special(self, owner: Any, name: str, args: Any, kwargs: Any) -> Any:
        if name not in FORWARDED:
            raise ProtocolBreach("malformed request: no special method")
        kind = type(owner)
        # As Python finds it: not on the class of the class, and bound only if it can be.
        defining = next((c for c in kind.__mro__ if name in c.__dict__), None)
        if defining is None:
            raise AttributeError(f"{kind.__name__!r} object has no {name}")
        found = defining.__dict__[name]
        bind = getattr(type(found), "__get__", None)
        method = found if bind is None else bind(found, owner, kind)
        return method(*args, **dict(kwargs))


def _signature(owner: Any) -> Any:
    found = inspect.signature(owner)
    empty = inspect.Parameter.empty
    parameters = [
        (
            p.name,
            int(p.kind),
            () if p.default is empty else (p.default,),
            () if p.annotation is empty else (p.annotation,),
        )
        for p in found.parameters.values()
    ]
    returns = found.return_annotation
    return parameters, () if returns is inspect.Signature.empty else (returns,)
