"""The candidate's process where the suite is a table: loads the solution, answers calls.

What it says is evidence: everything here is in the candidate's reach.
"""

from __future__ import annotations

import marshal
import types
from typing import Any

from ..channel import Channel
from ..loading import flush, line_of, serve
from ..wire import ANSWER, MISSING, NOT_FLAT, RAISED
from . import flat


def main(channel_fd: int, solution_fd: int) -> int:
    """Entry of the role. Serves until the stage ends."""
    return serve(channel_fd, solution_fd, answer_calls)


def answer_calls(channel: Channel, module: types.ModuleType) -> None:
    """Answers until the other side is gone."""
    while True:
        # The supervisor's own words: the candidate has no way to write them.
        name, arguments, named = marshal.loads(channel.receive())
        channel.send(_answer(module, name, arguments, named))


def _answer(module: types.ModuleType, name: str, arguments: list[Any], named: Any) -> bytes:
    if name not in module.__dict__:
        return MISSING
    try:
        value = module.__dict__[name](*arguments, **named)
    except BaseException as e:
        return _exception(e, str(module.__file__))
    finally:
        flush()
    data = flat.encode(value)
    return NOT_FLAT if data is None else ANSWER + data


def _exception(error: BaseException, path: str) -> bytes:
    if type(error).__module__ != "builtins":
        return NOT_FLAT
    try:
        text = str(error)[:2048]
    except Exception:
        text = ""
    line = line_of(error, path)
    data = flat.encode((type(error).__name__, text, f"solution.py:{line}" if line else ""))
    return NOT_FLAT if data is None else RAISED + data
