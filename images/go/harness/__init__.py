"""What is particular to judging Go: packages built once, and which errors are the suite's own.

`runtime/build` is the program that compiles and links; `runtime/plum` is what counts and reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .prepare import prepare

__all__ = ["broken_suite", "prepare", "sources", "together"]


def sources(solution: str, suite: str, prepared: str) -> dict[str, Any]:
    """Both files; without a suite the solution alone, to be checked."""
    files = {"solution.go": solution}
    if suite:
        files["suite.go"] = suite
    return {"files": files}


def together(solution: str, suites: Sequence[str], prepared: str) -> list[dict[str, Any]]:
    """All of them; whether they can be one program is for the program that builds it to say."""
    files = {f"{number}/suite.go": suite for number, suite in enumerate(suites)}
    files["solution.go"] = solution
    places = list(range(len(suites)))
    return [{"files": files, "arguments": ["together"], "suites": places, "one_program": True}]


def broken_suite(messages: Sequence[str]) -> bool:
    """Whether the suite is no Go, imports what there is not, or has no test."""
    reasons = ("syntax error:", "is not available here", "there is no test function")
    return any(reason in message for message in messages for reason in reasons)
