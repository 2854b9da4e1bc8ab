"""The codec between judge and candidate: what crosses, and what hostile bytes do."""

from __future__ import annotations

import collections
import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from images.python.harness import prepared
from images.python.harness.channel import ProtocolBreach
from images.python.harness.classify import SandboxFailedError, classify, parse_report
from images.python.harness.decoys import chain, operand_decoys, thresholds
from images.python.harness.mirrors import Mirrors
from images.python.harness.reader import Reader
from images.python.harness.suite import read_suite
from images.python.harness.under_test import builtins_under_test
from images.python.harness.writer import Writer


class NoLinks:
    """Nothing but plain data crosses."""

    def token_for(self, value: Any, writer: Any, keyed: bool) -> None:
        raise TypeError(type(value).__name__)

    def read_token(self, tag: int, reader: Any) -> Any:
        raise ProtocolBreach("unknown token")

    def make(self, name: str, parts: list[Any]) -> Any:
        return NotImplemented


class Side:
    def __init__(self, first: int) -> None:
        self.mirrors = Mirrors(first)

    def write(self, *roots: Any) -> bytes:
        return Writer(NoLinks(), self.mirrors).message(list(roots))

    def read(self, data: bytes) -> list[Any]:
        return Reader(data, NoLinks(), self.mirrors).message()


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
    | st.decimals(allow_nan=False)
    | st.fractions()
    | st.datetimes()
    | st.dates()
    | st.timedeltas()
)
_hashable = st.recursive(
    scalars, lambda s: st.tuples(s, s) | st.frozensets(s, max_size=3), max_leaves=3
)
_values = st.recursive(
    _hashable,
    lambda s: (
        st.lists(s, max_size=10)
        | st.dictionaries(_hashable, s, max_size=3)
        | st.tuples(s, s)
        | st.sets(_hashable, max_size=3)
        | st.lists(s, max_size=3).map(collections.deque)
    ),
    max_leaves=6,
)


@st.composite
def plain_values(draw: st.DrawFn) -> Any:
    """Hides the strategy's own representation, which is longer than hypothesis likes."""
    return draw(_values)


values = plain_values()


@settings(max_examples=60, deadline=None)
@given(values)
def test_plain_data_arrives_equal_and_of_the_same_types(value: Any) -> None:
    (got,) = Side(1).read(Side(0).write(value))
    assert got == value
    assert type(got) is type(value)
    assert repr(sorted(map(repr, got)) if isinstance(got, set | frozenset) else got)


def test_sharing_and_cycles_are_kept() -> None:
    inner: list[Any] = [1]
    outer = [inner, inner, (inner,)]
    outer.append(outer)
    (got,) = Side(1).read(Side(0).write(outer))
    assert got[0] is got[1] is got[2][0]
    assert got[3] is got


def test_each_nan_comes_back_as_itself() -> None:
    here, there = Side(0), Side(1)
    one, other = float("nan"), float("nan")
    got = there.read(here.write([one, other, one], [1.5] * 9 + [one]))
    assert got[0][0] is got[0][2] is got[1][9] is not got[0][1]
    (back,) = here.read(there.write(tuple(got[0])))
    assert back[0] is one
    assert back[1] is other


def test_a_change_on_one_side_reaches_the_others_object() -> None:
    here, there = Side(0), Side(1)
    mine = [3, [1]]
    (theirs,) = there.read(here.write(mine))
    theirs[1].append(2)
    theirs[0] = 3.5
    here.read(there.write())
    assert mine == theirs == [3.5, [1, 2]]


def test_an_unchanged_container_is_not_sent_again() -> None:
    here, there = Side(0), Side(1)
    mine = list(range(10_000))
    first = here.write(mine)
    there.read(first)
    assert len(here.write(mine)) < 100 < len(first)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_a_message_or_a_breach(data: bytes) -> None:
    with contextlib.suppress(ProtocolBreach):
        Side(0).read(data)


@settings(max_examples=60, deadline=None)
@given(values, st.data())
def test_a_damaged_message_is_a_message_or_a_breach(value: Any, data: Any) -> None:
    whole = bytearray(Side(1).write(value))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    with contextlib.suppress(ProtocolBreach):
        Side(0).read(bytes(whole))


def test_a_side_cannot_name_containers_of_the_other_side() -> None:
    with pytest.raises(ProtocolBreach):
        Side(0).read(Side(0).write([1]))


def test_a_prepared_suite_is_the_suite_that_was_read() -> None:
    source = "import math\nassert math.pi > f(\n    3)\nassert f"
    suite = read_suite(source)
    code, rest = prepared.split(prepared.announce(suite) + b"CL{}")
    text, handed = prepared.unpack(prepared.pack(source.encode(), code))
    assert rest == b"CL{}"
    assert prepared.restore(text.decode(), handed) == suite


