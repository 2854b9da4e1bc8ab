"""Instructions are loaded once, all or nothing, and every row can be accounted for afterwards."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.database import open_reader
from tests.integration.hub import serve_hub
from tests.integration.run_helpers import plum, stages_of

RECIPE = """
[run]
seed = 3
[instructions]
path = "rows.jsonl"
sample = 100
[instructions.filters]
min_chars = 10
near_duplicates = 0.8
[instructions.decontamination]
[[instructions.decontamination.benchmarks]]
path = "bench.jsonl"
format = "plain"
[generation]
provider = "recorded"
path = "answers.jsonl"
"""
#: Kills itself while it stores its 50th problem.
KILLED = """
import os, signal
from orchestrator.stages import load
whole = load.add_problem
def add_problem(db, ordinal, problem):
    whole(db, ordinal, problem)
    if ordinal == 50:
        os.kill(os.getpid(), signal.SIGKILL)
load.add_problem = add_problem
from orchestrator.cli.main import main
main()
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    pytest.importorskip("rensa")
    rows = [f"Write a function number {n} that computes {n * n} from {n}." for n in range(200)]
    rows[7] = rows[8]
    rows[9] = "short"
    rows[11] = "Do this: a b c d e f g h i j, and then something else."
    text = "".join(json.dumps({"instruction": row}) + "\n" for row in rows)
    (tmp_path / "rows.jsonl").write_text(text)
    benchmark = {"id": "b1", "instruction": "a b c d e f g h i j k", "test": "assert x"}
    (tmp_path / "bench.jsonl").write_text(json.dumps(benchmark) + "\n")
    (tmp_path / "answers.jsonl").write_text("")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path / "recipe.toml"


def stored(folder: Path) -> tuple[list[Any], list[Any]]:
    with open_reader(folder) as db:
        problems = db.rows("SELECT ordinal, id, instruction FROM problems ORDER BY ordinal")
        return problems, db.rows("SELECT * FROM problem_drops ORDER BY location")


def test_a_killed_load_starts_again_and_comes_to_the_same(recipe: Path, tmp_path: Path) -> None:
    done = plum("generate", recipe, "--run-dir", tmp_path / "whole", "--json")
    assert done.returncode == 0, done.stderr
    counts = stages_of(done)["load"]["counts"]
    assert sum(counts.values()) == 200
    assert counts == {
        "problems": 100,
        "dropped: duplicate": 1,
        "dropped: in a benchmark": 1,
        "dropped: not sampled": 97,
        "dropped: too short": 1,
    }
    arguments = ["generate", str(recipe), "--run-dir", str(tmp_path / "killed")]
    killed = subprocess.run([sys.executable, "-c", KILLED, *arguments], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert stored(tmp_path / "killed") == ([], [])
    again = plum(*arguments)
    assert again.returncode == 0, again.stderr
    assert stored(tmp_path / "killed") == stored(tmp_path / "whole")


def test_the_report_names_what_overlaps_with_which_problem(recipe: Path, tmp_path: Path) -> None:
    for command in ("generate", "report"):
        done = plum(command, recipe, "--run-dir", tmp_path / "run")
        assert done.returncode == 0, done.stderr
    page = (tmp_path / "run" / "report.html").read_text()
    for words in ("not sampled", "rows.jsonl:12", "bench.jsonl b1: ", "a b c d e f g h i j"):
        assert words in page, words


def test_a_benchmark_that_changed_since_is_refused(recipe: Path, tmp_path: Path) -> None:
    assert plum("generate", recipe, "--run-dir", tmp_path / "run").returncode == 0
    (tmp_path / "bench.jsonl").write_text("")
    again = plum("generate", "--run-dir", tmp_path / "run")
    assert again.returncode == 2
    assert "bench.jsonl: changed since this run read it" in again.stderr


def test_a_hub_out_of_reach_is_one_clear_line(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "recipe.toml").write_text('[instructions]\ndataset = "someone/something"\n')
    done = plum(
        *("run", tmp_path / "recipe.toml", "--run-dir", tmp_path / "run"), HF_HUB_OFFLINE="1"
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(
        "plum: someone/something[train]: Couldn't reach 'someone/something' on the Hub"
    )
    assert "Traceback" not in done.stderr


@pytest.fixture
def hub() -> Iterator[str]:
    pytest.importorskip("datasets")
    rows = [f"Write a function that returns {n}." for n in range(30)]
    lines = (json.dumps({"problem": row, "lang": "python", "seed": "x"}) + "\n" for row in rows)
    card = "configs:\n- config_name: all\n  data_files:\n  - split: train\n    path: rows.jsonl\n"
    files = {"README.md": f"---\n{card}---\n".encode(), "rows.jsonl": "".join(lines).encode()}
    with serve_hub("someone/oss", files) as address:
        yield address


def test_a_dataset_is_loaded_from_a_hub_by_its_name(tmp_path: Path, hub: str) -> None:
    (tmp_path / "recipe.toml").write_text(
        '[instructions]\ndataset = "someone/oss"\nformat = "oss_instruct"\nlimit = 20\n'
    )
    done = plum(
        *("run", tmp_path / "recipe.toml", "--run-dir", tmp_path / "run", "--json"),
        HF_ENDPOINT=hub,
        HF_HOME=str(tmp_path / "home"),
    )
    assert done.returncode == 0, done.stderr
    assert stages_of(done)["load"]["counts"]["problems"] == 20
    problems, _ = stored(tmp_path / "run")
    assert [row[2] for row in problems] == [
        f"Write a function that returns {n}." for n in range(20)
    ]


def test_a_dataset_that_the_hub_has_not_is_one_clear_line(tmp_path: Path, hub: str) -> None:
    (tmp_path / "recipe.toml").write_text('[instructions]\ndataset = "someone/else"\n')
    done = plum(
        *("run", tmp_path / "recipe.toml", "--run-dir", tmp_path / "run"),
        HF_ENDPOINT=hub,
        HF_HOME=str(tmp_path / "home"),
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("plum: someone/else[train]: Dataset 'someone")
