"""Reports of programs and the verdicts that are drawn from them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_server.worker.jail_contract import Exit, StageFacts
from sandbox_server.worker.programs.classify import classify_run, read_diagnostics
from sandbox_server.worker.programs.report import Report, quote_suite, read_report

TOKEN = "t" * 32
END = {"event": "end", "token": TOKEN, "passed": 2, "failed": 0}
BEGIN = {"event": "begin"}
FAILED = {"event": "failed", "line": 3, "expression": "f() == 1", "left": "2", "right": "1"}


def _lines(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(event).encode() + b"\n" for event in events)


def _verdict(
    *events: dict[str, Any], status: int | None = 0, limit: str | None = None, stderr: str = ""
) -> dict[str, Any]:
    facts = StageFacts({"program": Exit(status, None)}, limit, None)
    return classify_run(facts, read_report(_lines(*events), TOKEN), stderr)


def test_an_end_with_the_token_and_status_zero_is_a_pass() -> None:
    result = _verdict(BEGIN, END)
    assert (result["verdict"], result["phase"], result["proof"]) == ("PASSED", "TEST", "witness")
    assert result["assertions"] == {"passed": 2, "failed": 0, "first_failure": None}


@pytest.mark.parametrize(
    ("events", "status", "limit", "verdict"),
    [
        ([BEGIN], 0, None, "RUNTIME_ERROR"),
        ([BEGIN, {**END, "token": "x" * 32}], 0, None, "RUNTIME_ERROR"),
        ([BEGIN, {**END, "token": None}], 0, None, "RUNTIME_ERROR"),
        ([BEGIN, END], 1, None, "RUNTIME_ERROR"),
        ([BEGIN, END], None, None, "RUNTIME_ERROR"),
        ([BEGIN, END], 0, "memory", "MEMORY_LIMIT_EXCEEDED"),
        ([BEGIN, END], 0, "wall", "TIME_LIMIT_EXCEEDED"),
        ([BEGIN, {**END, "passed": 0}], 0, None, "TEST_ERROR"),
        ([BEGIN, {**END, "passed": True}], 0, None, "TEST_ERROR"),
        ([BEGIN, {**END, "failed": 1}], 0, None, "ASSERTION_FAILED"),
        ([BEGIN, FAILED, END], 0, None, "ASSERTION_FAILED"),
        ([BEGIN, FAILED], None, "cpu", "ASSERTION_FAILED"),
        ([BEGIN, FAILED], None, "memory", "MEMORY_LIMIT_EXCEEDED"),
        ([BEGIN, FAILED, END], 0, "output", "OUTPUT_LIMIT_EXCEEDED"),
        ([BEGIN, {"event": "stopped", "verdict": "PASSED", "phase": "TEST"}, END], 0, None,
         "RUNTIME_ERROR"),
        ([{"event": "stopped", "verdict": "COMPILE_ERROR", "phase": "COMPILE"}], 1, None,
         "COMPILE_ERROR"),
    ],
)  # fmt: skip
def test_anything_else_is_no_pass(
    events: list[dict[str, Any]], status: int | None, limit: str | None, verdict: str
) -> None:
    result = _verdict(*events, status=status, limit=limit)
    assert (result["verdict"], result["proof"]) == (verdict, None)


def test_what_ends_before_the_suite_begins_is_of_the_load_phase() -> None:
    assert _verdict(status=0)["phase"] == "LOAD"
    assert _verdict(BEGIN, status=0)["phase"] == "TEST"


def test_a_failure_names_line_expression_and_sides() -> None:
    assert _verdict(BEGIN, FAILED)["message"] == "line 3: f() == 1 (left 2, right 1)"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
_EVENTS = st.dictionaries(
    st.sampled_from(["event", "line", "passed", "failed", "verdict", "phase", "message"]),
    st.sampled_from(["begin", "failed", "stopped", "end", "PASSED", "TEST"]) | _JSON,
)


@given(st.lists(_EVENTS), st.binary(max_size=32))
def test_no_report_without_the_token_ends(events: list[dict[str, Any]], noise: bytes) -> None:
    report = read_report(noise + b"\n" + _lines(*events), TOKEN)
    assert not report.ended
    assert report.stopped is None or report.stopped.verdict != "PASSED"


def test_an_empty_or_missing_report_says_nothing() -> None:
    assert read_report(None, TOKEN) == read_report(b"", TOKEN) == Report()


def test_diagnostics_are_read_by_the_languages_own_pattern() -> None:
    pattern = r"^(?P<file>\S+?):(?P<line>\d+): error: (?P<message>.*)$"
    found = read_diagnostics("a.c:3: error: no\nnoise\nb.c:4: error: never\n", pattern)
    assert [(d.file, d.line, d.message) for d in found] == [("a.c", 3, "no"), ("b.c", 4, "never")]


def test_an_expression_that_a_program_does_not_tell_is_the_suites_line() -> None:
    suite = "int main() {\n  assert(f() == 1);\n}"
    report = read_report(_lines(BEGIN, {"event": "failed", "line": 2}), TOKEN)
    told = quote_suite(report, suite).first_failure
    assert told is not None
    assert told["expression"] == "assert(f() == 1);"
    for line in (0, 4):
        report = read_report(_lines(BEGIN, {"event": "failed", "line": line}), TOKEN)
        assert quote_suite(report, suite) == report
