"""The report shows what it is given, and nothing that a model wrote becomes markup."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import AssertionFailure, Phase, Proof, Verdict
from orchestrator.report.charts import BAR_WIDTH, bars, histogram
from orchestrator.report.data import (
    CandidateView,
    Comparison,
    ConsistencyRow,
    ContaminatedRow,
    ExecutionView,
    FunnelStep,
    LabelCount,
    NamedCount,
    ProblemView,
    ReportData,
    Score,
    SuiteView,
    Timing,
    VerdictCount,
)
from orchestrator.report.render import (
    MAX_BROWSER_CHARS,
    MAX_CANDIDATES,
    MAX_PROBLEMS,
    MAX_TEXT_CHARS,
    render_report,
)

HOSTILE = "</script><script>alert(1)</script><!--<img src=x onerror=alert(1)>{{ 7*7 }}&\"'\ud800"


def problem(text: str, id: str = "p") -> ProblemView:
    failure = AssertionFailure(2, text, text, "")
    execution = ExecutionView(
        text, Verdict.ASSERTION_FAILED, Phase.TEST, text, Proof.SEPARATED, failure
    )
    candidate = CandidateView(0, text, text, None, text, (text,), (execution,))
    return ProblemView(id, text, text, (SuiteView("s", text, text, True, text),), (candidate,))


def page(text: str) -> str:
    return render_report(
        ReportData(
            title=text,
            created_at=text,
            settings=((text, text),),
            funnel=(FunnelStep(text, 3, text),),
            drops=(NamedCount(text, 1),),
            contaminated=(ContaminatedRow(text, text),),
            consistency=(ConsistencyRow(text, 10, 8, 6, 5),),
            suites=(NamedCount(text, 1),),
            checks_left_out=(NamedCount(text, 1),),
            refused=(NamedCount(text, 1),),
            costs=((text, "5"),),
            verdicts=(VerdictCount(Verdict.PASSED, Phase.TEST, 4),),
            check_codes=(NamedCount(text, 1),),
            labels=(LabelCount(True, text, 2), LabelCount(None, text, 3)),
            correct_shares=(0.0, 0.5, 1.0),
            comparisons=(
                Comparison(text, 3, Score(0.1, 0.0, 0.2), Score(0.5), Score(0.4, 0.3, 0.5)),
            ),
            timings=(Timing(text, 61.0),),
            problems=(problem(text),),
        )
    )


class Outline(HTMLParser):
    """Elements and attributes of a page, and the text of its scripts."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.scripts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.elements and self.elements[-1][0] == "script":
            self.scripts[-1] += data


def outline(text: str) -> Outline:
    parser = Outline()
    parser.feed(text)
    return parser


HARMLESS = outline(page("harmless")).elements


def test_hostile_text_adds_no_element_and_no_attribute() -> None:
    assert outline(page(HOSTILE)).elements == HARMLESS


@given(st.text(alphabet="<>/!-scriptalg&\"'{%} \n", max_size=60))
def test_no_text_adds_an_element(text: str) -> None:
    assert outline(page(text)).elements == HARMLESS


def test_the_browser_gets_the_text_unchanged() -> None:
    data, script = outline(page(HOSTILE)).scripts
    assert json.loads(data)[0]["candidates"][0]["source"] == HOSTILE
    assert "innerHTML" not in script.replace("no innerHTML", "")


def test_the_page_needs_nothing_from_elsewhere_and_can_be_written() -> None:
    text = page(HOSTILE)
    assert text.encode()
    assert "http://" not in text
    assert "https://" not in text
    assert "default-src 'none'" in text


def test_long_texts_and_long_lists_are_cut_and_say_so() -> None:
    problems = tuple(problem("x" * (MAX_TEXT_CHARS + 5), str(i)) for i in range(MAX_PROBLEMS + 1))
    data = ReportData("t", "now", problems=problems, problems_total=75_000, seed=7)
    text = render_report(data)
    assert f"{MAX_PROBLEMS} of 75000 problems, drawn at random with seed 7" in text
    assert "[5 more characters]" in text


def test_the_page_stays_bounded_whatever_the_problems_hold() -> None:
    candidate = problem("<" * MAX_TEXT_CHARS).candidates[0]
    big = replace(problem("p"), candidates=(candidate,) * MAX_CANDIDATES, more_candidates=9)
    problems = tuple(replace(big, id=str(i)) for i in range(20))
    text = render_report(ReportData("t", "now", problems=problems, problems_total=20))
    assert len(text) < MAX_BROWSER_CHARS + 100_000
    data, _ = outline(text).scripts
    shown = json.loads(data)
    assert 0 < len(shown) < 20
    assert f"{len(shown)} of 20 problems" in text
    assert shown[0]["more_candidates"] == 9


def test_self_consistency_is_a_rate_for_each_dataset() -> None:
    rows = (ConsistencyRow("oss", 10, 8, 6, 5), ConsistencyRow("evol", 0, 0, 0, 0))
    text = render_report(ReportData("t", "now", consistency=rows))
    assert "75.0 %" in text
    assert "62.5 %" in text


def test_an_empty_run_has_a_page() -> None:
    assert "<h1>empty</h1>" in render_report(ReportData("empty", "now"))


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("phase", Phase)
def test_every_verdict_and_phase_is_shown(verdict: Verdict, phase: Phase) -> None:
    text = render_report(ReportData("t", "now", verdicts=(VerdictCount(verdict, phase, 12345),)))
    assert f">{verdict}</span>" in text
    assert "12345" in text


@given(st.lists(st.floats(0, 1), min_size=1))
def test_every_share_is_in_the_column_that_says_so(shares: list[float]) -> None:
    columns = histogram(shares)
    assert sum(column.count for column in columns) == len(shares)
    for share in shares:
        [one] = [column for column in histogram([share]) if column.count]
        assert one.low - 1e-8 <= share <= one.high + 1e-8


def test_the_longest_bar_fills_the_track() -> None:
    assert bars([1, 2, 4]) == [BAR_WIDTH / 4, BAR_WIDTH / 2, BAR_WIDTH]
    assert bars([0, 0]) == [0, 0]
    assert bars([]) == []
