"""What a program gets from chance is found out, and nothing else is taken for it."""

from __future__ import annotations

import datetime
import json
import os
import subprocess
import sys
from typing import Any

import pytest

from orchestrator.quality.reorder import python_reordered

_WORDS = "{'ant', 'bee', 'cow', 'dog', 'elk', 'fox'}"

#: Bodies of a function; W is a set of words, built anew.
LEANS_ON_THE_SEED = [
    "return list(W)",
    "return [w for w in W]",
    "return {w: len(w) for w in W}",
    "return list(dict.fromkeys(W))",
    "return list(Counter(W))",
    "return list(collections.OrderedDict(zip(W, range(6))))",
    "return [*W]",
    "return ' '.join(W)",
    "a, b, *c = W\nreturn a, b, c",
    "def g():\n    yield from W\nreturn list(g())",
    "return next(iter(W))",
    "return W.pop()",
    "words = W\nreturn [words.pop() for _ in range(3)]",
    "return sorted(W, key=len)",
    "return max(W, key=len)",
    "return list(itertools.combinations(W, 2))",
    "return list(itertools.chain(W, [1]))",
    "return functools.reduce(lambda a, b: a + b, W)",
    "return list(frozenset(W))",
    "return list({(w, 1) for w in W})",
    "return list({x for x in [None, 'a', 'b', 'c', 'd', 1]})",
    "return str(W)",
    "return repr(frozenset(W))",
    "return f'{W}'",
    "return f'{W!r:>60}'",
    "out = []\nout.extend(W)\nreturn out",
    "return hash('ant') % 10",
    "return hash(('ant', 1)) % 1000",
    "return sorted(['ant', 'bee', 'cow', 'dog'], key=hash)",
    "return [hash(w) % 7 for w in ['ant', 'bee', 'cow', 'dog']]",
    "return list(map(hash, ['ant', 'bee']))",
    "return hash(b'ant') & 1023",
]
SAYS_THE_SAME = [
    "return sorted(W)",
    "return len(W), 'ant' in W, W | {'gnu'} == {'gnu'} | W",
    "return {w: len(w) for w in W} == dict.fromkeys(W, 3)",
    "return sum(1 for w in W)",
    "return min(W), max(W)",
    "return [n for n in {3, 1, 2}], list({(0, 1), (5, 2), (3, 3)}), {9, 8}.pop()",
    "return f'{ {3, 1} } {len(W):>5} {1.5!r}', str({2, 1}), repr('x'), str(7)",
    "words = ['a', 'b']\nreturn words.pop(), words, {'k': 1}.pop('k')",
    "return hash(1), hash(2.5), hash((1, 2)), hash(''), hash('ant') == hash('an' + 't')",
    "return {hash(w) for w in W} == {hash(w) for w in sorted(W)}",
    "class P:\n    def __init__(self, n): self.n = n\n    def __hash__(self): return hash(self.n)\n"
    "    def __eq__(self, o): return self.n == o.n\nreturn len({P('a'), P('a'), P('b')})",
    "a = b = object()\nreturn id(a) == id(b), id(a) == id([]), len({id(a), id(b)})",
    "def g(id, hash): return id, hash\nreturn g(1, 2)",
    "from zlib import crc32 as hash\nreturn hash(b'ant'), [hash(x) for x in (b'a', b'b')]",
    "first, (second, third) = 1, (2, 3)\nreturn first, second, third",
    "now = datetime.datetime.now()\nreturn datetime.datetime.now() - now < datetime.timedelta(1)",
    "began = time.time()\nreturn 0 <= time.time() - began < 3600",
    "return datetime.datetime.now().date() - datetime.date.today() < datetime.timedelta(2)",
]
_IMPORTS = (
    "import collections, datetime, functools, itertools, time\nfrom collections import Counter\n"
)


def function(body: str) -> str:
    lines = [f"W = {_WORDS}", *body.splitlines()]
    return "def f():\n" + "".join(f"    {line}\n" for line in lines)


def result(program: str) -> str:
    names: dict[str, Any] = {}
    exec(_IMPORTS + program, names)
    return repr(names["f"]())


def otherwise(program: str) -> str:
    found = python_reordered(program, "assert f() == 1", 0)
    return program if found is None else found[0]


@pytest.fixture(scope="module")
def under_other_seeds() -> dict[str, set[str]]:
    """What each body says under several seeds of the hashes."""
    programs = [function(body) for body in LEANS_ON_THE_SEED + SAYS_THE_SAME]
    script = (
        f"import json, sys\nIMPORTS = {_IMPORTS!r}\nsaid = []\nfor program in json.load(sys.stdin):\n"
        "    names = {}\n    exec(IMPORTS + program, names)\n    said.append(repr(names['f']()))\n"
        "print(json.dumps(said))"
    )
    said: dict[str, set[str]] = {}
    for seed in range(6):
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            input=json.dumps(programs),
            capture_output=True,
            text=True,
            check=True,
        )
        for program, each in zip(programs, json.loads(done.stdout), strict=True):
            said.setdefault(program, set()).add(each)
    return said


@pytest.mark.parametrize("body", LEANS_ON_THE_SEED)
def test_what_another_seed_changes_is_changed(
    under_other_seeds: dict[str, set[str]], body: str
) -> None:
    program = function(body)
    assert len(under_other_seeds[program]) > 1
    assert result(otherwise(program)) != result(program)


@pytest.mark.parametrize("body", SAYS_THE_SAME)
def test_what_no_seed_changes_says_the_same(
    under_other_seeds: dict[str, set[str]], body: str
) -> None:
    program = function(body)
    assert under_other_seeds[program] == {result(program)}
    assert result(otherwise(program)) == result(program)


def test_large_sets_of_numbers_are_not_looked_through_again_and_again() -> None:
    body = (
        "todo, total = set(range(200_000)), 0\nwhile todo:\n    total += todo.pop()\nreturn total"
    )
    assert result(otherwise(function(body))) == result(function(body))


@pytest.mark.parametrize(
    "body",
    [
        "pair = [object(), object()]\nreturn [pair.index(x) for x in sorted(pair, key=id)]",
        "return datetime.datetime.now().year",
        "return datetime.date.today().isoformat()",
        "return datetime.datetime.now(datetime.timezone.utc).strftime('%A')",
        "return int(time.time()) // 86400",
    ],
)
def test_addresses_and_the_date_are_others(body: str) -> None:
    assert result(otherwise(function(body))) != result(function(body))


def test_reference_and_suite_live_on_the_same_day() -> None:
    reference = f"{_IMPORTS}def age(born):\n    return datetime.date.today().year - born\n"
    suite = "assert age(1990) == datetime.date.today().year - 1990\n"
    found = python_reordered(reference, suite, 0)
    assert found is not None
    exec("".join(found), {})
    year = datetime.date.today().year
    found = python_reordered(reference, f"assert age(1990) == {year - 1990}\n", 0)
    assert found is not None
    with pytest.raises(AssertionError):
        exec("".join(found), {})


def test_a_clock_that_the_suite_sets_is_left_alone() -> None:
    reference = f"{_IMPORTS}def now():\n    return time.time()\n"
    suite = (
        "from unittest.mock import patch\n"
        "with patch('time.time', return_value=5.0):\n    assert now() == 5.0\n"
    )
    assert python_reordered(reference, suite, 0) is None
