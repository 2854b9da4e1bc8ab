"""The static check: many candidates in one build of mypy, in a confined process.

Syntax is looked at first and for each candidate by itself, so that one that
does not parse hides nothing of the others. A candidate that breaks the checker
is found by halving the batch and costs only itself.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import re
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from .candidate import read_all
from .stage import Role

#: Candidates of one build; also keeps a report within what a jail reads.
_BATCH = 200
_REPORT_BYTES = 1_000_000
_MOST_DIAGNOSTICS = 100
_MESSAGE = 1024
_LINE = re.compile(
    r"^candidate_(\d+)\.py:(\d+): (error|warning|note): (.*?)(?:  \[([a-z0-9-]+)\])?$"
)


def check(candidates: Sequence[dict[str, Any]], jail: Any) -> list[dict[str, Any]]:
    """Checks `candidates` (``id`` and ``solution`` each); one result for each, in their order."""
    if importlib.util.find_spec("mypy") is None:
        reason = "mypy is not installed where the worker runs"
        return [_result(c["id"], "NOT_CHECKED", message=reason) for c in candidates]
    results: list[dict[str, Any]] = []
    for at in range(0, len(candidates), _BATCH):
        results += _check_batch(candidates[at : at + _BATCH], jail)
    return results


def _check_batch(candidates: Sequence[dict[str, Any]], jail: Any) -> list[dict[str, Any]]:
    found, why = _run_stage([c["solution"] for c in candidates], jail)
    if found is not None:
        return [{"id": c["id"], **f} for c, f in zip(candidates, found, strict=True)]
    if len(candidates) == 1:
        return [_result(candidates[0]["id"], "NOT_CHECKED", message=why)]
    half = len(candidates) // 2
    return _check_batch(candidates[:half], jail) + _check_batch(candidates[half:], jail)


def _run_stage(sources: list[str], jail: Any) -> tuple[list[dict[str, Any]] | None, str]:
    report_in, report_out = os.pipe()
    texts = jail.hand_over(json.dumps(sources).encode("ascii"))
    role = Role("check", "staticcheck:main", (texts, report_out), True)
    try:
        facts = jail.run_stage([role], report_fd=report_in, close_after_fork=[report_out])
    finally:
        os.close(report_in)
    if facts.limit is not None:
        return None, f"the checker reached the {facts.limit} limit"
    found = _parse_report(facts.report, len(sources))
    return found, "" if found is not None else "the checker crashed"


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


def main(texts_fd: int, report_fd: int) -> int:
    """Entry of the role."""
    warnings.simplefilter("ignore")
    sources: list[str] = json.loads(read_all(texts_fd))
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
        lines = _run_mypy({i: sources[i] for i in which})
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


def _run_mypy(texts: dict[int, str]) -> list[str]:
    """Lines of mypy about the sources, one build for all.

    Raises:
        mypy.errors.CompileError: a source stops the build.
        SystemExit: mypy failed within.
    """
    # mypy asks it for processors where it is installed, and it reads /proc, which no jail has.
    sys.modules["psutil"] = None  # type: ignore[assignment]
    from mypy import build
    from mypy.options import Options

    options = Options()
    options.ignore_missing_imports = True
    options.no_site_packages = True
    options.check_untyped_defs = True
    # Candidates are snippets: variables may change their type, None may come and go.
    options.allow_redefinition = True
    options.strict_optional = False
    options.implicit_optional = True
    options.hide_error_codes = False
    options.error_summary = False
    options.pretty = False
    options.show_traceback = False
    options.incremental = False
    options.cache_dir = os.devnull
    options.many_errors_threshold = -1
    sources = [
        build.BuildSource(f"candidate_{i}.py", f"candidate_{i}", text) for i, text in texts.items()
    ]
    quiet = io.StringIO()
    keep = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = quiet
    try:
        return list(build.build(sources, options, stdout=quiet, stderr=quiet).errors)
    finally:
        sys.stdout, sys.stderr = keep


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
