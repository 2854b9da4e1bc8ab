"""What the tests of whole runs share: recipes, the `plum` program, and what a run has stored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from orchestrator.recipe_generation import GenerationSection
from orchestrator.store.database import Database, open_reader
from tests.integration.forked import run_plum


def write_instructions(folder: Path, count: int) -> Path:
    """Problems as the test endpoint knows them."""
    path = folder / "instructions.jsonl"
    rows = (
        {"id": f"p{n}", "instruction": f"Write a function that adds {n} to its argument."}
        for n in range(count)
    )
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_recipe(folder: Path, url: str, sandbox: str, *, k: int = 6, more: str = "") -> Path:
    """A recipe from instructions to a dataset, with the endpoint as generator and as policy."""
    path = folder / "recipe.toml"
    path.write_text(
        f"""
[run]
seed = 3
[instructions]
path = "instructions.jsonl"
[generation]
provider = "openai"
base_url = "{url}"
model = "teacher"
answers_per_problem = 2
concurrency = 4
max_retries = 2
[sandbox]
address = "{sandbox}"
[sampling]
backend = "openai"
model = "policy"
base_urls = ["{url}"]
k = {k}
concurrency = 4
[export]
formats = ["kto", "dpo", "sft"]
{more}
"""
    )
    return path


def generation_settings(url: str, **changes: Any) -> GenerationSection:
    """Settings of a generator, as a recipe would give them."""
    values: dict[str, Any] = {
        "provider": "openai",
        "answers_per_problem": 1,
        "temperature": 0.7,
        "max_tokens": 100,
        "concurrency": 3,
        "max_retries": 3,
        "timeout_s": 60.0,
        "base_url": url,
        "model": "teacher",
        "api_key_env": "PLUM_TEST_NO_SUCH_KEY",
        "path": None,
        "cache": None,
        "usd_per_million_prompt_tokens": 0.0,
        "usd_per_million_completion_tokens": 0.0,
        "max_cost_usd": None,
        "batch_size": 100,
        "poll_s": 0.01,
    }
    return GenerationSection(**{**values, **changes})


def plum(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `plum` to its end, in a process of its own that is forked; see `forked`."""
    return run_plum([*map(str, arguments)], {**os.environ, **environment})


def plum_command(*arguments: str | Path) -> list[str]:
    """How the `plum` program is started, by those who kill it or look on."""
    return [sys.executable, "-m", "orchestrator.cli.main", *map(str, arguments)]


def stages_of(done: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """The stages that `plum ... --json` printed, by name."""
    assert done.stdout, done.stderr
    return {stage["stage"]: stage for stage in json.loads(done.stdout)["stages"]}


def labels(folder: Path) -> list[tuple[Any, ...]]:
    """Every sample with its text and its label, in a fixed order."""
    with open_reader(folder) as db:
        return db.rows(
            "SELECT s.problem_id, s.sample_index, s.text, l.value, l.reason, l.detail"
            " FROM samples s LEFT JOIN labels l USING (problem_id, sample_index) ORDER BY 1, 2"
        )


def dataset(folder: Path) -> dict[str, bytes]:
    """The exported files by name."""
    root = folder / "dataset"
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def count(db: Database, table: str) -> int:
    """Rows of a table."""
    number: int = db.value(f"SELECT count(*) FROM {table}")
    return number
