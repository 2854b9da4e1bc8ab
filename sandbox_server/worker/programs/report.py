"""What a program reports of its suite: one JSON object a line, on descriptor 3.

The program that reports also runs the candidate, so a report is evidence of
failure, and of success only with the token that the program is given on
descriptor 4, reads before any candidate code runs, and repeats at the end.

Events, with those keys that are known:

``{"event": "begin"}``
    The solution is loaded; from here on the suite runs.
``{"event": "failed", "line", "expression", "left", "right"}``
    An assertion of the suite was false.
``{"event": "stopped", "verdict", "phase", "message"}``
    It goes no further, for any reason but the end; never PASSED.
``{"event": "end", "token", "passed", "failed"}``
    The suite ran to its end; so many assertions held and so many did not.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from sandbox_server.worker.protocol import PHASES, VERDICTS

_TEXT = 2048
_COUNT = 1 << 31
#: More lines are not looked at; a suite with so many failures has failed.
_MAX_LINES = 10_000


@dataclass(frozen=True)
class Stopped:
    """Why a program went no further, in its own words."""

    verdict: str
    phase: str
    message: str


@dataclass(frozen=True)
class Report:
    """A report, read as evidence."""

    #: Whether the suite had begun.
    begun: bool = False
    #: As `protocol` has it: line, expression, left, right.
    first_failure: dict[str, Any] | None = None
    failures: int = 0
    stopped: Stopped | None = None
    #: Whether the end was reported with the right token.
    ended: bool = False
    passed: int = 0
    failed: int = 0


def read_report(data: bytes | None, token: str) -> Report:
    """The report in `data`; what is not of the form above is left out.

    token: what a true end carries.
    """
    facts: dict[str, Any] = {}
    failures = 0
    for line in (data or b"").splitlines()[:_MAX_LINES]:
        event = _event(line)
        match event.get("event"):
            case "begin":
                facts["begun"] = True
            case "failed":
                failures += 1
                facts.setdefault("first_failure", _failure(event))
            case "stopped":
                facts.setdefault("stopped", _stopped(event))
            case "end" if event.get("token") == token:
                facts.update(ended=True, passed=_count(event, "passed"))
                facts["failed"] = _count(event, "failed")
    return Report(failures=failures, **facts)


def quote_suite(report: Report, suite: str) -> Report:
    """`report` with the line of `suite` for an expression that it leaves out.

    A program that does not hold the text of its suite's assertions cannot look there for them.
    """
    failure = report.first_failure
    lines = suite.split("\n")
    if failure is None or failure["expression"] or not 0 < failure["line"] <= len(lines):
        return report
    expression = lines[failure["line"] - 1].strip()[:_TEXT]
    return replace(report, first_failure={**failure, "expression": expression})


def _event(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return event if isinstance(event, dict) else {}


def _failure(event: dict[str, Any]) -> dict[str, Any]:
    texts = {key: _text(event, key) for key in ("expression", "left", "right")}
    return {"line": _count(event, "line"), **texts}


def _stopped(event: dict[str, Any]) -> Stopped:
    verdict, phase = _text(event, "verdict"), _text(event, "phase")
    if verdict not in VERDICTS - {"PASSED"} or phase not in PHASES:
        return Stopped("RUNTIME_ERROR", "TEST", "the report makes no sense")
    return Stopped(verdict, phase, _text(event, "message"))


def _count(event: dict[str, Any], key: str) -> int:
    value = event.get(key)
    return value if type(value) is int and 0 <= value < _COUNT else 0


def _text(event: dict[str, Any], key: str) -> str:
    value = event.get(key)
    return value[:_TEXT] if isinstance(value, str) else ""
