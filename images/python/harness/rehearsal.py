"""Does what every candidate's process does, before the first fork.

An interpreter adapts code that has run a few times, and remembers what it has
looked up. A forked process lives too short for that, and each look-up costs it
pages to copy; so it inherits what was learned here.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable
from typing import TypeAlias

from . import candidate, judge, prepared
from .calls.rehearsal import TIMES, load_example, rehearse_calls
from .channel import Channel, ChannelClosed, PinnedChannel, pair
from .loading import flush
from .suite import read_suite

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
        rehearse_calls()
        _opposite(_play_judges, _play_candidates)
        _opposite(_play_candidates, _play_judges)
    finally:
        sys.argv = argv
        sys.modules.pop("solution", None)


def _opposite(theirs: _Part, ours: _Part) -> None:
    """Plays `ours` here, against a process of its own that plays `theirs`.

    Each gets one end of as many connections as there are rounds.
    """
    pairs = [pair() for _ in range(TIMES)]
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
                candidate.converse(channel, load_example(channel))
            flush()


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
