"""Bad input to a run: one clear line, nothing asked and nothing left; and what may still be mended."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.run import open_run
from orchestrator.stages.pipeline import run_stages
from tests.integration.endpoint import serve_endpoint
from tests.integration.run_helpers import plum, stages_of, write_instructions, write_recipe


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("recipe.toml", "k = 6", "kay = 6", ["unknown key 'sampling.kay'"]),
        ("recipe.toml", "k = 6", "k = -1", ["sampling.k = -1 is outside [1, 10000]"]),
        (
            "recipe.toml",
            "[sampling]",
            "[sandbox.limits]\nmemory_bytes = 1\n[sampling]",
            ["outside"],
        ),
        ("recipe.toml", "instructions.jsonl", "none.jsonl", ["instructions.path", "none.jsonl"]),
        ("instructions.jsonl", '"p1"', '"p0"', ["instructions.jsonl:2", "'p0'", ":1"]),
        ("instructions.jsonl", '{"id": "p1"', '{"id" "p1"', ["instructions.jsonl:2", "not JSON"]),
        (
            "instructions.jsonl",
            '"instruction": "W',
            '"text": "W',
            ["instructions.jsonl:1", "instruction is missing"],
        ),
    ],
)
def test_bad_input_is_one_line_before_anything_is_asked(
    tmp_path: Path, name: str, old: str, new: str, words: list[str]
) -> None:
    write_instructions(tmp_path, 3)
    with serve_endpoint() as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, "unix:/nowhere")
        file = tmp_path / name
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new, 1))
        done = plum("run", recipe, "--run-dir", tmp_path / "run")
        assert endpoint.requests == 0
    assert done.returncode == 2
    lines = [line for line in done.stderr.splitlines() if line.startswith("plum: ")]
    assert len(lines) == 1
    assert "Traceback" not in done.stderr
    assert all(word in lines[0] for word in words), lines[0]


def test_a_bad_recipe_leaves_no_folder_behind(tmp_path: Path) -> None:
    done = plum("run", tmp_path / "none.toml", "--run-dir", tmp_path / "run")
    assert done.returncode == 2
    assert not (tmp_path / "run").exists()


def test_a_folder_without_a_run_needs_a_recipe_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text("garbage = [")
    for command in ("run", "label"):
        for folder in (tmp_path / "run", tmp_path):
            done = plum(command, "--run-dir", folder)
            assert done.returncode == 2
            assert "no run here yet" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["recipe.toml"]


def test_a_recipe_in_the_folder_of_its_run_is_taken(tmp_path: Path) -> None:
    write_instructions(tmp_path, 1)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[instructions]\npath = "instructions.jsonl"\n')
    for arguments in ([recipe], [], [recipe]):
        with open_run(tmp_path, *arguments or [None]) as run:
            assert len(list(run_stages(run, ["load"]))) == 1
    assert {path.name for path in tmp_path.iterdir()} >= {"recipe.toml", "instructions.jsonl"}
    assert not (tmp_path / "recipe.toml.new").exists()


def test_until_something_was_done_recipe_and_instructions_can_be_mended(tmp_path: Path) -> None:
    rows, recipe = tmp_path / "rows.jsonl", tmp_path / "recipe.toml"
    rows.write_text("{")
    recipe.write_text('[instructions]\npath = "rows.jsonl"\nlimit = 1\n')
    with open_run(tmp_path / "run", recipe) as run:
        with pytest.raises(InputError, match=r"rows.jsonl:1: is not JSON"):
            list(run_stages(run, ["load"]))
        with pytest.raises(InputError, match=r"the recipe has no \[sampling\]"):
            list(run_stages(run, ["label"]))
    rows.write_text('{"id": "a", "instruction": "Do it."}\n{"id": "b"}\n')
    recipe.write_text('[instructions]\npath = "rows.jsonl"\n')
    with (
        open_run(tmp_path / "run", recipe) as run,
        pytest.raises(InputError, match=r"rows.jsonl:2"),
    ):
        list(run_stages(run, ["load"]))
    recipe.write_text('[instructions]\npath = "rows.jsonl"\nlimit = 1\n')
    with open_run(tmp_path / "run", recipe) as run:
        (record,) = run_stages(run, ["load"])
    assert record.summary.counts == {"problems": 1}
    recipe.write_text('[instructions]\npath = "rows.jsonl"\n')
    with (
        pytest.raises(InputError, match=r"instructions.limit was 1, is None"),
        open_run(tmp_path / "run", recipe),
    ):
        pass


@pytest.mark.parametrize(
    "stage", ["generate", "sample", "check", "label", "export", "train", "evaluate"]
)
def test_a_stage_that_the_recipe_does_not_ask_for_is_bad_input(tmp_path: Path, stage: str) -> None:
    write_instructions(tmp_path, 1)
    recipe = tmp_path / "recipe.toml"
    recipe.write_text('[instructions]\npath = "instructions.jsonl"\n')
    with (
        open_run(tmp_path / "run", recipe) as run,
        pytest.raises(InputError, match=r"the recipe has no \[\[?\w+\]"),
    ):
        list(run_stages(run, [stage]))


def test_a_changed_recipe_is_refused_with_the_keys_that_differ(
    tmp_path: Path, sandbox_address: str
) -> None:
    write_instructions(tmp_path, 2)
    with serve_endpoint() as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address)
        assert plum("generate", recipe, "--run-dir", tmp_path / "run").returncode == 0
        write_recipe(tmp_path, endpoint.url, sandbox_address, k=7)
        done = plum("run", recipe, "--run-dir", tmp_path / "run")
        assert done.returncode == 2
        assert "sampling.k was 6, is 7" in done.stderr
        # Left out, it is the one that the run was started with.
        done = plum("sample", "--run-dir", tmp_path / "run", "--json")
    assert stages_of(done)["sample"]["counts"] == {"problems": 2, "samples": 12}


def test_changed_instructions_are_refused(tmp_path: Path, sandbox_address: str) -> None:
    write_instructions(tmp_path, 2)
    with serve_endpoint() as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address)
        assert plum("generate", recipe, "--run-dir", tmp_path / "run").returncode == 0
        write_instructions(tmp_path, 3)
        done = plum("run", recipe, "--run-dir", tmp_path / "run")
    assert done.returncode == 2
    assert "instructions.jsonl: changed since this run read it" in done.stderr
