"""SIGKILL at any moment loses only work in flight, doubles nothing, and changes no label."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from orchestrator.errors import InputError
from orchestrator.store.database import open_reader
from tests.integration.endpoint import Endpoint, serve_endpoint
from tests.integration.forked import start_plum
from tests.integration.http_server import Reply
from tests.integration.run_helpers import (
    count,
    dataset,
    labels,
    plum,
    stages_of,
    write_instructions,
    write_recipe,
)

PROBLEMS, K = 30, 6
KILLS = int(os.environ.get("PLUM_TEST_KILLS", "12"))


def slowly(number: int, body: object) -> Reply | None:
    """Answers as usual, but so slowly that kills find every stage at work."""
    time.sleep(0.1)
    return None


def stored_requests(run_dir: Path) -> set[str]:
    """Idempotency keys of the answers that a run has stored."""
    try:
        with open_reader(run_dir) as db:
            rows = db.rows("SELECT request_sha, answer_index FROM answers")
            return {f"{sha}-{index}" for sha, index in rows}
    except InputError:
        return set()  # killed before there was a run


def kill_repeatedly(recipe: Path, run_dir: Path, endpoint: Endpoint) -> dict[str, int]:
    """Starts the run and kills it, over and over, most times while it is at work.

    Returns how often each answer was asked for until it was stored.
    """
    generator = random.Random(11)
    kills = 0
    frozen: dict[str, int] = {}
    arguments = ["run", str(recipe), "--run-dir", str(run_dir)]
    said = recipe.with_name("said")
    for _ in range(KILLS):
        run = start_plum(arguments, os.environ, said, said)
        run.join(generator.uniform(0.1, 0.8))
        if run.exitcode is None:
            run.kill()
            kills += 1
        run.join()
        # An answer that was in flight at a kill is asked for again; a stored one never.
        for key in stored_requests(run_dir):
            assert frozen.setdefault(key, endpoint.answered[key]) == endpoint.answered[key]
    assert kills >= KILLS // 4
    return frozen


@pytest.mark.slow
@pytest.mark.timeout(300 + 10 * KILLS)
def test_kills_at_random_moments_change_nothing(tmp_path: Path, sandbox_address: str) -> None:
    calm, rough = tmp_path / "calm", tmp_path / "rough"
    for folder in (calm, rough):
        folder.mkdir()
        write_instructions(folder, PROBLEMS)
    with serve_endpoint(slowly) as endpoint:
        recipe = write_recipe(calm, endpoint.url, sandbox_address, k=K)
        assert plum("run", recipe, "--run-dir", calm / "run").returncode == 0
    with serve_endpoint(slowly) as endpoint:
        recipe = write_recipe(rough, endpoint.url, sandbox_address, k=K)
        frozen = kill_repeatedly(recipe, rough / "run", endpoint)
        done = plum("run", recipe, "--run-dir", rough / "run", "--json")
        assert done.returncode == 0, done.stderr
        assert {key: endpoint.answered[key] for key in frozen} == frozen
        # What was in flight at a kill may have been answered to nobody: at most `concurrency`.
        assert endpoint.answered.total() <= 2 * PROBLEMS + 4 * KILLS
    assert labels(rough / "run") == labels(calm / "run")
    assert stages_of(done)["sample"]["counts"]["samples"] == len(labels(calm / "run"))
    assert {**dataset(rough / "run"), "README.md": b""} == {
        **dataset(calm / "run"),
        "README.md": b"",
    }
    with open_reader(rough / "run") as db, open_reader(calm / "run") as other:
        for table in ("answers", "suites", "samples", "checks", "executions", "labels"):
            assert count(db, table) == count(other, table)
