"""Geometry of the report's charts, as numbers that the template writes into SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.report.data import Comparison, Score

#: Width of a bar that stands for the largest value, in SVG units.
BAR_WIDTH = 240.0

_BINS = 10
_BIN_WIDTH = 56.0
_PLOT_HEIGHT = 150.0
#: An interval plot runs from 0 to 1 over this many units.
_SCALE_WIDTH = 420.0


@dataclass(frozen=True)
class Bin:
    """One column of a histogram: all values in (low, high], the first from 0 on inclusive."""

    low: float
    high: float
    count: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Interval:
    """One line of an interval plot: a point, and the ends of its interval, as x."""

    point: float
    low: float
    high: float


@dataclass(frozen=True)
class IntervalRow:
    """A measure before and after."""

    before: Interval
    after: Interval | None


def bars(values: Sequence[float]) -> list[float]:
    """Widths of horizontal bars, the longest BAR_WIDTH."""
    longest = max(values, default=0)
    return [round(BAR_WIDTH * value / longest, 1) if longest else 0.0 for value in values]


def histogram(shares: Sequence[float]) -> list[Bin]:
    """Ten columns over [0, 1]; nothing where there is no value."""
    if not shares:
        return []
    counts = [0] * _BINS
    for share in shares:
        # Rounded first: 0.3 * 10 must not land one column up.
        counts[max(0, min(_BINS - 1, -int(-round(share * _BINS, 9) // 1) - 1))] += 1
    most = max(counts)
    columns = []
    for i, count in enumerate(counts):
        height = round(_PLOT_HEIGHT * count / most, 1)
        columns.append(
            Bin(
                i / _BINS,
                (i + 1) / _BINS,
                count,
                i * _BIN_WIDTH + 3,
                _PLOT_HEIGHT - height,
                _BIN_WIDTH - 6,
                height,
            )
        )
    return columns


def intervals(comparisons: Sequence[Comparison]) -> list[IntervalRow]:
    """Positions of the points and intervals of measures."""
    return [
        IntervalRow(_interval(c.before), None if c.after is None else _interval(c.after))
        for c in comparisons
    ]


def _interval(score: Score) -> Interval:
    low = score.value if score.low is None else score.low
    high = score.value if score.high is None else score.high
    return Interval(*(round(_SCALE_WIDTH * value, 1) for value in (score.value, low, high)))
