"""The judge's side of the conversation: asks, and does not believe everything.

Comparisons and sums with a candidate's own objects are asked for together with
decoys (`decoys`). What the candidate may see of the suite's objects is bounded.
"""

from __future__ import annotations

import builtins
import random
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from . import decoys, names
from .candidate import CAPTURE_STDERR, CAPTURE_STDOUT
from .channel import ChannelClosed, PinnedChannel, ProtocolBreach
from .handles import FORWARDED, Handle, is_handle, payload_of, set_shadows, shadows_of
from .peer import Peer

_ORDER = {"__lt__", "__le__", "__gt__", "__ge__"}
#: Arithmetic of which a result that hardly depends on the operand is a lie.
_SENSITIVE = {"__add__", "__radd__", "__sub__", "__rsub__", "__xor__", "__rxor__"}
_SCALING = {"__mul__", "__rmul__", "__truediv__", "__rtruediv__"}
#: Methods without effect that suites call with what they expect.
_PREDICATES = {"startswith", "endswith", "issubset", "issuperset", "isdisjoint"}
_ARITHMETIC = _SENSITIVE | {
    f"__{side}{name}__" for side in ("", "r") for name in ("mul", "truediv", "floordiv", "mod")
}
_PASSES_ON = _ARITHMETIC | {
    "__abs__",
    "__neg__",
    "__pos__",
    "__round__",
    "__float__",
    "__int__",
    "__pow__",
    "__index__",
    "__complex__",
    "__trunc__",
    "__floor__",
    "__ceil__",
}
#: Types of which the candidate sees no attribute but these.
_CLOSED = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
    types.ModuleType,
    type,
)
_OPEN_NAMES = FORWARDED | {
    "__name__",
    "__qualname__",
    "__doc__",
    "__module__",
    "__class__",
    "__wrapped__",
    "send",
    "throw",
    "close",
    "asend",
    "athrow",
    "aclose",
}


#: Operations that end by raising StopIteration, as iterators do.
_ITERATION = frozenset(["__next__", "send", "throw", "__anext__", "asend", "athrow"])


