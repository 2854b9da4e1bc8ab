"""Suites that are tables of calls: what is one, what crosses, and that both judges agree."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from images.python.harness.calls import answerer, flat
from images.python.harness.calls.asker import Asker
from images.python.harness.calls.table import MAX_REQUEST_BYTES, MAX_TEXT_BYTES, read_table
from images.python.harness.channel import ChannelClosed, PinnedChannel, pair
from images.python.harness.loading import make_module
from images.python.harness.wire import ANSWER, COMPILED, LOADED

_ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())
)
#: Without those that no literal gives.
_LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.text("ab'\\\n", max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=4).map(tuple)
        | st.dictionaries(st.text("ab", max_size=2), inner, max_size=3)
    ),
    max_leaves=8,
)
_PLAIN = st.recursive(
    _ATOMS,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.lists(inner, max_size=5).map(tuple)
        | st.dictionaries(_ATOMS, inner, max_size=4)
        | st.sets(_ATOMS, max_size=4)
        | st.frozensets(_ATOMS, max_size=4)
    ),
    max_leaves=20,
)


@given(_PLAIN)
def test_a_plain_value_crosses_with_its_exact_types(value: Any) -> None:
    data = flat.encode(value)
    assert data is not None
    assert _is_same(flat.decode(data), value)


def _is_same(left: Any, right: Any) -> bool:
    """Whether both are equal, and of the same exact types all the way down."""
    if type(left) is not type(right) or left != right:
        return False
    if isinstance(left, dict):
        pairs = zip(left.items(), right.items(), strict=True)
        return all(_is_same(a, b) for a, b in pairs)
    if isinstance(left, list | tuple):
        return all(_is_same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, set | frozenset):
        kinds = [sorted(f"{type(item)} {item!r}" for item in side) for side in (left, right)]
        return kinds[0] == kinds[1]
    return True


@given(st.binary(max_size=300))
def test_bytes_that_nobody_encoded_are_refused_and_nothing_else(data: bytes) -> None:
    with contextlib.suppress(ValueError, flat.NotFlatError):
        flat.decode(data)


class _Int(int):
    pass


@pytest.mark.parametrize(
    "value",
    [_Int(3), [_Int(3)], object(), lambda: 1, range(3), {1: object()}, "x" * (flat.MAX_BYTES + 1)],
    ids=["subclass", "subclass-inside", "object", "function", "range", "object-inside", "long"],
)
def test_what_is_not_plain_or_too_long_is_not_encoded(value: Any) -> None:
    assert flat.encode(value) is None


@pytest.mark.parametrize(
    "value",
    [b"bytes", bytearray(b"x"), 1j, 1 << 40_000, [b"inside"], [float("nan")]],
    ids=["bytes", "bytearray", "complex", "huge", "bytes-inside", "nan"],
)
def test_what_may_have_been_another_type_is_left_to_the_judge(value: Any) -> None:
    data = flat.encode(value)
    assert data is not None
    with pytest.raises(flat.NotFlatError):
        flat.decode(data)


def test_a_value_that_is_nested_deeper_than_the_bound_is_left_to_the_judge() -> None:
    value: Any = 1
    for _ in range(100):
        value = [value]
    data = flat.encode(value)
    assert data is not None
    with pytest.raises(flat.NotFlatError):
        flat.decode(data)


@pytest.mark.parametrize(
    "solution",
    [
        "def f(n):\n    return set(range(n))",
        "def f(n):\n    return dict.fromkeys(range(n))",
        "def f(n):\n    return [frozenset([i]) for i in range(n)]",
        "def f(n):\n    return list(range(n))",
    ],
    ids=["set", "dict", "many-sets", "list-made-a-set"],
)
def test_what_may_have_one_hash_is_hashed_in_the_jail(solution: str) -> None:
    suite = "assert len(set(f({}))) == {}"
    few = _ask(solution, suite.format(*[flat.MAX_HASHED] * 2))
    assert few is not None
    assert few["verdict"] == "PASSED"
    assert _ask(solution, suite.format(*[flat.MAX_HASHED + 1] * 2)) is None


@given(st.text(max_size=200))
def test_reading_a_text_as_a_table_never_raises(text: str) -> None:
    read_table(text)


@pytest.mark.parametrize(
    "suite",
    [
        "assert f(1) == 2",
        "assert f(1, [2], x={'a': (1, 2)}) == 2, 'why'",
        "assert not f(1)",
        "assert f(1) is None",
        "assert abs(f(1) - 2.5) < 1e-6",
        "assert sorted(f(1), reverse=True) == [3, 2]",
        "assert isinstance(f(1), int)",
        "assert f(1) == f(2)",
        "assert 1 < f(1) < 3",
        "assert f(1)[0] == 1",
        "def check(candidate):\n    '''doc'''\n    assert candidate(1) == 1\n\ncheck(f)",
        "METADATA = {'author': 'x'}\ndef check(c):\n    assert c(1)\ncheck(f)",
        "def check(c: object) -> None:\n    assert c(1)\ncheck(f)",
        "assert round(f(1), 2) == 0.5",
        "assert max(f(1), f(2)) == 2",
    ],
)
def test_calls_and_comparisons_are_a_table(suite: str) -> None:
    assert read_table(suite) is not None


@pytest.mark.parametrize(
    "suite",
    [
        "",
        "assert True",
        "assert f(1) ==",
        "x = f(1)\nassert x == 1",
        "assert f(g(1)) == 1",
        "assert f(1) is f(1)",
        "assert f(1) == 1 and f(2) == 2",
        "assert f(1).x == 1",
        "assert f(*[1]) == 1",
        "assert f(1) * 10 ** 9 == 1",
        "assert eval('1') == 1",
        "assert open('x') == 1",
        "assert __import__('os') == 1",
        "for i in range(3):\n    assert f(i) == i",
        "import math\nassert f(1) == 1",
        "try:\n    f(1)\nexcept ValueError:\n    pass\nassert f(2)",
        "def check(candidate):\n    assert candidate(1) == 1",
        "def f(x):\n    return x\nassert f(1) == 1",
        "assert f('" + "x" * (MAX_REQUEST_BYTES + 1) + "') == 1",
        "assert f(1) == 1, print('x')",
        "assert (f(1) == 2, 'a message')",
        "@register\ndef check(c):\n    assert c(1)\nassert f(1)",
        "def check(c, x=register()):\n    assert c(1)\nassert f(1)",
        "def check(c: Callable):\n    assert c(1)\ncheck(f)",
        "NOTE = 1\nassert NOTE(1) == 1",
        "assert round(f(1), -9) == 1",
        "assert round(1, f(1)) == 1",
        "assert sum(f(1), []) == 1",
        "assert type(f(1), (), {})",
    ],
)
def test_whatever_else_a_suite_does_it_is_no_table(suite: str) -> None:
    assert read_table(suite) is None


class _Line:
    """Takes the place of the socket: the candidate answers at once, in this process."""

    def __init__(self, solution: str) -> None:
        self._module = make_module("solution", "solution.py", solution)
        exec(solution, self._module.__dict__)
        self._frames = [COMPILED, LOADED]

    def send_together(self, requests: list[bytes]) -> None:
        for request in requests:
            name, arguments, named = answerer.marshal.loads(request)
            self._frames.append(answerer._answer(self._module, name, arguments, named))

    def receive_now(self, max_bytes: int) -> Any:
        if not self._frames:
            raise ChannelClosed
        yield self._frames.pop(0)


def _ask(solution: str, suite: str) -> dict[str, Any] | None:
    table = read_table(suite)
    assert table is not None
    asker = Asker(_Line(solution), table)  # type: ignore[arg-type]
    while asker.readable():
        pass
    return None if asker.unsuitable else asker.report


@given(st.lists(st.tuples(_LITERALS, _LITERALS, st.booleans()), min_size=1, max_size=4))
def test_a_table_says_what_python_says(rows: list[tuple[Any, Any, bool]]) -> None:
    pairs = [(value, value if same else other) for value, other, same in rows]
    solution = f"ANSWERS = {[value for value, _ in pairs]!r}\ndef f(i):\n    return ANSWERS[i]\n"
    suite = "".join(f"assert f({i}) == {other!r}\n" for i, (_, other) in enumerate(pairs))
    held = next((i for i, (value, other) in enumerate(pairs) if value != other), len(pairs))
    report = _ask(solution, suite)
    assert report is not None
    assert report["assertions"]["passed"] == held
    assert report["verdict"] == ("PASSED" if held == len(pairs) else "ASSERTION_FAILED")


@pytest.mark.parametrize(
    ("solution", "verdict"),
    [
        ("def f(x):\n    return 1", "PASSED"),
        ("def f(x):\n    return 2", "ASSERTION_FAILED"),
        ("def f(x):\n    raise KeyError(x)", "RUNTIME_ERROR"),
        ("def f(x):\n    raise MemoryError", "MEMORY_LIMIT_EXCEEDED"),
        ("def g(x):\n    return 1", "RUNTIME_ERROR"),
        ("f = 3", "RUNTIME_ERROR"),
        ("def f(x):\n    return [1] < 2", "RUNTIME_ERROR"),
    ],
)
def test_each_end_of_a_call_has_its_verdict(solution: str, verdict: str) -> None:
    report = _ask(solution, "assert f(0) == 1")
    assert report is not None
    assert report["verdict"] == verdict


@pytest.mark.parametrize(
    "solution",
    [
        "class E:\n    def __eq__(self, other):\n        return True\ndef f(x):\n    return E()",
        "class I(int):\n    pass\ndef f(x):\n    return I(1)",
        "def f(x):\n    raise SystemExit(0)",
        "def f(x):\n    raise AssertionError",
        "def f(x):\n    yield 1",
    ],
    ids=["always-equal", "subclass", "exit", "assertion", "generator"],
)
def test_what_a_table_cannot_judge_is_left_to_the_judge(solution: str) -> None:
    assert _ask(solution, "assert f(0) == 1") is None


@pytest.mark.parametrize(
    ("solution", "suite"),
    [
        ("L = []\ndef f(x):\n    L.append(x)\n    return L", "assert f(1) == f(2)"),
        ("def f(x):\n    return (float('nan'),)", "assert f(1) != f(1)"),
        ("def f(x):\n    return {18, 2, 4}", "assert list(f(1)) == [18, 2, 4]"),
    ],
    ids=["one-list-twice", "nan", "order-of-a-set"],
)
def test_results_of_which_more_matters_than_crosses_are_left_to_the_judge(
    solution: str, suite: str
) -> None:
    assert _ask(solution, suite) is None


def test_what_follows_a_failure_is_not_looked_at() -> None:
    report = _ask("def f(x):\n    return x", "assert f(1) == 2\nassert f(1) == 1\n")
    assert report is not None
    assert report["assertions"]["passed"] == 0
    assert report["assertions"]["first_failure"]["line"] == 1


def test_a_builtin_that_the_candidate_defines_is_left_to_the_judge() -> None:
    class Overriding(_Line):
        def __init__(self) -> None:
            super().__init__("def f(x):\n    return [2, 1]\ndef sorted(x):\n    return x")
            self._frames = [COMPILED, LOADED + b"sorted"]

    table = read_table("assert sorted(f(0)) == [1, 2]")
    assert table is not None
    asker = Asker(Overriding(), table)  # type: ignore[arg-type]
    while asker.readable():
        pass
    assert asker.unsuitable


_SUITE = (
    "assert f(1) == 2\nassert sorted(f([1, 2])) == [1]\nassert {f(1)} == {2}\nassert g(a=1)[0]\n"
)


def _report_on(said: bytes) -> Asker:
    """What the supervisor makes of a candidate's process that says `said` and leaves."""
    table = read_table(_SUITE)
    assert table is not None
    ours, theirs = pair()
    ours.setblocking(False)
    with ours:
        asker = Asker(PinnedChannel(ours), table)
        with theirs:
            theirs.sendall(said)
        while asker.readable():
            pass
    return asker


