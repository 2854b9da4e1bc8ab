"""Progress is plain lines off a terminal, and never touches standard output."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pytest

from orchestrator.progress import Progress, progress


def test_off_a_terminal_the_end_is_one_plain_line() -> None:
    stream = io.StringIO()
    with Progress(3, "label", "problems", stream=stream) as bar:
        bar.advance()
        bar.advance(2)
    assert stream.getvalue().startswith("label: 3/3 problems, ")
    assert stream.getvalue().endswith("/s, done\n")


def test_work_that_fails_is_said_to_have_stopped() -> None:
    stream = io.StringIO()

    def fail() -> None:
        with Progress(3, "label", "problems", stream=stream) as bar:
            bar.advance()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "label: 1/3 problems" in stream.getvalue()
    assert stream.getvalue().endswith("stopped\n")


def test_nothing_done_says_nothing() -> None:
    stream = io.StringIO()
    with Progress(3, "label", "problems", done=3, stream=stream):
        pass
    assert stream.getvalue() == ""


def test_items_pass_lazily_and_standard_output_stays_clean(
    capsys: pytest.CaptureFixture[str],
) -> None:
    taken = []

    def items() -> Iterator[int]:
        for item in range(3):
            taken.append(item)
            yield item

    passing = progress(items(), "load", "rows")
    assert next(passing) == 0
    assert taken == [0]
    assert list(passing) == [1, 2]
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("load: 3 rows, ")
