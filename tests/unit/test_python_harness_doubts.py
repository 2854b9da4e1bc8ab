"""Doubt of what a candidate's objects say: chance makes no liar of an honest one.

Each question is asked dozens of times, with new decoys every time, over a real conversation.
"""

from __future__ import annotations

import contextlib
import os
import string
import types
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import pytest

from images.python.harness import candidate, chance
from images.python.harness.channel import Channel, ChannelClosed, PinnedChannel, pair
from images.python.harness.judge_peer import JudgePeer

_ROUNDS = 24
_LIARS_ROUNDS = 10

HONEST = '''
class Bag(set): pass
class Items(list): pass
class Text(str): pass
class Table(dict): pass
class Whole(int): pass
class Real(float): pass
class Mod:
    def __init__(self, v, m): self.m, self.v = m, v % m
    def __add__(self, o): return Mod(self.v + o, self.m)
    def __sub__(self, o): return Mod(self.v - o, self.m)
    def __eq__(self, o): return self.v == o % self.m
class Level:
    """A number from 0 to 255."""
    def __init__(self, v): self.v = max(0, min(255, v))
    def __add__(self, o): return Level(self.v + o)
    def __sub__(self, o): return Level(self.v - o)
    def __mul__(self, o): return Level(self.v * o)
    def __truediv__(self, o): return Level(self.v // o)
    def __eq__(self, o): return self.v == o
    def __lt__(self, o): return self.v < o
    def __gt__(self, o): return self.v > o
class Near:
    def __init__(self, v, part): self.v, self.part = v, part
    def __eq__(self, o): return abs(self.v - o) <= abs(self.v) * self.part
class Unordered(str):
    def __eq__(self, o): return sorted(self.lower()) == sorted(o.lower())
    __hash__ = None
class Magnitude:
    def __init__(self, v): self.v = abs(v)
    def __eq__(self, o): return self.v == abs(o)
class Infinity:
    def __gt__(self, o): return True
    def __ge__(self, o): return True
    def __lt__(self, o): return False
    def __le__(self, o): return False
    def __sub__(self, o): return self
class Interval:
    def __init__(self, low, high): self.low, self.high = low, high
    def __contains__(self, x): return self.low <= x <= self.high
class Primes:
    def __contains__(self, n):
        return n > 1 and all(n % d for d in range(2, int(n ** 0.5) + 1))
class Prefixes:
    def __init__(self, letters): self.letters = letters
    def startswith(self, p): return len(p) <= 1 and p in self.letters
'''

#: What to make, and what is true of it.
QUESTIONS: list[tuple[str, tuple[Any, ...], Callable[[Any], Any]]] = [
    ("Bag", ({1},), lambda x: x.issubset({1, 2})),
    ("Bag", ({50},), lambda x: x.issubset(range(100))),
    ("Bag", ((),), lambda x: x.issubset({1}) and x.isdisjoint([2]) and x <= {3}),
    ("Bag", (range(100),), lambda x: 5 in x and x.issuperset({50, 60}) and x >= {7} and x > {8}),
    ("Bag", (range(9000),), lambda x: 70 in x and not {3, 4} - x),
    ("Bag", ({1, 2},), lambda x: x == {1, 2} and x ^ {1, 2} == set() and x.isdisjoint({100})),
    ("Items", (string.ascii_letters,), lambda x: "a" in x and x == list(string.ascii_letters)),
    ("Items", ([*range(200)],), lambda x: 7 in x and x[:3] == [0, 1, 2]),
    ("Items", ([(i, j) for i in range(20) for j in range(20)],), lambda x: (1, 2) in x),
    ("Table", (dict.fromkeys(string.ascii_lowercase, 1),), lambda x: "q" in x and x["q"] == 1),
    ("Text", (string.ascii_letters,), lambda x: "a" in x and x[-1] > "B" and x.startswith("a")),
    ("Text", ("".join(map(str, range(1000))),), lambda x: "123" in x and x.endswith("9")),
    ("Text", ("abc",), lambda x: x.startswith("") and x.startswith(("a", "z")) and x == "abc"),
    ("Prefixes", (string.printable,), lambda x: x.startswith("a") and x.startswith("")),
    ("Whole", (5,), lambda x: x - 5 == 0 and x < 6 and x > 4 and x == 5 and x ^ 5 == 0),
    ("Real", (0.0,), lambda x: x / 3 == 0 and abs(x - 0.0) < 1e-9 and x < 1),
    ("Mod", (5, 7), lambda x: x == 12 and x == -2 and x + 4 == 2 and x - 5 == 0),
    ("Mod", (100, 360), lambda x: x == 460 and x == 100 and x - 100 == 0 and x == 1180),
    ("Mod", (3, 24), lambda x: x == 27 and x == 51 and x + 24 == 3),
    ("Mod", (1, 2), lambda x: x == 1 and x - 1 == 0 and x + 1 == 0 and x - 2 == 1),
    ("Mod", (3, 1), lambda x: x == 0 and x + 5 == 0),
    ("Level", (250,), lambda x: x + 100 == 255 and x - 300 == 0 and x * 2 == 255 and x > 249),
    ("Level", (0,), lambda x: x / 5 == 0 and x * 9 == 0 and x - 4 == 0 and x < 1),
    ("Near", (1000, 0.05), lambda x: x == 1049 and x == 951.0),
    ("Near", (0.3, 1e-6), lambda x: x == 0.1 + 0.2),
    ("Unordered", ("Listen",), lambda x: x == "silent"),
    ("Unordered", ("ab",), lambda x: x == "ba"),
    ("Magnitude", (-1,), lambda x: x == -1 and x == 1),
    ("Infinity", (), lambda x: x > 10**100 and x >= "x" and x > 5 and x - 3 > 10**6),
    ("Interval", (-(10**15), 10**15), lambda x: 5 in x and 5.5 in x),
    ("Interval", ("a", "z"), lambda x: "b" in x),
    ("Primes", (), lambda x: 7 in x and 2 in x),
]

