"""Does what every candidate's process does, before the first fork.

An interpreter adapts code that has run a few times, and remembers what it has
looked up. A forked process lives too short for that, and each look-up costs it
pages to copy; so it inherits what was learned here.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import socket
import sys
import types
from collections.abc import Callable
from typing import TypeAlias

from . import candidate, judge, prepared
from .calls import answerer
from .channel import Channel, ChannelClosed, PinnedChannel, pair
from .suite import read_suite

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


_SUITE = """
import math

CASES = [(1, 2), (3, 4)]


def check(candidate):
    for a, b in CASES:
        assert candidate(a, b) == a + b, f"{a} and {b}"
    assert abs(candidate(1.5, -2) + 0.5) < 1e-6


check(add)
assert words("b a") == ["a", "b"]
assert Pair(1, 2).numbers == [1, 2] and not math.isnan(add(1, 2))
"""

_Part: TypeAlias = Callable[[list[socket.socket]], None]


def rehearse() -> None:
    """Plays every role with a solution and a suite, again and again. Leaves nothing behind."""
    argv = sys.argv
    try:
        for _ in range(_TIMES):
            _answer_calls()
        _opposite(_play_judges, _play_candidates)
        _opposite(_play_candidates, _play_judges)
    finally:
        sys.argv = argv
        sys.modules.pop("solution", None)


def _answer_calls() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for request in _REQUESTS:
            body = marshal.dumps(request)
            ours.sendall(len(body).to_bytes(4, "little") + body)
        ours.shutdown(socket.SHUT_WR)
        channel = Channel(theirs.fileno())
        with contextlib.suppress(ChannelClosed):
            answerer.answer_calls(channel, _load(channel))
        candidate.flush()


def _load(channel: Channel) -> types.ModuleType:
    reading, writing = os.pipe()
    os.write(writing, _SOLUTION)
    os.close(writing)
    candidate.reseed()
    module = candidate.load(channel, candidate.read_all(reading))
    assert module is not None
    return module


def _opposite(theirs: _Part, ours: _Part) -> None:
    """Plays `ours` here, against a process of its own that plays `theirs`.

    Each gets one end of as many connections as there are rounds.
    """
    pairs = [pair() for _ in range(_TIMES)]
    judges, candidates = [p[0] for p in pairs], [p[1] for p in pairs]
    ends = (judges, candidates) if ours is _play_judges else (candidates, judges)
    pid = os.fork()
    part, (mine, others) = (theirs, ends[::-1]) if pid == 0 else (ours, ends)
    try:
        for other in others:
            other.close()
        part(mine)
    finally:
        if pid == 0:
            os._exit(0)
    with contextlib.suppress(ChildProcessError):  # where the kernel reaps for this process
        os.waitpid(pid, 0)


def _play_candidates(ends: list[socket.socket]) -> None:
    for end in ends:
        with end:
            channel = Channel(end.fileno())
            with contextlib.suppress(ChannelClosed):
                candidate.converse(channel, _load(channel))
            candidate.flush()


def _play_judges(ends: list[socket.socket]) -> None:
    code = prepared.split(prepared.announce(read_suite(_SUITE)))[0]
    with open(os.devnull, "wb") as null:
        for end in ends:
            report = judge.Report(null.fileno())
            channel = PinnedChannel(end)
            suite = prepared.restore(_SUITE, code)
            run = judge.Run(channel, report, suite, judge.await_load(channel, report))
            verdict, message = run.outcome_in(run.main_module().__dict__)
            channel.close()
            assert verdict == "PASSED", message
