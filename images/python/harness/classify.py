"""Turns what was observed of a stage into a verdict. Pure: facts in, verdict out."""

from __future__ import annotations

import json
from typing import Any, Protocol

_VERDICTS = frozenset(
    [
        "PASSED",
        "ASSERTION_FAILED",
        "RUNTIME_ERROR",
        "COMPILE_ERROR",
        "MEMORY_LIMIT_EXCEEDED",
        "TAMPERED",
        "TEST_ERROR",
        "IN_PROCESS",
    ]
)
_LIMITS = {
    "cpu": "TIME_LIMIT_EXCEEDED",
    "wall": "TIME_LIMIT_EXCEEDED",
    "memory": "MEMORY_LIMIT_EXCEEDED",
    "output": "OUTPUT_LIMIT_EXCEEDED",
}
#: Limits that decide whatever was reported. The kernel may have killed a child of the candidate
#: for its memory, which then went on without it; and what is written last waits in a pipe, where it
#: is found too late to stop who wrote it.
_DECISIVE = frozenset({"memory", "output"})
_TEXT = 8192
#: What a role exits with where it could not be confined, and where its entry raised. Until the
#: candidate has compiled, nobody else could have exited with these.
_OUR_FAULTS = frozenset({70, 71})
NO_ASSERTIONS = {"passed": 0, "failed": 0, "first_failure": None}


class SandboxFailedError(OSError):
    """The sandbox failed, which says nothing about the candidate."""


class Exit(Protocol):
    """How a process ended."""

    @property
    def status(self) -> int | None:
        """Exit status, if it exited."""

    @property
    def signal(self) -> int | None:
        """Signal that killed it, if one did."""


class StageFacts(Protocol):
    """What the jail observed of a stage."""

    @property
    def exits(self) -> dict[str, Any]:
        """Role name to `Exit`."""

    @property
    def limit(self) -> str | None:
        """The limit that ended the stage."""


def classify(facts: StageFacts, report_data: bytes, proof: str) -> dict[str, Any]:
    """The verdict of a stage; cause before symptom.

    report_data: what the leader reported, from its progress on; empty beyond the bound.
    proof: the proof that a pass of this kind of stage carries.
    """
    marks, _, body = report_data.partition(b"{")
    phase = "TEST" if b"L" in marks else "LOAD" if b"C" in marks else "COMPILE"
    return weigh(facts, phase, parse_report(b"{" + body) if body else None, proof)


def weigh(
    facts: StageFacts, phase: str, report: dict[str, Any] | None, proof: str
) -> dict[str, Any]:
    """As `classify`, of a report that was read; `phase` is how far the candidate came.

    Raises:
        SandboxFailedError: a process ended by a fault of ours before it ran any code of others.
    """
    if facts.limit in _DECISIVE:
        return _verdict(_LIMITS[facts.limit], phase, f"the {facts.limit} limit was reached")
    if phase == "COMPILE" and facts.limit is None and (report is None or report.get("died")):
        for role, exit in facts.exits.items():
            if exit.status in _OUR_FAULTS:
                raise SandboxFailedError(f"the {role}'s process failed before it began")
    if facts.limit is not None and (report is None or report.get("died")):
        return _verdict(_LIMITS[facts.limit], phase, f"the {facts.limit} limit was reached")
    if report is None:
        leader = "judge" if "judge" in facts.exits else "candidate"
        return _verdict("RUNTIME_ERROR", phase, _how_it_ended(facts, leader))
    if report.get("died"):
        message = _how_it_ended(facts, "candidate") + report["message"]
        return {**_verdict("RUNTIME_ERROR", report["phase"], message), **_counted(report)}
    passed = report["verdict"] == "PASSED"
    verdict = _verdict(report["verdict"], report["phase"], report["message"])
    return {**verdict, **_counted(report), "proof": proof if passed else None}


def _verdict(verdict: str, phase: str, message: str) -> dict[str, Any]:
    return {
        "verdict": verdict,
        "phase": phase,
        "message": message,
        "assertions": NO_ASSERTIONS,
        "proof": None,
    }


def _counted(report: dict[str, Any]) -> dict[str, Any]:
    return {"assertions": report.get("assertions", NO_ASSERTIONS)}


def _how_it_ended(facts: StageFacts, role: str) -> str:
    exit = facts.exits.get(role)
    if exit is None or (exit.status is None and exit.signal is None):
        return f"the {role}'s process stopped answering"
    if exit.signal is not None:
        return f"the {role}'s process was killed by signal {exit.signal}"
    return f"the {role}'s process exited with status {exit.status} before the suite was done"


def parse_report(line: bytes) -> dict[str, Any] | None:
    """The report, if it is one in every particular; None otherwise."""
    try:
        report = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return report if _is_report(report) else None


def _is_report(report: Any) -> bool:
    if not isinstance(report, dict) or report.get("verdict") not in _VERDICTS:
        return False
    message, counts = report.get("message"), report.get("assertions", NO_ASSERTIONS)
    if not isinstance(message, str) or len(message) > _TEXT or not _are_assertions(counts):
        return False
    if report["verdict"] == "PASSED":
        return report.get("phase") == "TEST" and bool(counts["passed"] > 0)
    return report.get("phase") in ("COMPILE", "LOAD", "TEST")


def _are_assertions(counts: Any) -> bool:
    if not isinstance(counts, dict) or set(counts) != set(NO_ASSERTIONS):
        return False
    numbers = (counts["passed"], counts["failed"])
    if not all(type(n) is int and 0 <= n < 1 << 31 for n in numbers):
        return False
    failure = counts["first_failure"]
    if failure is None:
        return True
    if not isinstance(failure, dict) or set(failure) != {"line", "expression", "left", "right"}:
        return False
    texts = (failure["expression"], failure["left"], failure["right"])
    return type(failure["line"]) is int and all(
        isinstance(t, str) and len(t) <= _TEXT for t in texts
    )
