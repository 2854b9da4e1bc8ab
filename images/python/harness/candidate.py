"""The candidate's process: loads the solution, then does what the judge asks.

It never holds the suite, an expected value or the verdict. What it says is
evidence: everything here is in the candidate's reach.
"""

from __future__ import annotations

import _random
import builtins
import importlib
import io
import linecache
import os
import random
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

from . import names
from .channel import Channel, ChannelClosed
from .peer import Peer
from .recursion import count_from_here
from .wire import COMPILED, LOADED, NOT_COMPILED, NOT_LOADED

#: Bits of a request's context: streams of the judge that the suite has replaced.
CAPTURE_STDOUT, CAPTURE_STDERR = 1, 2
#: The same, of streams that have bytes below.
STDOUT_HAS_BYTES, STDERR_HAS_BYTES = 4, 8

_CHUNK_BYTES = 1 << 16
#: Our frames between `serve` and what a request of the judge calls.
_FRAMES_OF_A_REQUEST = 7
_BUILTIN_NAMES = frozenset(vars(builtins))


def main(channel_fd: int, solution_fd: int) -> int:
    """Entry of the role where the suite runs in the judge's process."""
    return serve(channel_fd, solution_fd, converse)


def converse(channel: Channel, module: types.ModuleType) -> None:
    """Does what the judge asks until it is gone."""
    peer = CandidatePeer(channel, module)
    while True:
        peer.serve_one()


def serve(
    channel_fd: int, solution_fd: int, converse: Callable[[Channel, types.ModuleType], None]
) -> int:
    """Loads the solution and hands over to `converse`, until the stage ends."""
    reseed()
    count_from_here(_FRAMES_OF_A_REQUEST)
    channel = Channel(channel_fd)
    # A child forked by the candidate has no part in the conversation.
    os.register_at_fork(after_in_child=channel.close)
    status = 70
    try:
        module = load(channel, read_all(solution_fd))
        if module is not None:
            converse(channel, module)
    except ChannelClosed:
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        # Not an ordinary exit: threads and exit handlers of the candidate have no say.
        flush()
        os._exit(status)


def reseed() -> None:
    """Seeds the generator of `random` anew, as Python does in a forked process."""
    # Below the method of the standard library, which touches forty pages.
    _random.Random.seed(random._inst)


def read_all(fd: int) -> bytes:
    """Everything that `fd` reads as; closes it."""
    parts = []
    while part := os.read(fd, _CHUNK_BYTES):
        parts.append(part)
    os.close(fd)
    return b"".join(parts)


def open_streams() -> None:
    """Makes text streams of the descriptors 0, 1 and 2, as Python does at its start, for every
    role that is forked later."""
    for fd, name, mode, errors in (
        (0, "stdin", "r", "strict"),
        (1, "stdout", "w", "strict"),
        (2, "stderr", "w", "backslashreplace"),
    ):
        raw: Any = io.FileIO(fd, mode, closefd=False)
        raw.name = f"<{name}>"
        buffer: Any = io.BufferedReader(raw) if mode == "r" else io.BufferedWriter(raw)
        stream: Any = io.TextIOWrapper(buffer, "utf-8", errors)
        stream.mode = mode
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def flush() -> None:
    """Writes out what the standard streams still hold."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            continue


def load(channel: Channel, data: bytes, *, in_its_file: bool = False) -> types.ModuleType | None:
    """Compiles and runs the solution as the module ``solution``, telling the judge how far it got.

    in_its_file: whether others may look for its file, too. It is made for few: a folder that was
        written to costs the next execution two mounts.

    Returns None where it did not load.
    """
    path = f"{os.getcwd()}/solution.py"
    try:
        source = data.decode("utf-8")
        code = compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as e:
        channel.send(NOT_COMPILED + describe(e, path).encode("utf-8", "replace"))
        return None
    channel.send(COMPILED)
    if in_its_file or "__file__" in source:
        _write(path, data)
    module = make_module("solution", path, source)
    sys.modules["solution"] = module
    sys.argv = [path]
    try:
        exec(code, module.__dict__)
    except BaseException as e:
        flush()
        text = describe(e, path).encode("utf-8", "replace")
        channel.send(NOT_LOADED + (b"M" if isinstance(e, MemoryError) else b" ") + text[:4096])
        return None
    flush()
    overridden = [n for n in module.__dict__ if n in _BUILTIN_NAMES and n[:2] != "__"]
    channel.send(LOADED + " ".join(overridden).encode("utf-8", "replace"))
    return module


def _write(path: str, data: bytes) -> None:
    try:
        with open(path, "wb") as file:
            file.write(data)
    except OSError:  # more than the limit on files
        return


def make_module(name: str, path: str, source: str) -> types.ModuleType:
    """An empty module whose source tracebacks and `inspect` find."""
    module = types.ModuleType(name)
    module.__file__ = path
    # Split into lines when somebody asks for them.
    linecache.cache[path] = (lambda: source,)
    return module


def describe(error: BaseException, path: str) -> str:
    """One line for people: the exception, and where in the file it came from."""
    try:
        text = str(error)
    except Exception:
        text = "(its text cannot be had)"
    where = line_of(error, path)
    place = f" ({os.path.basename(path)}:{where})" if where else ""
    if isinstance(error, SyntaxError):
        text = str(error.msg)
        place = f" ({os.path.basename(path)}:{error.lineno})"
    return f"{type(error).__name__}: {text}{place}".replace("\n", " ")[:2048]


def line_of(error: BaseException, path: str) -> int:
    """The innermost line of `path` in the traceback of `error`; 0 where there is none."""
    found, at = 0, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == path:
            found = at.tb_lineno
        at = at.tb_next
    return found


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
