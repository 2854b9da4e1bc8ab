"""A whole run: from instructions to labelled rows, with a real endpoint and a real sandbox."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from datasets import load_dataset  # type: ignore[import-untyped, unused-ignore]

from orchestrator.store.database import open_reader
from orchestrator.store.labels import problems_not_executed_whole
from tests.integration.endpoint import policy_answer, serve_endpoint
from tests.integration.run_helpers import (
    count,
    dataset,
    labels,
    plum,
    plum_command,
    stages_of,
    write_instructions,
    write_recipe,
)

PROBLEMS, K = 10, 6


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, sandbox_address: str
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A run that has come to its end, and what it printed."""
    folder = tmp_path_factory.mktemp("finished")
    write_instructions(folder, PROBLEMS)
    with serve_endpoint() as endpoint:
        recipe = write_recipe(folder, endpoint.url, sandbox_address, k=K)
        done = plum("run", recipe, "--run-dir", folder / "run", "--json")
        assert done.returncode == 0, done.stderr
        assert sorted(endpoint.answered.values()) == [1] * (2 * PROBLEMS)
        requests = endpoint.requests
        again = plum("run", "--run-dir", folder / "run", "--json")
        assert again.returncode == 0, again.stderr
        assert endpoint.requests == requests, "a finished run asked again"
    return folder / "run", done


