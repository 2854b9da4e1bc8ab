"""Turns report data into one HTML page that needs nothing from anywhere else.

What candidates and models wrote is hostile. In the page's own text Jinja escapes it; for the
problem browser it travels as JSON in which no `<` is left, and the script only ever sets text,
never markup. A content security policy names the page's one script and one style by hash, so
that nothing else would run even so.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from orchestrator.domain import Phase, Verdict
from orchestrator.report.charts import bars, histogram, intervals
from orchestrator.report.data import ProblemView, ReportData

#: What the problem browser holds at most, so that browsers can still open the page.
MAX_PROBLEMS = 200
MAX_CANDIDATES = 50
MAX_TEXT_CHARS = 6_000
MAX_BROWSER_CHARS = 16_000_000


@dataclass(frozen=True)
class _VerdictRow:
    """Executions of one verdict, by phase in the order of `Phase`."""

    verdict: Verdict
    counts: tuple[int, ...]
    total: int


def render_report(data: ReportData) -> str:
    """The page."""
    style, script = _asset("page.css"), _asset("page.js")
    shown = _shown(data.problems)
    page = (
        _environment()
        .get_template("page.html")
        .render(
            data=data,
            style=Markup(style),
            script=Markup(script),
            style_hash=_csp_hash(style),
            script_hash=_csp_hash(script),
            problems_json=Markup(f"[{','.join(shown)}]"),
            shown=len(shown),
            total=max(data.problems_total, len(data.problems)),
            phases=list(Phase),
            verdicts=_verdict_rows(data),
            funnel=bars([step.count for step in data.funnel]),
            drops=bars([row.count for row in data.drops]),
            suites=bars([row.count for row in data.suites]),
            check_codes=bars([row.count for row in data.check_codes]),
            labels=bars([row.count for row in data.labels]),
            timings=bars([row.wall_s for row in data.timings]),
            histogram=histogram(data.correct_shares),
            intervals=intervals(data.comparisons),
        )
    )
    # A lone surrogate, which models do produce, cannot be written to any file.
    return page.encode(errors="replace").decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("orchestrator.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = _percent
    environment.filters["points"] = _points
    environment.filters["duration"] = _duration
    return environment


def _asset(name: str) -> str:
    return files("orchestrator.report").joinpath(name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _script_json(value: Any) -> str:
    """JSON that cannot end the script element that holds it, nor open a comment in it."""
    text = json.dumps(value, separators=(",", ":"))  # ASCII: lone surrogates stay escapes
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _shown(problems: Sequence[ProblemView]) -> list[str]:
    """The problems of the browser, each as JSON: as many as fit."""
    shown: list[str] = []
    characters = 0
    for problem in problems[:MAX_PROBLEMS]:
        text = _script_json(_bounded(problem))
        characters += len(text)
        if characters > MAX_BROWSER_CHARS:
            break
        shown.append(text)
    return shown


def _bounded(problem: ProblemView) -> dict[str, Any]:
    """The problem as JSON values, long texts cut and marked as cut."""

    def cut(value: Any) -> Any:
        match value:
            case str() if len(value) > MAX_TEXT_CHARS:
                return f"{value[:MAX_TEXT_CHARS]}\n[{len(value) - MAX_TEXT_CHARS} more characters]"
            case dict():
                return {key: cut(item) for key, item in value.items()}
            case list() | tuple():
                return [cut(item) for item in value]
            case _:
                return value

    bounded: dict[str, Any] = cut(asdict(problem))
    return bounded


def _verdict_rows(data: ReportData) -> Sequence[_VerdictRow]:
    counts: Counter[tuple[Verdict, Phase]] = Counter()
    for row in data.verdicts:
        counts[row.verdict, row.phase] += row.count
    rows = []
    for verdict in Verdict:
        by_phase = tuple(counts[verdict, phase] for phase in Phase)
        if sum(by_phase):
            rows.append(_VerdictRow(verdict, by_phase, sum(by_phase)))
    return rows


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _points(difference: float) -> str:
    """A difference of shares in percentage points, signed."""
    return f"{100 * difference:+.1f}"


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
