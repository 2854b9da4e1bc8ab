"""Turns what was observed of a compilation or a run into a verdict. Pure: facts in, verdict out."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass
from typing import Any

from sandbox_server.worker.jail_contract import Exit, StageFacts
from sandbox_server.worker.programs.report import Report

_LIMITS = {
    "cpu": "TIME_LIMIT_EXCEEDED",
    "wall": "TIME_LIMIT_EXCEEDED",
    "memory": "MEMORY_LIMIT_EXCEEDED",
    "output": "OUTPUT_LIMIT_EXCEEDED",
}
#: Limits that decide whatever failed. The kernel may have killed a child of the program for its
#: memory, which then went on without it; and what is written last is found too late to stop it.
_DECISIVE = frozenset({"memory", "output"})
_MESSAGE = 4096
_ERROR_LINE = 500
NO_ASSERTIONS = {"passed": 0, "failed": 0, "first_failure": None}


@dataclass(frozen=True)
class Diagnostic:
    """An error that a compiler found."""

    file: str
    line: int
    message: str


def read_diagnostics(output: str, pattern: str) -> list[Diagnostic]:
    """The errors in a compiler's output, by `pattern` with groups file, line and message."""
    if not pattern:
        return []
    found = []
    for match in re.finditer(pattern, output, re.MULTILINE):
        line = match["line"]
        found.append(Diagnostic(match["file"], int(line) if line else 0, match["message"].strip()))
    return found


def verdict(
    name: str, phase: str, message: str, assertions: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A result without proof, as `jail_contract` has it."""
    return {
        "verdict": name,
        "phase": phase,
        "message": message[:_MESSAGE],
        "assertions": assertions or NO_ASSERTIONS,
        "proof": None,
    }


def by_limit(facts: StageFacts, phase: str) -> dict[str, Any]:
    """The verdict on a stage that a limit ended."""
    assert facts.limit is not None
    return verdict(_LIMITS[facts.limit], phase, f"the {facts.limit} limit was reached")


def classify_run(facts: StageFacts, report: Report, stderr: str) -> dict[str, Any]:
    """The verdict on a run; cause before symptom."""
    phase = "TEST" if report.begun else "LOAD"
    failed = max(report.failed, report.failures)
    counted = {
        "passed": report.passed,
        "failed": failed,
        "first_failure": report.first_failure,
    }
    if facts.limit in _DECISIVE or (facts.limit is not None and not failed):
        return by_limit(facts, phase)
    if failed:
        return verdict("ASSERTION_FAILED", "TEST", _how_it_failed(report), counted)
    if report.stopped is not None:
        stopped = report.stopped
        return verdict(stopped.verdict, stopped.phase, stopped.message)
    exit = facts.exits.get("program", Exit(None, None))
    if not report.ended or exit.status != 0:
        when = "after" if report.ended else "before"
        return verdict("RUNTIME_ERROR", phase, _how_it_ended(exit, when, stderr))
    if report.passed == 0:
        return verdict("TEST_ERROR", "TEST", "the suite checks nothing: no assertion was evaluated")
    message = f"{report.passed} assertion{'s' * (report.passed != 1)} held"
    return {**verdict("PASSED", "TEST", message, counted), "proof": "witness"}


def _how_it_failed(report: Report) -> str:
    failure = report.first_failure
    if failure is None:
        return "an assertion is false"
    sides = ", ".join(f"{k} {failure[k]}" for k in ("left", "right") if failure[k])
    shown = f" ({sides})" if sides else ""
    where = f"line {failure['line']}: " if failure["line"] else ""
    return f"{where}{failure['expression'] or 'an assertion is false'}{shown}"


def _how_it_ended(exit: Exit, when: str, stderr: str) -> str:
    if exit.signal is not None:
        how = f"killed by {_signal_name(exit.signal)}"
    elif exit.status is None:
        how = "the program did not end"
    else:
        how = f"exited with status {exit.status} {when} the suite was done"
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return f"{how}: {' | '.join(lines[:2])[:_ERROR_LINE]}" if lines else how


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
