"""The judge's side of the conversation.

What the candidate may see of the suite's objects is bounded, and what it says is checked
(`truth`).
"""

from __future__ import annotations

import builtins
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from . import names
from .candidate import CAPTURE_STDERR, CAPTURE_STDOUT, STDERR_HAS_BYTES, STDOUT_HAS_BYTES
from .channel import ChannelClosed, PinnedChannel, ProtocolBreach
from .handles import FORWARDED
from .truth import DoubtingPeer

_BUILTINS = vars(builtins)
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
    "__origin__",  # with the next, what `List[int]` is made of
    "__args__",
    "send",
    "throw",
    "close",
    "asend",
    "athrow",
    "aclose",
}


#: What gives a mock other attributes, its assertions among them.
_MOCK_SETUP = frozenset(["configure_mock", "attach_mock", "mock_add_spec", "reset_mock"])
#: Operations that end by raising StopIteration, as iterators do.
_ITERATION = frozenset(["__next__", "send", "throw", "__anext__", "asend", "athrow"])


class JudgePeer(DoubtingPeer):
    """Talks to the candidate. Its death and its lies end the run through `ended` and `tampered`."""

    asks_classes = True
    keeps_exceptions = True

    def __init__(
        self,
        channel: PinnedChannel,
        *,
        ended: Callable[[str], NoReturn],
        tampered: Callable[[str], NoReturn],
        at_line: Callable[[], str],
        suite_knows_stop: bool,
    ) -> None:
        super().__init__(channel, tampered, at_line)
        self._ended = ended
        self._suite_knows_stop = suite_knows_stop
        #: Where exceptions of the candidate came from, by identity.
        self.origins: dict[int, tuple[BaseException, str]] = {}
        self._stdout, self._stderr, self._stdin = sys.stdout, sys.stderr, sys.stdin
        self._argv = sys.argv
        self._patchable = {n: getattr(builtins, n) for n in ("input", "print", "open")}
        self._told: dict[str, Any] = {}
        #: The suite's globals: what it calls `input` there, it means for both.
        self.namespace: dict[str, Any] = {}
        self.impatient = False

    def request(self, operation: str, *args: Any) -> Any:
        """As the base class; first the candidate learns of patched builtins and streams."""
        self._tell_environment()
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
        """Runs a call-back, on what the candidate was given."""
        if args and type(args[0]) is not int and not self._is_handed_out(args[0]):
            # Its own values and standard objects a candidate deals with by itself. Here they
            # would be tools: what runs code, or tells what it sees of the suite.
            raise ProtocolBreach("asked for something with what is not the suite's")
        return super().carry_out(handler, args)

    def _is_handed_out(self, owner: Any) -> bool:
        """Whether it is the suite's and was handed to the candidate; or a method of such."""
        kind = type(owner)
        if kind is types.MethodType or kind is types.BuiltinMethodType:
            return self.links.is_exported(owner) or self.links.is_exported(owner.__self__)
        return self.links.is_exported(owner)

    def context(self) -> int:
        """Which streams the suite has replaced."""
        sys.stdout.flush()
        replaced = 0
        if sys.stdout is not self._stdout:
            replaced |= CAPTURE_STDOUT | (STDOUT_HAS_BYTES if _has_bytes(sys.stdout) else 0)
        if sys.stderr is not self._stderr:
            replaced |= CAPTURE_STDERR | (STDERR_HAS_BYTES if _has_bytes(sys.stderr) else 0)
        return replaced

    def heard(self, spoken: Any) -> None:
        """Writes what the candidate printed to the suite's own streams."""
        if type(spoken) is not tuple or len(spoken) != 2:
            raise ProtocolBreach("malformed message: printed what is no text")
        for stream, text in zip((sys.stdout, sys.stderr), spoken, strict=True):
            if type(text) is not str:
                raise ProtocolBreach("malformed message: printed what is no text")
            if text and not self.asks_decoy:
                stream.write(text)
                if _has_bytes(stream):
                    stream.flush()  # what was written below the text is there at once

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
        elif kind.__module__ == "unittest.mock" and name in _MOCK_SETUP:
            allowed = False
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
        if not self._told and self._is_as_it_was():
            return
        for name, original in self._patchable.items():
            self._tell(name, self._now(name), original)
        self._tell("stdin", sys.stdin, self._stdin)
        self._tell("argv", sys.argv, self._argv)

    def _is_as_it_was(self) -> bool:
        for name, original in self._patchable.items():
            if self._now(name) is not original:
                return False
        return sys.stdin is self._stdin and sys.argv is self._argv

    def _now(self, name: str) -> Any:
        return self.namespace[name] if name in self.namespace else _BUILTINS.get(name)

    def _tell(self, name: str, now: Any, original: Any) -> None:
        told = self._told.get(name, original)
        if now is not told:
            self._told[name] = now
            super().request("environment", name, None if now is original else now)


def _has_bytes(stream: Any) -> bool:
    """Whether there are bytes below this stream of the suite's."""
    return hasattr(stream, "buffer")
