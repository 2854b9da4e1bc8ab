"""The table at the end of the demo, from the run's own record."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from orchestrator.report.data import Comparison, ReportData, Score
from orchestrator.run import open_run
from orchestrator.stages.report_data import gather
from trainer.demo.recipe import DemoFiles

_BETA_NOTE = """\
The demo trains with beta 2.0 and learning rate 2e-4. A real code model wants beta 0.1 and a
rate near 5e-6, the defaults of plum-train: it is right in most things and only needs to be
nudged. The demo's tiny policy is wrong by habit, so it takes big steps, and big steps need a
strong hold on the reference."""


def summarise(files: DemoFiles) -> str:
    """Counts of every stage and pass@1 before and after, as text."""
    with open_run(files.run, None) as run:
        data = gather(run)
    return "\n".join(
        [
            "",
            *_section("The run", ((s.name, s.count, s.detail) for s in data.funnel)),
            *_section("Suites", ((c.detail, c.count, c.name) for c in data.suites)),
            *_section("Executions by verdict", _verdicts(data)),
            *_section("Samples by label", _labels(data)),
            *_comparisons(data.comparisons),
            "",
            _BETA_NOTE,
        ]
    )


def _section(title: str, rows: Iterable[tuple[str, int, str]]) -> list[str]:
    return [title, *(f"  {name:<42}{count:>7}  {detail}".rstrip() for name, count, detail in rows)]


def _verdicts(data: ReportData) -> list[tuple[str, int, str]]:
    return [(str(v.verdict), v.count, f"phase {v.phase}") for v in data.verdicts]


def _labels(data: ReportData) -> list[tuple[str, int, str]]:
    names = {True: "desirable", False: "undesirable", None: "dropped"}
    counts: Counter[tuple[str, str]] = Counter()
    for label in data.labels:
        counts[names[label.value], label.reason] += label.count
    return [(reason, count, name) for (name, reason), count in sorted(counts.items())]


def _comparisons(comparisons: Iterable[Comparison]) -> list[str]:
    head = f"  {'':<36}{'before':>22}{'after':>22}{'change':>22}"
    lines = ["Share of problems solved, in percent, with 95 % intervals", head]
    for c in comparisons:
        # The run's own name for sampled pass@1 does not say at which temperature.
        name = c.name if "greedy" in c.name else f"{c.name} at T=1"
        cells = "".join(f"{_score(score):>22}" for score in (c.before, c.after, c.difference))
        lines.append(f"  {name:<36}{cells}")
        lines.append(f"    on {c.problems} problems; change: paired bootstrap over problems")
    return lines


def _score(score: Score | None) -> str:
    if score is None:
        return "-"
    if score.low is None or score.high is None:
        return f"{100 * score.value:.1f}"
    return f"{100 * score.value:.1f} [{100 * score.low:.1f}, {100 * score.high:.1f}]"
