"""What a second process is told of a run at work."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.status import status
from orchestrator.domain import ExecutionError
from orchestrator.recipe import load_recipe
from orchestrator.run import Run
from orchestrator.status import read_status
from orchestrator.store.database import open_writer
from orchestrator.store.executions import add_outcomes
from orchestrator.store.progress import Moment


@contextmanager
def at_work(folder: Path) -> Iterator[Run]:
    (folder / "instructions.jsonl").write_text("")
    recipe = folder / "recipe.toml"
    recipe.write_text('[instructions]\npath = "instructions.jsonl"\n')
    with open_writer(folder) as db, ExitStack() as resources:
        yield Run(folder, load_recipe(recipe), db, resources, [])


def test_the_work_that_goes_on_is_seen_with_what_an_earlier_run_had_done(tmp_path: Path) -> None:
    with at_work(tmp_path) as run:
        assert read_status(tmp_path).at_work is None
        with run.progress(10, "label", "samples", done=4) as bar:
            moment = read_status(tmp_path).at_work
            assert moment is not None
            assert (moment.work, moment.done, moment.total, moment.first_done) == (
                "label",
                4,
                10,
                4,
            )
            assert moment.rate() is None
            bar.advance(6)
        assert read_status(tmp_path).at_work is None
    assert read_status(tmp_path).writer_pid is None


@given(
    st.integers(0, 10**6),
    st.integers(1, 10**6),
    st.none() | st.integers(0, 10**7),
    st.floats(0.1, 10**6),
)
def test_rate_and_time_left_are_of_this_run_alone(
    first: int, units: int, total: int | None, seconds: float
) -> None:
    moment = Moment("w", "u", first + units, total, first, 1000.0, 1000.0 + seconds)
    rate = moment.rate()
    assert rate is not None
    assert rate == pytest.approx(units / seconds, rel=1e-3)
    left_s = moment.left_s()
    if total is None:
        assert left_s is None
    else:
        assert left_s is not None
        assert left_s == pytest.approx(max(0, total - first - units) / rate)


def test_executions_that_did_not_take_place_are_shown(tmp_path: Path) -> None:
    with at_work(tmp_path) as run:
        add_outcomes(run.db, [ExecutionError("a:b:0", "UNAVAILABLE", "worker lost")])
        shown = CliRunner().invoke(status, ["--run-dir", str(tmp_path)])
    assert "not executed: 1 x UNAVAILABLE: worker lost" in shown.output


def test_watch_ends_when_nobody_works_on_the_run_any_more(tmp_path: Path) -> None:
    options = ["--run-dir", str(tmp_path), "--watch", "--every", "0.1", "--json"]
    with at_work(tmp_path) as run, run.progress(10, "label", "samples") as bar:
        bar.advance(3)
    watched = CliRunner().invoke(status, options)
    assert watched.exit_code == 0
    [line] = watched.output.splitlines()
    assert json.loads(line)["writer_pid"] is None
