"""Does what a process that answers calls does, before the first fork.

An interpreter adapts code that has run a few times, and remembers what it has
looked up. A forked process lives too short for that, and each look-up costs it
pages to copy; so it inherits what was learned here.
"""

from __future__ import annotations

import marshal
import os
import sys
import types
from _socket import SHUT_WR, socketpair

from .. import loading
from ..channel import Channel, ChannelClosed
from . import answerer

#: Python adapts what has run eight times, some of it a little later.
TIMES = 24
_SOLUTION = b'''
from typing import List

LIMIT = 3


class Pair:
    """Two numbers."""

    def __init__(self, a: int, b: int) -> None:
        self.numbers = [a, b]


def add(a: int, b: int) -> int:
    """Their sum."""
    total, seen = 0, {}
    for i, number in enumerate(Pair(a, b).numbers):
        if number not in seen and i < LIMIT:
            seen[number] = [x for x in range(2)]
        total += number
    return total


def words(text: str) -> List[str]:
    try:
        return sorted(w.lower() for w in text.split() if w != "")
    except ValueError as e:
        raise TypeError(f"no text: {e}") from None
'''
_REQUESTS: list[tuple[str, list[int | float | str], dict[str, int]]] = [
    ("add", [1, 2], {}),
    ("words", ["b a"], {}),
    ("add", [1.5, -2], {}),
]


def rehearse_calls() -> None:
    """Answers calls of a solution, again and again. Leaves nothing behind."""
    argv = sys.argv
    try:
        for _ in range(TIMES):
            _answer_calls()
    finally:
        sys.argv = argv
        sys.modules.pop("solution", None)


def load_example(channel: Channel) -> types.ModuleType:
    """A solution, loaded as any is."""
    reading, writing = os.pipe()
    os.write(writing, _SOLUTION)
    os.close(writing)
    loading.reseed()
    module = loading.load(channel, loading.read_all(reading))
    assert module is not None
    return module


def _answer_calls() -> None:
    ours, theirs = socketpair()
    for request in _REQUESTS:
        body = marshal.dumps(request)
        ours.send(len(body).to_bytes(4, "little") + body)
    ours.shutdown(SHUT_WR)
    channel = Channel(theirs.fileno())
    try:
        answerer.answer_calls(channel, load_example(channel))
    except ChannelClosed:
        loading.flush()
    finally:
        ours.close()
        theirs.close()
