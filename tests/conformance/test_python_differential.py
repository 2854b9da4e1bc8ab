"""The Python judge and plain Python say the same of honest programs, right and wrong ones.

Programs and suites are put together at random from parts that keep state, share objects,
mutate, raise and return most kinds of values. Each suite is judged twice: as it is, which is
mostly a table of calls, and with an import before it, which has it run in the judge's process.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from tests import plain_python
from tests.worker_process import WorkerProcess

_PARTS = {
    "same": "def same(x, *rest, **named):\n    return x",
    "pair": "def pair(a, b=2):\n    return (a, [b, a])",
    "total": "def total(xs):\n    t = 0\n    for x in xs:\n        t += x\n    return t",
    "grow": "def grow(x, seen=[]):\n    seen.append(x)\n    return seen",
    "count": "calls = 0\ndef count(x):\n    global calls\n    calls += 1\n    return calls",
    "cached": "memo = {}\ndef cached(x):\n    return memo.setdefault(str(x), [len(memo)])",
    "push": "def push(xs):\n    xs.append(len(xs))\n    return xs",
    "first": "def first(xs):\n    return xs[0]",
    "ratio": "def ratio(a, b):\n    return a / b",
    "check": "class Refused(ValueError):\n    pass\ndef check(x):\n    if not x:\n        raise Refused(x)\n    return x",
    "flat": "def flat(xs):\n    for x in xs:\n        yield from x if isinstance(x, list) else [x]",
    "group": "from collections import defaultdict\ndef group(xs):\n    d = defaultdict(list)\n    for x in xs:\n        d[type(x).__name__].append(x)\n    return d",
    "point": "from collections import namedtuple\nPoint = namedtuple('Point', 'x y')\ndef point(x, y=0):\n    return Point(x, y)",
    "item": "from dataclasses import dataclass\n@dataclass(order=True)\nclass Item:\n    value: object\n    def __hash__(self):\n        return hash(str(self.value))\ndef item(x):\n    return Item(x)",
    "colour": "from enum import IntEnum\nColour = IntEnum('Colour', 'RED GREEN')\ndef colour(x):\n    return Colour(1 + bool(x))",
    "odd": "def odd(x):\n    return {'nan': float('nan'), 'zero': -0.0, 'big': 10 ** 40, 'text': '\\ud800\\0', 'none': None}",
    "deep": "def deep(n):\n    return [] if n <= 0 else [deep(n - 1)]",
    "unique": "def unique(xs):\n    return {len(str(x)) for x in xs}",
    "exact": "from decimal import Decimal\nfrom fractions import Fraction\ndef exact(a, b):\n    return [Decimal(a), Fraction(b, 3)]",
}
_ARITY = {"pair": 2, "ratio": 2, "exact": 2, "point": 2}

_atoms = (
    st.integers(-3, 3)
    | st.booleans()
    | st.sampled_from([None, 0.5, -0.0, 1e300, "", "ab", "é\n'", (), 10**30])
)
_values = st.recursive(
    _atoms,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=2).map(tuple)
        | st.dictionaries(st.sampled_from(["a", 1, None]), inner, max_size=2)
    ),
    max_leaves=5,
)
_SHAPES = [
    "{}",
    "{}",
    "{}",
    "list({})",
    "sorted({})",
    "len({})",
    "str({})",
    "set({})",
    "{}[0]",
    "abs({})",
    "not {}",
    "tuple({})",
    "max({}, 1)",
]


@st.composite
def _calls(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(sorted(_PARTS)))
    arguments = [repr(draw(_values)) for _ in range(_ARITY.get(name, 1))]
    return draw(st.sampled_from(_SHAPES)).format(f"{name}({', '.join(arguments)})")


#: A call, an operator, and what is expected: the call's own result, or another value.
_checks = st.tuples(
    _calls(),
    st.sampled_from(["==", "==", "==", "!=", "in", "<", "is"]),
    st.sampled_from(["result", "result", "result", "again", "other"]),
    _values.map(repr),
)


def _suite(checks: list[tuple[str, str, str, str]]) -> str:
    """Mostly assertions that hold, since the first that does not ends a suite."""
    results = plain_python.results(_SOLUTION, [call for call, *_ in checks])
    lines = []
    for (call, written, kind, other), result in zip(checks, results, strict=True):
        expected = f"({call})" if kind == "again" else other
        if kind == "result" and _is_literal(result):
            expected = result
        if written == "in":
            expected = f"[{expected}, 7]"
        single = expected in ("None", "True", "False")
        operator = "==" if written == "is" and not single else written
        lines.append(f"assert {call} {operator} {expected}\n")
    return "".join(lines)


_SOLUTION = "\n".join(_PARTS.values()) + "\n"


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, UnicodeError):
        return False
    return True


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    worker = WorkerProcess(1)
    yield worker
    worker.close()


@settings(
    max_examples=60,
    deadline=None,
    # The same programs each time, so that a run fails only for what it changed.
    derandomize=True,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(_checks, min_size=1, max_size=5))
def test_an_honest_program_gets_plain_pythons_verdict(
    worker: WorkerProcess, checks: list[tuple[str, str, str, str]]
) -> None:
    suite = _suite(checks)
    assume(" at 0x" not in suite)  # an address is another in each process
    for text in (suite, f"import math\n{suite}"):
        verdict, line = plain_python.verdict(_SOLUTION, text)
        result = worker.execute(_SOLUTION, text)
        assert result["verdict"] == verdict, (text, result)
        if verdict == "ASSERTION_FAILED":
            assert result["assertions"]["first_failure"]["line"] == line, (text, result)
        if verdict == "PASSED":
            assert result["proof"] == "separated"
            assert result["assertions"]["passed"] == suite.count("assert")
