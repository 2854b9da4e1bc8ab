"""The candidate's process: loads the solution, then does what the judge asks.

It never holds the suite, an expected value or the verdict. What it says is
evidence: everything here is in the candidate's reach.
"""

from __future__ import annotations

import builtins
import importlib
import io
import linecache
import random
import sys
import types
from typing import Any

from . import names
from .channel import Channel
from .loading import flush, line_of, serve
from .peer import Peer

#: Bits of a request's context: streams of the judge that the suite has replaced.
CAPTURE_STDOUT, CAPTURE_STDERR = 1, 2
#: The same, of streams that have bytes below.
STDOUT_HAS_BYTES, STDERR_HAS_BYTES = 4, 8


def main(channel_fd: int, solution_fd: int) -> int:
    """Entry of the role where the suite runs in the judge's process."""
    return serve(channel_fd, solution_fd, converse)


def converse(channel: Channel, module: types.ModuleType) -> None:
    """Does what the judge asks until it is gone."""
    peer = CandidatePeer(channel, module)
    while True:
        peer.serve_one()


class _Captured(io.StringIO):
    """Takes the place of a stream that the suite has replaced on its side."""

    #: Where the stream of the suite has one.
    buffer: Any

    def take(self) -> str:
        """What was written since the last time."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        return text

    def take_bytes_too(self, wanted: bool) -> None:
        """Whether there is a `buffer`, as a stream over bytes has one."""
        if wanted:
            self.buffer = _Bytes(self)
        else:
            vars(self).pop("buffer", None)


class _Bytes(io.BufferedIOBase):
    """What is below a stream of text: its bytes stand where they were written."""

    def __init__(self, text: io.StringIO) -> None:
        super().__init__()
        self._text = text

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, data: Any, /) -> int:
        """Takes bytes of UTF-8."""
        given = bytes(data)
        self._text.write(given.decode("utf-8", "surrogateescape"))
        return len(given)


class CandidatePeer(Peer):
    """The candidate's side of the conversation."""

    def __init__(self, channel: Channel, module: types.ModuleType) -> None:
        super().__init__(channel, first_container=1)
        self._module = module
        self._path = str(module.__file__)
        self._settled = "global " not in "".join(linecache.getlines(self._path))
        self._streams = (sys.stdout, sys.stderr)
        self._captured = (_Captured(), _Captured())
        self._capturing = 0
        self._originals = {name: getattr(builtins, name) for name in ("input", "print", "open")}
        self._original_stdin, self._original_argv = sys.stdin, sys.argv
        self._operations.update(
            {
                "global": self._global,
                "names": self._names,
                "module": lambda: _AsModule(module),
                "has": lambda name: name in module.__dict__,
                "environment": self._environment,
                "seed": random.seed,
                "recursion limit": sys.setrecursionlimit,
                "int digits": sys.set_int_max_str_digits,
                "library": _library,
            }
        )

    def enter_context(self, context: Any) -> None:
        """Sends to the judge what goes to streams that the suite has replaced."""
        if context == self._capturing:
            return
        changed, self._capturing = self._capturing ^ context, context
        if changed & CAPTURE_STDOUT:
            sys.stdout = self._captured[0] if context & CAPTURE_STDOUT else self._streams[0]
        if changed & CAPTURE_STDERR:
            sys.stderr = self._captured[1] if context & CAPTURE_STDERR else self._streams[1]
        self._captured[0].take_bytes_too(bool(context & STDOUT_HAS_BYTES))
        self._captured[1].take_bytes_too(bool(context & STDERR_HAS_BYTES))

    def spoken(self) -> Any:
        """Text for the suite's own streams; what goes to the real ones is written out now."""
        flush()
        if not self._capturing:
            return None
        out, err = self._captured[0].take(), self._captured[1].take()
        return (out, err) if out or err else None

    def may_name(self, module: str, qualname: str) -> bool:
        """The judge accepts only harmless names."""
        return names.accept(module, qualname) is not None

    def accept_name(self, module: str, qualname: str) -> Any:
        """The judge may name anything of the standard library."""
        if module not in ("", "builtins") and module not in sys.modules:
            importlib.import_module(module)
        return names.find(module, qualname)

    def accept_class(self, module: str, qualname: str) -> type | None:
        """As by name."""
        found = self.accept_name(module, qualname)
        return found if isinstance(found, type) else None

    def origin_of(self, error: BaseException) -> str:
        """Line of the solution that raised it."""
        line = line_of(error, self._path)
        return f"solution.py:{line}" if line else ""

    def _global(self, name: str) -> tuple[bool, Any, bool]:
        """Whether there is one, its value, and whether that stays."""
        if name in self._module.__dict__:
            return True, self._module.__dict__[name], self._settled
        return False, None, False

    def _names(self) -> list[str]:
        return [n for n in self._module.__dict__ if type(n) is str and n[:2] != "__"]

    def _environment(self, name: str, value: Any) -> None:
        """Follows a change that the suite made to a builtin, standard input or the arguments."""
        if name == "stdin":
            sys.stdin = self._original_stdin if value is None else value
        elif name == "argv":
            sys.argv = self._original_argv if value is None else value
        elif name in self._originals:
            setattr(builtins, name, self._originals[name] if value is None else value)


class _AsModule:
    """The solution's module, as the suite sees it after ``import solution``."""

    def __init__(self, module: types.ModuleType) -> None:
        object.__setattr__(self, "_module", module)

    def __getattr__(self, name: str) -> Any:
        module = object.__getattribute__(self, "_module")
        if name == "__all__" and "__all__" not in module.__dict__:
            return [n for n in module.__dict__ if type(n) is str and n[:1] != "_"]
        return getattr(module, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(object.__getattribute__(self, "_module"), name, value)

    def __delattr__(self, name: str) -> None:
        delattr(object.__getattribute__(self, "_module"), name)


def _library(module: str, function: str, args: Any, kwargs: Any) -> Any:
    """A function of the standard library that must run where its argument lives."""
    return getattr(importlib.import_module(module), function)(*args, **dict(kwargs))
