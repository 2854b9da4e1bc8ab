"""The page in a real browser: what models wrote is shown and never runs."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest

from orchestrator.domain import AssertionFailure, Phase, Proof, Verdict
from orchestrator.report.data import (
    CandidateView,
    ExecutionView,
    FunnelStep,
    ProblemView,
    ReportData,
    SuiteView,
)
from orchestrator.report.render import render_report

#: Would change the title, if anything of it ran. (No lone surrogate: the store has none, and
#: printing a page that shows one is more than the browser can do.)
HOSTILE = (
    "</script><script>document.title='owned'</script>"
    "<img src=x onerror=\"document.title='owned'\">]]>--><svg/onload=document.title='owned'>"
    " ünïcödé 🐍 \u2028\u202e \0 "
)


def browser() -> str:
    """A browser that can be run without a screen."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found is not None:
            return found
    pytest.skip("no chromium here (Debian: apt-get install chromium)")


def problem(id: str, text: str) -> ProblemView:
    failure = AssertionFailure(2, f"f(1) == {text}", text, "2")
    execution = ExecutionView(
        "s1", Verdict.ASSERTION_FAILED, Phase.TEST, text, Proof.SEPARATED, failure
    )
    passed = CandidateView(0, "right", "return 2", True, "passed every suite")
    failed = CandidateView(1, text, f"source {text}", False, text, (text,), (execution,))
    return ProblemView(
        id, text, "python", (SuiteView("s1", text, text, True, text),), (passed, failed)
    )


class Elements(HTMLParser):
    """The names of all elements and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def dom(tmp_path: Path, page: str, fragment: str = "") -> str:
    """The page's elements, as the browser has them once its script has run."""
    file = tmp_path / "report.html"
    file.write_text(page, encoding="utf-8")
    done = subprocess.run(
        [
            *(browser(), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--disable-dev-shm-usage", f"--user-data-dir={tmp_path}/profile"),
            f"{file.as_uri()}{fragment}",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_a_problem_is_shown_with_its_failing_assertion_and_nothing_of_it_runs(
    tmp_path: Path,
) -> None:
    hostile_id = "p/ü<1>"
    data = ReportData(
        "run",
        "now",
        funnel=(FunnelStep(HOSTILE, 3),),
        problems=(problem("p0", "harmless"), problem(hostile_id, HOSTILE)),
        problems_total=2,
    )
    shown = dom(tmp_path, render_report(data), f"#problem/{quote(hostile_id, safe='')}/1")
    assert "<title>run</title>" in shown
    found = Elements()
    found.feed(shown)
    assert not found.tags & {"img", "svg/onload"}
    assert not {name for name in found.attributes if name.startswith("on")}
    assert "<h2>p/ü&lt;1&gt;</h2>" in shown
    assert "line 2: f(1) == &lt;/script&gt;" in shown
    assert "ünïcödé 🐍" in shown
    assert "ASSERTION_FAILED" in shown
    assert "source &lt;/script&gt;" in shown


def test_the_first_problem_is_shown_and_all_are_in_the_list(tmp_path: Path) -> None:
    problems = tuple(problem(f"p{n}", f"task {n}") for n in range(50))
    shown = dom(tmp_path, render_report(ReportData("run", "now", problems=problems)))
    assert "<h2>p0</h2>" in shown
    assert shown.count('<button type="button"') == 50
    assert shown.count(">1/2</span>") == 50


def test_the_filter_looks_through_ids_and_instructions(tmp_path: Path) -> None:
    problems = tuple(problem(f"p{n}", f"task {n}/ä") for n in range(50))
    page = render_report(ReportData("run", "now", problems=problems))
    shown = dom(tmp_path, page, f"#find/{quote('TASK 4', safe='')}")
    assert shown.count('<button type="button"') == 11  # 4, and 40 to 49
    assert "<h2>p4</h2>" in shown
    shown = dom(tmp_path, page, f"#find/{quote('7/ä', safe='')}")
    assert shown.count('<button type="button"') == 5
    assert "No problem matches" in dom(tmp_path, page, "#find/nothing")
