"""Loads the solution in the candidate's process, and says how far that got.

Everything here is in the candidate's reach.
"""

from __future__ import annotations

import builtins
import io
import linecache
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from .channel import Channel, ChannelClosed
from .recursion import count_from_here
from .wire import COMPILED, LOADED, NOT_COMPILED, NOT_LOADED

_CHUNK_BYTES = 1 << 16
#: Our frames between `serve` and what a request of the judge calls.
_FRAMES_OF_A_REQUEST = 7
_BUILTIN_NAMES = frozenset(vars(builtins))


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
        import traceback

        traceback.print_exc()
    finally:
        # Not an ordinary exit: threads and exit handlers of the candidate have no say.
        flush()
        os._exit(status)


def reseed() -> None:
    """Seeds the generator of `random` anew, as Python does in a forked process."""
    loaded: Any = sys.modules.get("random")
    if loaded is not None:
        # Below the method of the standard library, which touches forty pages.
        loaded._random.Random.seed(loaded._inst)


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