class JudgePeer(Peer):
    """Talks to the candidate. Its death and its lies end the run through `ended` and `tampered`."""

    keeps_exceptions = True

    def __init__(
        self,
        channel: PinnedChannel,
        *,
        ended: Callable[[str], NoReturn],
        tampered: Callable[[str], NoReturn],
        failures: Callable[[], int],
        suite_knows_stop: bool,
    ) -> None:
        super().__init__(channel, first_container=0)
        self._ended = ended
        self._tampered = tampered
        self._failures = failures
        self._suite_knows_stop = suite_knows_stop
        #: Assertions that failed within a call-back and whose error the candidate swallowed.
        self.swallowed = 0
        #: Where exceptions of the candidate came from, by identity.
        self.origins: dict[int, tuple[BaseException, str]] = {}
        self._stdout, self._stderr, self._stdin = sys.stdout, sys.stderr, sys.stdin
        self._patchable = {n: getattr(builtins, n) for n in ("input", "print", "open")}
        self._told: dict[str, Any] = {}
        self.impatient = False

    # -- the conversation ------------------------------------------------------------------

    def request(self, operation: str, *args: Any) -> Any:
        """As the base class; first the candidate learns of patched builtins and streams."""
        self._tell_environment()
        if operation == "method" and args[1] in _PREDICATES and len(args[2]) == 1 and not args[3]:
            return self._predicate(args[0], args[1], args[2][0])
        try:
            return super().request(operation, *args)
        except (StopIteration, StopAsyncIteration) as e:
            plain_call = operation == "call" or (
                operation in ("special", "method") and args[1] not in _ITERATION
            )
            if self._suite_knows_stop or not plain_call:
                raise
            # `all(map(f, cases))` takes it for the end of the cases, and would hold.
            raise RuntimeError(f"{type(e).__name__} from what is no iterator") from e

    def _predicate(self, owner: Any, name: str, expected: Any) -> Any:
        """A method such as `startswith`; one that is true of everything is a lie."""

        def ask(value: Any) -> Any:
            return super(JudgePeer, self).request("method", owner, name, (value,), {})

        answers, answer = [], None
        wrong = [] if is_handle(expected) else decoys.chain(expected)
        for value in decoys.shuffled([_Real(expected), *wrong]):
            if type(value) is _Real:
                answer = ask(expected)
            else:
                try:
                    answers.append(ask(value) is True)
                except Exception:
                    answers.append(False)
        if answer is True and len(answers) > 2 and all(answers):
            self._lie(owner, f"says {name} of everything")
        return answer

    def _send(self, kind: int, number: int, roots: list[Any]) -> None:
        try:
            super()._send(kind, number, roots)
        except (ChannelClosed, ProtocolBreach) as e:
            self._ended(str(e))

    def _receive(self) -> tuple[int, int, list[Any]]:
        try:
            return super()._receive()
        except ChannelClosed:
            self._ended("" if not self.impatient else "did not answer")
        except ProtocolBreach as e:
            self._ended(f"broke the protocol: {e}")

    def _serve(self, number: int, roots: list[Any]) -> None:
        try:
            super()._serve(number, roots)
        except ProtocolBreach as e:
            self._ended(f"broke the protocol: {e}")

    def carry_out(self, handler: Callable[..., Any], args: list[Any]) -> Any:
        """Runs a call-back; notes assertions of the suite that fail in it."""
        before = self._failures()
        try:
            value = handler(*args)
        finally:
            self.swallowed += self._failures() - before
        return value

    def came_back(self) -> None:
        """An assertion's error left the suite after all."""
        self.swallowed = 0

    def context(self) -> int:
        """Which streams the suite has replaced."""
        sys.stdout.flush()
        replaced = CAPTURE_STDOUT if sys.stdout is not self._stdout else 0
        return replaced | (CAPTURE_STDERR if sys.stderr is not self._stderr else 0)

    def heard(self, spoken: Any) -> None:
        """Writes what the candidate printed to the suite's own streams."""
        if type(spoken) is not tuple or len(spoken) != 2:
            raise ProtocolBreach("malformed message: printed what is no text")
        for stream, text in zip((sys.stdout, sys.stderr), spoken, strict=True):
            if type(text) is not str:
                raise ProtocolBreach("malformed message: printed what is no text")
            if text:
                stream.write(text)

    def may_name(self, module: str, qualname: str) -> bool:
        """The candidate takes every standard name."""
        return True

    def accept_name(self, module: str, qualname: str) -> Any:
        """Only harmless names are taken from the candidate."""
        return names.accept(module, qualname)

    def came_from(self, error: BaseException, origin: str) -> None:
        """Remembers that this exception was the candidate's."""
        self.origins[id(error)] = (error, origin[:200])

    def guard(self, owner: Any, name: str) -> None:
        """Hides the suite's code, globals and frames from the candidate."""
        kind = type(owner)
        if issubclass(kind, _CLOSED):
            allowed = name in _OPEN_NAMES or (issubclass(kind, type) and name[:1] != "_")
            allowed = allowed and name != "mro"
        elif kind.__module__ == "__main__":
            allowed = name[:2] != "__" or name in _OPEN_NAMES
        else:
            allowed = name[:1] != "_" or name in _OPEN_NAMES
        if not allowed or kind.__module__.partition(".")[0] == "harness":
            raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")

    def guard_change(self, owner: Any, name: str) -> None:
        """The candidate changes attributes of the suite's own instances only."""
        kind = type(owner)
        if issubclass(kind, _CLOSED) or name[:2] == "__" or kind.__module__.startswith("unittest"):
            raise AttributeError(f"attribute {name!r} cannot be set")
        self.guard(owner, name)

    def attribute(self, name: str) -> str:
        """No double underscores but the special methods."""
        name = super().attribute(name)
        if name[:2] == "__" and name not in _OPEN_NAMES:
            raise AttributeError(name)
        return name

    def _tell_environment(self) -> None:
        for name, original in self._patchable.items():
            self._tell(name, getattr(builtins, name, None), original)
        self._tell("stdin", sys.stdin, self._stdin)

    def _tell(self, name: str, now: Any, original: Any) -> None:
        told = self._told.get(name, original)
        if now is not told:
            self._told[name] = now
            super().request("environment", name, None if now is original else now)

    # -- not believing everything ----------------------------------------------------------

    def special(self, owner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """As the base class, with decoys where an object could say what is wanted."""
        if len(args) == 1:
            if name in ("__eq__", "__ne__"):
                return self._equality(owner, name, args[0])
            if name == "__contains__":
                return self._membership(owner, args[0])
            if name in _ORDER:
                return self._order(owner, name, args[0])
            if name in _ARITHMETIC and decoys.is_operand(args[0]):
                return self._arithmetic(owner, name, args[0])
        value = super().special(owner, name, args, kwargs)
        shadows = _shadows(owner)
        if shadows is not None and name in _PASSES_ON:
            self._shade(value, [self._quiet(s, name, *args) for s in shadows], name)
        return value

    def _ask(self, owner: Any, name: str, *args: Any) -> Any:
        return super().special(owner, name, args, {})

    def _quiet(self, owner: Any, name: str, *args: Any) -> Any:
        """What a decoy gives; an exception counts as an answer of its own."""
        try:
            if is_handle(owner):
                return self._ask(owner, name, *args)
            return getattr(type(owner), name)(owner, *args)
        except Exception:
            return None

    def _equality(self, owner: Any, name: str, other: Any) -> Any:
        positive = name == "__eq__"
        info = type(owner)._plum_info  # classes and exceptions are compared by identity
        carried = (
            info.payload is not None
            and payload_of(owner) == other
            and type(other)
            in (
                info.payload,
                bool,
                int,
                float,
            )
        )
        if carried:
            return self._ask(owner, name, other)
        wrong = [] if is_handle(other) else decoys.chain(other)
        answer: Any = None
        for value in decoys.shuffled([_Real(other), *wrong, *decoys.strangers()[:2]]):
            if type(value) is _Real:
                answer = self._ask(owner, name, other)
                if answer is NotImplemented or self._truth(answer) is not positive:
                    return answer
            elif self._says(self._quiet(owner, name, value)) is positive:
                # Only a lie if it says the same of the real value, which may come later.
                answer = self._ask(owner, name, other) if answer is None else answer
                if answer is NotImplemented or self._truth(answer) is not positive:
                    return answer
                self._lie(owner, f"equals {value!r:.60} as well as {self._show(other)}")
        self._check_shadows(owner, name, other, positive)
        return answer

    def _membership(self, owner: Any, item: Any) -> Any:
        wrong = [] if is_handle(item) else decoys.chain(item)[:4]
        asked = decoys.shuffled([_Real(item), *wrong, *decoys.strangers()])
        answers, answer = [], None
        for value in asked:
            if type(value) is _Real:
                answer = self._ask(owner, "__contains__", item)
                if not self._truth(answer):
                    return answer
            else:
                answers.append(self._says(self._quiet(owner, "__contains__", value)))
        if all(a is True for a in answers):
            self._lie(owner, "contains everything")
        return answer

    def _order(self, owner: Any, name: str, other: Any) -> Any:
        ends = None if is_handle(other) else decoys.far(other)
        if ends is None:
            return self._ask(owner, name, other)
        answer, said = None, []
        for value in decoys.shuffled([_Real(other), *ends]):
            if type(value) is _Real:
                answer = self._ask(owner, name, other)
                if answer is NotImplemented:
                    return answer
            else:
                said.append(self._says(self._quiet(owner, name, value)))
        if self._truth(answer) and all(s is True for s in said):
            self._lie(owner, "is below and above everything")
        self._check_shadows(owner, name, other, True if self._truth(answer) else None)
        return answer

    def _arithmetic(self, owner: Any, name: str, operand: Any) -> Any:
        shadows, value = [], None
        for number in decoys.shuffled([_Real(operand), *decoys.operand_decoys(operand)]):
            if type(number) is _Real:
                value = self._ask(owner, name, operand)
            else:
                shadows.append(self._quiet(owner, name, number))
        inherited = _shadows(owner)
        if inherited is not None:
            shadows += [self._quiet(s, name, operand) for s in inherited]
        if value is not NotImplemented:
            self._shade(value, shadows, name)
        return value

    def _shade(self, value: Any, shadows: list[Any], name: str) -> None:
        """Lets a result remember what decoys would have given; a plain one is compared at once."""
        if issubclass(type(value), Handle):
            set_shadows(value, shadows)
        real, others = _carried(value), [_carried(s) for s in shadows]
        telling = name in _SENSITIVE or name not in _ARITHMETIC
        if name in _SCALING:  # nothing scaled stays nothing
            telling = decoys.is_operand(real) and bool(real)
        if telling and decoys.alike(others, real):
            self._tampered("an object of the candidate gives the same result whatever is asked")

    def _check_shadows(self, owner: Any, name: str, other: Any, positive: bool | None) -> None:
        shadows = _shadows(owner)
        if not shadows or positive is None:
            return
        if all(self._says(self._quiet(s, name, other)) is positive for s in shadows):
            self._lie(owner, "gives the same result whatever is asked")

    def _truth(self, value: Any) -> bool:
        return bool(value)

    def _says(self, value: Any) -> bool | None:
        if value is None or value is NotImplemented:
            return None
        try:
            return bool(value)
        except Exception:
            return None

    def _show(self, value: Any) -> str:
        return "the value of the candidate's own" if is_handle(value) else f"{value!r:.60}"

    def _lie(self, owner: Any, what: str) -> NoReturn:
        self._tampered(f"an object of the candidate's class {type(owner).__name__!r} {what}")


def _carried(value: Any) -> Any:
    """The number that an instance of a subclass of a number carries; other values as they are."""
    if issubclass(type(value), Handle) and type(value)._plum_info.payload is not None:
        return payload_of(value)
    return value


def _shadows(owner: Any) -> Any:
    return shadows_of(owner) if issubclass(type(owner), Handle) else None


class _Real:
    """Marks the real value among decoys."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def redirect_library(peer: JudgePeer, imports: frozenset[str]) -> None:
    """Makes functions that look into an object run where the object lives.

    imports: modules that the suite uses.
    """
    for module, functions in _LIBRARY.items():
        loaded = sys.modules.get(module) if module in imports else None
        for name in functions if loaded is not None else ():
            setattr(loaded, name, _redirected(peer, module, name, getattr(loaded, name)))
    if "random" in imports:
        _mirror_seed(peer)
    if "sys" in imports:
        _mirror_limit(peer)


def _mirror_seed(peer: JudgePeer) -> None:
    seed = random.seed

    def mirrored_seed(a: Any = None, version: int = 2) -> None:
        seed(a, version)
        peer.request("seed", a, version)

    random.seed = mirrored_seed


def _mirror_limit(peer: JudgePeer) -> None:
    limit = sys.setrecursionlimit

    def mirrored_limit(n: int, /) -> None:
        limit(n)
        peer.request("recursion limit", n)

    sys.setrecursionlimit = mirrored_limit


def _redirected(peer: JudgePeer, module: str, name: str, real: Any) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        if args and (is_handle(args[0]) or type(args[0]).__name__ == "RemoteMethod"):
            return peer.request("library", module, name, args, kwargs)
        return real(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__module__ = module
    function.__wrapped__ = real  # type: ignore[attr-defined]
    return function


_LIBRARY: dict[str, tuple[str, ...]] = {
    "inspect": (
        "getsource",
        "getsourcelines",
        "getdoc",
        "getmembers",
        "isfunction",
        "ismethod",
        "isgeneratorfunction",
        "iscoroutinefunction",
        "isasyncgenfunction",
        "isabstract",
        "getfullargspec",
    ),
    "asyncio": ("iscoroutinefunction",),
    "dataclasses": ("asdict", "astuple", "replace", "is_dataclass", "fields"),
    "typing": ("get_type_hints",),
}
