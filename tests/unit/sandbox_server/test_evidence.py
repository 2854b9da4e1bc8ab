"""What a worker says is taken only when it is exactly of the protocol."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_server.evidence import bounded, parse_checked, parse_ready, parse_result
from sandbox_server.worker.protocol import ProtocolError

RESULT: dict[str, Any] = {
    "verdict": "PASSED",
    "phase": "TEST",
    "message": "",
    "assertions": {"passed": 3, "failed": 0, "first_failure": None},
    "proof": "separated",
    "usage": {"cpu_time_s": 0.1, "wall_time_s": 1, "memory_bytes": 1},
    "stdout": "a\udcff",
    "stderr": "",
    "stdout_bytes": 2,
    "stderr_bytes": 0,
}

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def with_value(path: str, value: object) -> dict[str, Any]:
    result = copy.deepcopy(RESULT)
    *parents, last = path.split(".")
    holder = result
    for parent in parents:
        holder = holder[parent]
    holder[last] = value
    return result


def test_a_proper_result_is_taken_with_its_bytes() -> None:
    result = parse_result(RESULT)
    assert (result.verdict, result.proof, result.passed) == ("PASSED", "separated", 3)
    assert result.stdout == b"a\xff"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("verdict", "VERY_PASSED"),
        ("verdict", None),
        ("verdict", ["PASSED"]),
        ("phase", "LOAD"),  # a pass is reached in TEST only
        ("proof", None),  # a pass has a proof
        ("proof", "promised"),
        ("assertions", []),
        ("assertions.passed", -1),
        ("assertions.passed", True),
        ("assertions.passed", 2**31),
        ("assertions.first_failure", "x"),
        ("usage.cpu_time_s", math.nan),
        ("usage.cpu_time_s", math.inf),
        ("usage.wall_time_s", "1"),
        ("usage.memory_bytes", 1.5),
        ("message", 7),
        ("stdout", "\ud800"),
        ("stdout_bytes", 2**63),
    ],
)
def test_a_result_with_one_wrong_field_is_refused(path: str, value: object) -> None:
    with pytest.raises(ProtocolError):
        parse_result(with_value(path, value))


def test_only_a_pass_has_a_proof() -> None:
    with pytest.raises(ProtocolError):
        parse_result(RESULT | {"verdict": "RUNTIME_ERROR"})


@given(st.sampled_from([*RESULT, "assertions.passed", "usage.cpu_time_s"]), anything)
def test_any_value_in_any_field_is_taken_or_refused(path: str, value: object) -> None:
    try:
        result = parse_result(with_value(path, value))
    except ProtocolError:
        return
    assert len(result.message.encode()) <= 8 << 10
    assert len(result.stdout) <= 64 << 10


@given(anything)
def test_any_message_is_taken_or_refused(value: Any) -> None:
    for parse in (parse_result, parse_ready, lambda raw: parse_checked(raw, ["a"])):
        with pytest.raises(ProtocolError):
            parse(value if not isinstance(value, dict) else value | {"slots": 0})


@given(st.text(st.characters(codec=None)), st.integers(0, 40))
def test_bounded_text_fits_and_is_utf8(text: str, most: int) -> None:
    assert len(bounded(text, most).encode()) <= most


def test_check_results_must_be_those_that_were_asked_for() -> None:
    one = {"id": "a", "status": "CHECKED", "diagnostics": [], "message": ""}
    assert [result.id for result in parse_checked([one | {"id": "b"}, one], ["a", "b"])] == [
        "a",
        "b",
    ]
    for results in ([], [one, one], [one | {"id": "c"}]):
        with pytest.raises(ProtocolError):
            parse_checked(results, ["a"])