def _frames(bodies: list[bytes]) -> bytes:
    return b"".join(len(body).to_bytes(4, "little") + body for body in bodies)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.booleans())
def test_whatever_a_candidate_says_the_supervisor_comes_to_an_end(
    said: bytes, loaded: bool
) -> None:
    begun = _frames([COMPILED, LOADED]) if loaded else b""
    asker = _report_on(begun + said)
    assert asker.unsuitable or (asker.report or {})["verdict"] != "PASSED"


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.binary(max_size=40).map(lambda b: b"A" + b) | _PLAIN.map(flat.encode), max_size=6)
)
def test_whatever_a_candidate_answers_the_supervisor_comes_to_an_end(bodies: list[Any]) -> None:
    answers = [body if body[:1] == b"A" else ANSWER + body for body in bodies]
    asker = _report_on(_frames([COMPILED, LOADED, *answers]))
    assert asker.unsuitable or asker.report is not None


@settings(max_examples=100, deadline=None)
@given(_PLAIN, st.data())
def test_a_damaged_answer_is_read_within_bounds(value: Any, data: Any) -> None:
    body = bytearray(flat.encode(value) or b"N")
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.integers(0, 255))
    asker = _report_on(_frames([COMPILED, LOADED, ANSWER + bytes(body)]))
    assert asker.unsuitable or asker.report is not None


@pytest.mark.parametrize("size", [1, 1000, 9000])
def test_a_long_table_waits_for_its_answers_and_not_in_the_socket(size: int) -> None:
    table = read_table("assert f(7)\n" * min(size, MAX_TEXT_BYTES // 13))
    assert table is not None
    ours, theirs = pair()
    ours.setblocking(False)
    with ours, theirs:
        Asker(PinnedChannel(ours), table)  # nobody reads, and it is not kept waiting
        received = theirs.recv(1 << 20)
    assert 0 < len(received) < 2 * MAX_REQUEST_BYTES
