"""The demo runs the whole method: small here, with every part real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="needs the train extra")
pytestmark = [pytest.mark.train, pytest.mark.slow, pytest.mark.timeout(600)]

SMALL = ["--problems=12", "--base-steps=120", "--train-steps=2", "--evaluate-problems=8"]


def run_demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trainer.demo", "--out", str(folder), *SMALL, *options],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of a small demo and what it printed."""
    folder = tmp_path_factory.mktemp("demo") / "out"
    done = run_demo(folder)
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


def table(shown: str) -> str:
    """What the demo itself prints, without the times of the stages."""
    return shown.partition("\nThe run\n")[2].partition("\nTook")[0]


def test_every_part_of_the_method_leaves_its_trace(finished: tuple[Path, str]) -> None:
    folder, shown = finished
    assert (folder / "run/report.html").stat().st_size > 10_000
    manifest = json.loads((folder / "run/model/manifest.json").read_text())
    assert manifest["result"]["steps"] == 2
    rows = (folder / "run/dataset/kto/train.jsonl").read_text().splitlines()
    assert manifest["rows"]["read"] == len(rows)
    for heading in ("suites kept", "PASSED", "desirable", "before", "after", "change", "beta 0.1"):
        assert heading in shown


def test_broken_suites_are_filtered_and_the_counts_add_up(finished: tuple[Path, str]) -> None:
    _, shown = finished
    suites = shown.partition("Suites\n")[2].partition("Executions")[0].splitlines()
    counts = {
        (line.split()[-1], " ".join(line.split()[:-2])): int(line.split()[-2]) for line in suites
    }
    assert sum(counts.values()) == 3 * 12
    kept = sum(count for (fate, _), count in counts.items() if fate == "kept")
    assert 0 < kept < 3 * 12


def test_a_finished_demo_shows_its_result_again_and_other_settings_are_refused(
    finished: tuple[Path, str],
) -> None:
    folder, shown = finished
    again = run_demo(folder)
    assert again.returncode == 0, again.stderr
    assert table(again.stdout) == table(shown)
    other = run_demo(folder, "--seed=1")
    assert other.returncode == 1
    assert "other settings" in other.stderr


def test_a_run_that_no_demo_began_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    done = run_demo(tmp_path)
    assert done.returncode == 1
    assert "no demo began it" in done.stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "run"]
