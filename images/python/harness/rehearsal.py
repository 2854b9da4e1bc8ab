"""Does what every candidate's process does, before the first fork.

An interpreter adapts code that has run a few times, and remembers what it has
looked up. A forked process lives too short for that, and each look-up costs it
pages to copy; so it inherits what was learned here.
"""

from __future__ import annotations

import marshal
import os
import socket
import sys

from . import candidate
from .calls import answerer
from .channel import Channel, ChannelClosed

#: Python adapts what has run eight times, some of it a little later.
_TIMES = 24
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


def rehearse() -> None:
    """Loads a solution and answers calls, again and again. Leaves nothing behind."""
    argv = sys.argv
    try:
        for _ in range(_TIMES):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                for request in _REQUESTS:
                    body = marshal.dumps(request)
                    ours.sendall(len(body).to_bytes(4, "little") + body)
                ours.shutdown(socket.SHUT_WR)
                _perform(Channel(theirs.fileno()))
    finally:
        sys.argv = argv
        del sys.modules["solution"]


def _perform(channel: Channel) -> None:
    reading, writing = os.pipe()
    os.write(writing, _SOLUTION)
    os.close(writing)
    candidate.reseed()
    module = candidate.load(channel, candidate.read_all(reading))
    assert module is not None
    try:
        answerer.answer_calls(channel, module)
    except ChannelClosed:
        candidate.flush()