def test_executing_everything_later_changes_no_label(
    finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    everything = (run / "recipe.toml").read_text() + "[label]\nearly_stop = false\n"
    (finished[0].parent / "everything.toml").write_text(everything)
    done = plum("label", finished[0].parent / "everything.toml", "--run-dir", run, "--json")
    assert done.returncode == 0, done.stderr
    assert labels(run) == labels(finished[0])
    with open_reader(run) as db, open_reader(finished[0]) as before:
        assert problems_not_executed_whole(db) == []
        assert count(db, "executions") >= count(before, "executions")


def test_a_suite_whose_reference_passes_is_kept_once(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    counts = stages_of(finished[1])["filter"]["counts"]
    # Both answers to a problem are the same, so that one suite of the two says everything.
    assert counts == {
        "kept": 8,
        "dropped: same suite as an earlier one": 8,
        "dropped: reference: ASSERTION_FAILED (TEST)": 4,
    }


def test_every_sample_has_a_label_that_fits_its_program(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    rows = labels(finished[0])
    assert len(rows) == 8 * K
    problems_with_a_pass = {problem for problem, _, _, value, _, _ in rows if value == 1}
    for problem, _, text, value, reason, _ in rows:
        number = int(problem[1:])
        if f"+ {number}\n" in text or f"{number} + x" in text:
            assert (value, reason) == (1, "passed every suite")
        elif "return x\n" in text and "import" not in text and number != 0:
            expected = (0, "runs and fails a suite")
            if problem not in problems_with_a_pass:
                expected = (None, "no passing candidate")
            assert (value, reason) == expected
        elif "def add(x:" in text:
            assert (value, reason) == (None, "does not parse")
        elif "nothing_like_it" in text:
            assert (value, reason) == (None, "does not load")


def test_the_counts_of_every_stage_add_up(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    stages = stages_of(finished[1])
    sampled = stages["sample"]["counts"]["samples"]
    assert sampled == 8 * K
    assert sum(stages["label"]["counts"].values()) == sampled
    fates = {
        name: n
        for name, n in stages["export"]["counts"].items()
        if name == "exported" or name.startswith(("dropped", "merged", "left out"))
    }
    assert sum(fates.values()) == sampled
    provenance = (finished[0] / "dataset" / "provenance.jsonl").read_text().splitlines()
    assert Counter(json.loads(line)["fate"] for line in provenance) == fates


def test_equal_candidates_are_executed_once(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    with open_reader(finished[0]) as db:
        pairs = db.value(
            "SELECT count(*) FROM (SELECT DISTINCT s.candidate_sha, u.test_sha FROM samples s"
            " JOIN suites u USING (problem_id) WHERE u.kept = 1 AND s.candidate_sha IS NOT NULL"
            " UNION SELECT reference_sha, test_sha FROM suites)"
        )
        executed = db.value(
            "SELECT count(*) FROM executions e JOIN (SELECT DISTINCT test_sha FROM suites) u"
            " USING (test_sha) WHERE e.hash_seed = 0 AND candidate_sha IN"
            " (SELECT candidate_sha FROM samples UNION SELECT reference_sha FROM suites)"
        )
        assert executed <= pairs
        assert count(db, "execution_errors") == 0


def test_the_dataset_loads_as_it_is_and_holds_only_what_the_labels_say(
    finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    root, cache = finished[0] / "dataset", str(tmp_path)
    rows = load_dataset("json", data_files=str(root / "kto/train.jsonl"), cache_dir=cache)["train"]
    assert {"prompt", "completion", "label"} <= set(rows.column_names)
    values = {(p, t): v for p, _, t, v, _, _ in labels(finished[0])}
    assert {(r["problem_id"], r["completion"]): int(r["label"]) for r in rows} == {
        key: value for key, value in values.items() if value is not None
    }


def test_generated_start_code_is_shown_to_the_policy(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    row = json.loads((finished[0] / "dataset/kto/train.jsonl").read_text().splitlines()[0])
    assert "def add(x):\n    pass" in row["prompt"]


def test_the_stages_as_single_commands_give_the_same_as_one_run(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
    tmp_path: Path,
    sandbox_address: str,
) -> None:
    write_instructions(tmp_path, PROBLEMS)
    with serve_endpoint() as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address, k=K)
        done = plum("generate", recipe, "--run-dir", tmp_path / "run")
        assert done.returncode == 0, done.stderr
        for command in ("sample", "check", "label", "export", "report"):
            done = plum(command, "--run-dir", tmp_path / "run")
            assert done.returncode == 0, done.stderr
    assert labels(tmp_path / "run") == labels(finished[0])
    ours, theirs = dataset(tmp_path / "run"), dataset(finished[0])
    # The card names the recipe, whose paths differ.
    assert {**ours, "README.md": b""} == {**theirs, "README.md": b""}


def test_status_tells_counts_and_stages(
    finished: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    done = plum("status", "--run-dir", finished[0], "--json")
    assert done.returncode == 0
    status = json.loads(done.stdout)
    assert status["writer_pid"] is None
    assert {c["name"]: c["done"] for c in status["counts"]}["labels"] == 8 * K
    assert [s["stage"] for s in status["stages"]][:3] == ["load", "generate", "filter"]
    assert all(stage["complete"] for stage in status["stages"])


def test_status_is_live_while_a_run_is_at_work(tmp_path: Path, sandbox_address: str) -> None:
    write_instructions(tmp_path, 4)
    with serve_endpoint(lambda number, body: (429, "", {"Retry-After": "30"})) as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address)
        with subprocess.Popen(
            plum_command("run", recipe, "--run-dir", tmp_path / "run"), stderr=subprocess.DEVNULL
        ) as run:
            while endpoint.requests == 0:
                assert run.poll() is None
            status = json.loads(plum("status", "--run-dir", tmp_path / "run", "--json").stdout)
            second = plum("run", "--run-dir", tmp_path / "run")
            run.kill()
    assert status["writer_pid"] == run.pid
    assert {c["name"]: c["done"] for c in status["counts"]}["problems"] == 4
    assert second.returncode == 1
    assert f"process {run.pid} is writing this run" in second.stderr


def test_a_run_starts_its_own_sandbox(tmp_path: Path) -> None:
    write_instructions(tmp_path, 2)
    with serve_endpoint() as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, "unused")
        recipe.write_text(recipe.read_text().replace('address = "unused"', "slots = 2"))
        done = plum("run", recipe, "--run-dir", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    assert stages_of(done)["filter"]["counts"]["kept"] == 2


def test_a_run_replays_recorded_answers(tmp_path: Path, sandbox_address: str) -> None:
    write_instructions(tmp_path, 3)
    good = policy_answer(0, 0, 0)
    answers = [
        {"problem_id": "p0", "answers": ["[Solution]\nx = 1\n[Test Code]\nassert x == 1\n", "?"]},
        {"instruction": "Write a function that adds 1 to its argument.", "answers": [good]},
    ]
    (tmp_path / "answers.jsonl").write_text("".join(json.dumps(row) + "\n" for row in answers))
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        f"""
[instructions]
path = "instructions.jsonl"
[generation]
provider = "recorded"
path = "answers.jsonl"
answers_per_problem = 2
[sandbox]
address = "{sandbox_address}"
"""
    )
    done = plum("run", recipe, "--run-dir", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    stages = stages_of(done)
    assert stages["generate"]["counts"] == {"answers": 3, "no recorded answer": 3}
    assert stages["filter"]["counts"]["kept"] == 1
    assert sum(stages["filter"]["counts"].values()) == 3
    (tmp_path / "answers.jsonl").write_text("")
    again = plum("run", "--run-dir", tmp_path / "run")
    assert again.returncode == 2
    assert "answers.jsonl: changed since this run read it" in again.stderr


def test_another_dataset_of_the_same_labels_is_written_beside_the_runs_own(
    finished: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    before = dataset(finished[0])
    options = ["--format", "ablation", "--style", "conversational", "--file-type", "parquet"]
    refused = plum("export", "--run-dir", finished[0], *options)
    assert refused.returncode == 2
    assert "need --output" in refused.stderr
    done = plum("export", "--run-dir", finished[0], "--output", tmp_path / "other", *options)
    assert done.returncode == 0, done.stderr
    assert dataset(finished[0]) == before
    cache = str(tmp_path / "cache")
    found = load_dataset(str(tmp_path / "other"), "ablation_conversational", cache_dir=cache)
    reasons = {(p, t): reason for p, _, t, _, reason, _ in labels(finished[0])}
    for row in found["train"]:
        reason = reasons[row["problem_id"], row["completion"][0]["content"]]
        assert (reason == "passed every suite") == row["label"]
        assert row["label"] or reason.startswith("does not")
    assert set(found["train"]["label"]) == {True, False}