@given(st.binary(max_size=40))
def test_the_code_of_a_suite_is_whole_or_absent(rest: bytes) -> None:
    whole = prepared.announce(read_suite("assert f(1) == 2"))
    code, after = prepared.split(whole + rest)
    assert (code, after) == (whole[5:], rest)
    for end in range(1, len(whole), 7):
        assert prepared.split(whole[:end]) == (b"", b"")


def test_a_shelf_forgets_what_was_not_used_for_longest() -> None:
    shelf = prepared.Shelf()
    for number in range(40):
        shelf.keep(b"%d" % number, b"code")
        shelf.find(b"0")
    assert shelf.find(b"0")
    assert shelf.find(b"39")
    assert not shelf.find(b"1")


@settings(max_examples=60, deadline=None)
@given(values)
def test_decoys_are_never_equal_to_the_real_value(value: Any) -> None:
    assert all(decoy != value for decoy in chain(value))


@settings(max_examples=60, deadline=None)
@given(st.integers(-1000, 1000) | st.floats(-1000, 1000))
def test_decoys_lie_on_both_sides(value: Any) -> None:
    points, operands = thresholds(value), operand_decoys(value)
    assert all((point < 0) <= (value < 0) for point in points)
    assert min(operands) < value < max(operands)
    assert all(decoy != value for decoy in operand_decoys(value))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300))
def test_no_bytes_but_a_whole_report_are_a_report(data: bytes) -> None:
    assert parse_report(b"{" + data) is None or data.startswith(b'"')


class Facts:
    def __init__(self, limit: str | None) -> None:
        self.exits: dict[str, Any] = {}
        self.limit = limit


_PASS = (
    b'CL{"verdict": "PASSED", "phase": "TEST", "message": "", "assertions":'
    b' {"passed": 1, "failed": 0, "first_failure": null}}'
)


@pytest.mark.parametrize(
    ("limit", "report", "verdict", "phase"),
    [
        ("cpu", b"", "TIME_LIMIT_EXCEEDED", "COMPILE"),
        ("wall", b"C", "TIME_LIMIT_EXCEEDED", "LOAD"),
        ("memory", b"CL", "MEMORY_LIMIT_EXCEEDED", "TEST"),
        ("output", b"CL", "OUTPUT_LIMIT_EXCEEDED", "TEST"),
        ("memory", _PASS, "MEMORY_LIMIT_EXCEEDED", "TEST"),
        ("output", _PASS, "OUTPUT_LIMIT_EXCEEDED", "TEST"),
        ("cpu", _PASS, "PASSED", "TEST"),
        (None, b"CL", "RUNTIME_ERROR", "TEST"),
        (None, b'CL{"verdict": "PASSED"', "RUNTIME_ERROR", "TEST"),
        (None, b'CL{"verdict": "PASSED", "phase": "TEST", "message": ""}', "RUNTIME_ERROR", "TEST"),
    ],
)
def test_the_cause_comes_before_the_symptom(
    limit: str | None, report: bytes, verdict: str, phase: str
) -> None:
    result = classify(Facts(limit), report or b"", "separated")
    assert (result["verdict"], result["phase"]) == (verdict, phase)


class Ended:
    def __init__(self, status: int | None) -> None:
        self.status = status
        self.signal = None


@pytest.mark.parametrize("status", [70, 71])
@pytest.mark.parametrize("role", ["judge", "candidate"])
def test_a_process_that_failed_before_it_began_is_no_verdict(role: str, status: int) -> None:
    facts = Facts(None)
    facts.exits = {role: Ended(status)}
    with pytest.raises(SandboxFailedError, match=f"the {role}'s process"):
        classify(facts, b"", "separated")
    # Later the candidate's own code may have exited with that.
    assert classify(facts, b"C", "separated")["verdict"] == "RUNTIME_ERROR"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("assert sum(1, 2) == 3", {"sum"}),
        ("assert all([add(1, 2) == 3])", set()),
        ("def check(f):\n    assert f(1) == 2\ncheck(sum)", {"sum"}),
        ("x = 1\nassert max(x, sum(1, 2)) == 3", {"sum", "max"}),
        ("assert sorted(sum(1, 2)) == 3\nassert sum(1, 2)", {"sum"}),
    ],
)
def test_builtin_names_are_pythons_unless_nothing_else_is_under_test(
    source: str, expected: set[str]
) -> None:
    assert builtins_under_test(source, frozenset({"sum", "max", "all", "sorted"})) == expected


@pytest.mark.parametrize(
    ("source", "separate"),
    [
        ("import math\nassert f(1) == 2", True),
        ("class A:\n    pass\nclass B(A):\n    pass\nassert f(A())", True),
        ("import unittest\nclass T(unittest.TestCase):\n    pass", True),
        ("class D(Animal):\n    pass\nassert D()", False),
        ("import gc\nassert f()", False),
        ("from unittest.mock import patch\nwith patch('time.time'):\n    assert f()", False),
        ("from unittest.mock import patch\nwith patch('builtins.input'):\n    assert f()", True),
    ],
)
def test_only_the_suites_text_decides_where_it_runs(source: str, separate: bool) -> None:
    assert (read_suite(source).in_process == "") is separate
