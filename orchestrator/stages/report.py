"""Stage `report`: one page with everything that is known of the run."""

from __future__ import annotations

from pathlib import Path

from orchestrator.report.render import render_report
from orchestrator.run import Run
from orchestrator.stages.report_data import gather
from orchestrator.store.stages import StageSummary


def report_file(run: Run) -> Path:
    """Where the page is written."""
    return run.folder / "report.html"


def report(run: Run) -> StageSummary:
    """Writes the page anew."""
    path = report_file(run)
    temporary = path.with_suffix(".tmp")
    # A lone surrogate in a model's text must not cost the whole page.
    temporary.write_text(render_report(gather(run)), encoding="utf-8", errors="backslashreplace")
    temporary.replace(path)
    return StageSummary("report", True, {}, (f"report: {path}",))