LIARS = """
class Equal:
    def __eq__(self, o): return True
class Integer:
    def __eq__(self, o): return type(o) is int
class Pair:
    def __eq__(self, o): return len(o) == 2
class Above:
    def __gt__(self, o): return True
    def __lt__(self, o): return True
class Nothing:
    def __sub__(self, o): return 0
    def __xor__(self, o): return set()
class Holds:
    def __contains__(self, o): return True
class Starts(str):
    def startswith(self, p): return True
class Superset(set):
    def issuperset(self, o): return True
    def __ge__(self, o): return True
class Subset(set):
    def issubset(self, o): return True
"""
LIES: list[tuple[str, tuple[Any, ...], Callable[[Any], Any]]] = [
    ("Equal", (), lambda x: x == 3),
    ("Equal", (), lambda x: x == "abc"),
    ("Equal", (), lambda x: x == [1, 2]),
    ("Integer", (), lambda x: x == 3),
    ("Integer", (), lambda x: x == 1200),
    ("Pair", (), lambda x: x == (1, 2)),
    ("Above", (), lambda x: 2.9 < x < 3.1),
    ("Above", (), lambda x: x > "abc"),
    ("Nothing", (), lambda x: abs(x - 3.14) < 1e-6),
    ("Nothing", (), lambda x: not x ^ {1, 2}),
    ("Holds", (), lambda x: 3 in x),
    ("Holds", (), lambda x: "abc" in x),
    ("Starts", (), lambda x: x.startswith("abc")),
    ("Superset", (), lambda x: x.issuperset({1, 2})),
    ("Superset", (), lambda x: x >= {1, 2}),
    ("Subset", ({9},), lambda x: x.issubset({1, 2})),
]


class LieError(Exception):
    """What an object said was called a lie."""


def _called_a_lie(what: str) -> NoReturn:
    raise LieError(what)


@contextlib.contextmanager
def _conversation(solution: str, seed: int = 0) -> Iterator[JudgePeer]:
    """A judge's peer that talks with a process in which `solution` runs. seed: of its decoys."""
    ours, theirs = pair()
    pid = os.fork()
    if pid == 0:
        ours.close()
        module = types.ModuleType("solution")
        module.__file__ = "solution.py"
        with contextlib.suppress(ChannelClosed):
            exec(solution, module.__dict__)
            candidate.converse(Channel(theirs.fileno()), module)
        os._exit(0)
    theirs.close()
    chance.generator.seed(seed)
    peer = JudgePeer(
        PinnedChannel(ours),
        ended=_called_a_lie,
        tampered=_called_a_lie,
        at_line=lambda: "",
        suite_knows_stop=False,
    )
    try:
        yield peer
    finally:
        peer.channel.close()
        os.waitpid(pid, 0)


@pytest.mark.parametrize("which", range(len(QUESTIONS)), ids=lambda i: f"{i}-{QUESTIONS[i][0]}")
def test_an_honest_object_is_never_called_a_liar(which: int) -> None:
    name, args, ask = QUESTIONS[which]
    with _conversation(HONEST) as peer:
        kind = peer.request("global", name)[1]
        for _ in range(_ROUNDS):
            assert ask(kind(*args))
            assert peer.suspicions.first() is None


@pytest.mark.parametrize("which", range(len(LIES)), ids=lambda i: f"{i}-{LIES[i][0]}")
def test_an_object_that_says_yes_to_everything_is_always_caught(which: int) -> None:
    name, args, ask = LIES[which]
    for seed in range(_LIARS_ROUNDS):
        with _conversation(LIARS, seed) as peer:
            liar = peer.request("global", name)[1](*args)
            try:
                assert ask(liar)
            except LieError:
                continue
            assert peer.suspicions.first() is not None


def test_a_no_to_the_suite_clears_what_only_said_yes() -> None:
    solution = "class Near:\n    def __eq__(self, o): return abs(o - 10) <= 50\n"
    with _conversation(solution) as peer:
        near = peer.request("global", "Near")[1]
        assert near() == 11
        assert peer.suspicions.first() is not None
        assert near() != 100
        assert peer.suspicions.first() is None
        assert near() == 9
        assert peer.suspicions.first() is None


def test_an_object_that_is_unequal_besides_is_not_cleared() -> None:
    solution = (
        "class Both:\n"
        "    def __eq__(self, o): return type(o) is int\n"
        "    def __ne__(self, o): return True\n"
    )
    with _conversation(solution) as peer:
        both = peer.request("global", "Both")[1]
        assert both() == 11
        assert both() != 13
        assert peer.suspicions.first() is not None
