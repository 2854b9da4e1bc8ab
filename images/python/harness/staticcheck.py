"""The static check: many candidates in one build of mypy, in a confined process.

Syntax is looked at first and for each candidate by itself, so that one that
does not parse hides nothing of the others. A candidate that breaks the checker
is found by checking its batch in parts, and costs only itself.

The first check of a slot reads the stubs of the standard library in a stage of
their own, before any candidate, so that no candidate can put anything there.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import re
import warnings
from collections.abc import Sequence
from typing import Any

from . import typecheck
from .loading import read_all
from .stage import Role
from .wire import FILE_MARK

#: Candidates of one build; also keeps a report within what a jail reads.
_BATCH = 200
_REPORT_BYTES = 1_000_000
#: CPU time of a build: far above what candidates need, far below what one may waste.
_BUILD_S = 4
_BUILD_S_EACH = 0.05
_MOST_DIAGNOSTICS = 100
_MESSAGE = 1024
_LINE = re.compile(
    r"^candidate_(\d+)\.py:(\d+): (error|warning|note): (.*?)(?:  \[([a-z0-9-]+)\])?$"
)


#: The packed stubs, one copy for each supervisor. None until they were read, empty where they
#: cannot be: then every build reads them itself.
_stubs: bytes | None = None


def check(candidates: Sequence[dict[str, Any]], jail: Any) -> list[dict[str, Any]]:
    """Checks `candidates` (``id`` and ``solution`` each); one result for each, in their order."""
    global _stubs  # noqa: PLW0603 - a supervisor checks for as long as its slot lives
    if importlib.util.find_spec("mypy") is None:
        reason = "mypy is not installed where the worker runs"
        return [_result(c["id"], "NOT_CHECKED", message=reason) for c in candidates]
    if _stubs is None:
        facts = _run_role("staticcheck:stubs", (), jail)
        whole = facts.limit is None and facts.exits["check"].status == 0
        _stubs = (facts.report or b"") if whole else b""
    results: list[dict[str, Any]] = []
    for at in range(0, len(candidates), _BATCH):
        results += _check_batch(candidates[at : at + _BATCH], _stubs, jail)
    return results


def _check_batch(
    candidates: Sequence[dict[str, Any]], stubs: bytes, jail: Any
) -> list[dict[str, Any]]:
    sources = [c["solution"].removeprefix(FILE_MARK) for c in candidates]
    texts = json.dumps(sources).encode("ascii")
    handed_over = (jail.hand_over(stubs), jail.hand_over(texts))
    facts = _run_role("staticcheck:main", handed_over, jail)
    found = None if facts.limit else _parse_report(facts.report, len(candidates))
    if found is not None:
        return [{"id": c["id"], **f} for c, f in zip(candidates, found, strict=True)]
    if len(candidates) == 1:
        why = f"reached the {facts.limit} limit" if facts.limit else "crashed"
        return [_result(candidates[0]["id"], "NOT_CHECKED", f"the checker {why}")]
    # Each failure may cost the whole limit: fewer and smaller parts than halves, and halves of
    # halves, would be.
    step = math.isqrt(len(candidates))
    parts = [candidates[at : at + step] for at in range(0, len(candidates), step)]
    return [result for part in parts for result in _check_batch(part, stubs, jail)]


def _run_role(entry: str, fds: tuple[int, ...], jail: Any) -> Any:
    """The facts of a stage in which this role reports."""
    report_in, report_out = os.pipe()
    role = Role("check", entry, (*fds, report_out), True)
    try:
        return jail.run_stage([role], report_fd=report_in, close_after_fork=[report_out])
    finally:
        os.close(report_in)


def _parse_report(data: bytes | None, count: int) -> list[dict[str, Any]] | None:
    try:
        rows = json.loads(data or b"")
    except (ValueError, RecursionError):
        return None
    if not isinstance(rows, list) or len(rows) != count or not all(map(_is_row, rows)):
        return None
    return rows


def _is_row(row: Any) -> bool:
    if not isinstance(row, dict) or set(row) != {"status", "diagnostics", "message"}:
        return False
    if row["status"] not in ("CHECKED", "SYNTAX_ERROR", "NOT_CHECKED"):
        return False
    diagnostics = row["diagnostics"]
    return (
        isinstance(row["message"], str)
        and isinstance(diagnostics, list)
        and len(diagnostics) <= _MOST_DIAGNOSTICS
        and all(_is_diagnostic(d) for d in diagnostics)
    )


def _is_diagnostic(d: Any) -> bool:
    return (
        isinstance(d, dict)
        and set(d) == {"line", "severity", "code", "message"}
        and type(d["line"]) is int
        and d["severity"] in ("ERROR", "WARNING", "NOTE")
        and all(isinstance(d[k], str) and len(d[k]) <= _MESSAGE for k in ("code", "message"))
    )


def _result(identity: str, status: str, message: str = "") -> dict[str, Any]:
    return {"id": identity, "status": status, "diagnostics": [], "message": message}


# -- in the confined process -------------------------------------------------------------------


def stubs(report_fd: int) -> int:
    """Entry of the role that reads the stubs."""
    packed = typecheck.read_stubs()
    if len(packed) <= _REPORT_BYTES:
        with open(report_fd, "wb") as out:
            out.write(packed)
    return 0


def main(stubs_fd: int, texts_fd: int, report_fd: int) -> int:
    """Entry of the role that checks candidates."""
    warnings.simplefilter("ignore")
    sources: list[str] = json.loads(read_all(texts_fd))
    typecheck.limit_cpu_time(math.ceil(_BUILD_S + _BUILD_S_EACH * len(sources)))
    typecheck.put_stubs(read_all(stubs_fd))
    rows: list[dict[str, Any]] = []
    for source in sources:
        error = _syntax_error(source)
        rows.append(
            {
                "status": "CHECKED" if error is None else "SYNTAX_ERROR",
                "diagnostics": [] if error is None else [error],
                "message": "",
            }
        )
    good = [i for i, row in enumerate(rows) if row["status"] == "CHECKED"]
    _check_types(sources, good, rows)
    with open(report_fd, "wb") as out:
        out.write(_bounded(rows))
    return 0


def _syntax_error(source: str) -> dict[str, Any] | None:
    try:
        compile(source, "solution.py", "exec", dont_inherit=True)
    except SyntaxError as e:
        return _diagnostic(e.lineno or 1, "ERROR", "syntax", str(e.msg))
    except (ValueError, RecursionError, MemoryError, OverflowError) as e:
        return _diagnostic(1, "ERROR", "syntax", f"{type(e).__name__}: {e}")
    return None


def _diagnostic(line: int, severity: str, code: str, message: str) -> dict[str, Any]:
    text = message.encode("utf-8", "replace").decode("utf-8")
    return {"line": line, "severity": severity, "code": code, "message": text[:_MESSAGE]}


def _check_types(sources: list[str], which: list[int], rows: list[dict[str, Any]]) -> None:
    """Fills in what mypy says of the candidates `which`; halves them where it gives up."""
    if not which:
        return
    try:
        lines = typecheck.run_mypy({i: sources[i] for i in which})
    except BaseException as e:  # mypy ends the process on an internal error
        if len(which) == 1:
            row = rows[which[0]]
            row["status"], row["message"] = "NOT_CHECKED", f"the checker gave up: {e}"[:_MESSAGE]
            return
        half = len(which) // 2
        _check_types(sources, which[:half], rows)
        _check_types(sources, which[half:], rows)
        return
    for line in lines:
        match = _LINE.match(line)
        if match is not None:
            number, at, severity, message, code = match.groups()
            found = rows[int(number)]["diagnostics"]
            if len(found) < _MOST_DIAGNOSTICS:
                found.append(_diagnostic(int(at), severity.upper(), code or "", message))
    for i in which:
        rows[i]["diagnostics"].sort(key=lambda d: d["line"])


def _bounded(rows: list[dict[str, Any]]) -> bytes:
    """The report; where it would be too long, each candidate keeps only its first findings."""
    most = _MOST_DIAGNOSTICS
    while True:
        for row in rows:
            del row["diagnostics"][most:]
        data = json.dumps(rows).encode("ascii")
        if len(data) <= _REPORT_BYTES or most <= 1:
            return data
        most //= 2
