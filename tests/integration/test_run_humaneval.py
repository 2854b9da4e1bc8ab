"""Stages 1 and 2 on problems in the shape of HumanEval, from the judging sets: the counts add up."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from tests.integration.endpoint import completion, serve_endpoint
from tests.integration.http_server import Reply
from tests.integration.run_helpers import labels, plum, stages_of

TASKS = 30
#: What every answer of the policy is meant to be, by the index of the sample.
KINDS = ("canonical", "buggy", "prose", "broken")


def read_tasks(acceptance: Path) -> list[dict[str, Any]]:
    """Canonical and buggy solution, suite and start of the first Python tasks."""
    tasks: dict[str, dict[str, Any]] = {}
    for line in (acceptance / "humanevalpack_open.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["language"] == "python":
            _, number, kind = row["id"].split("/")
            task = tasks.setdefault(number, {"id": f"HumanEval/{number}", "test": row["test"]})
            task[kind] = row["solution"]
    chosen = [task for task in tasks.values() if {"canonical", "buggy"} <= task.keys()][:TASKS]
    for task in chosen:
        name = task["test"].rstrip().rsplit("check(", 1)[1].rstrip(")")
        start = task["canonical"]
        end = start.index("\n", start.index(f"def {name}("))
        task["prompt"] = f'{start[: end + 1]}    """Task {task["id"]}."""\n'
    return chosen


def answer(solution: str, test: str) -> str:
    """In the format that a generator is asked for."""
    return f"[Solution]\n```python\n{solution}```\n[Test Code]\n```python\n{test}\n```\n"


def write_run(folder: Path, tasks: list[dict[str, Any]], url: str, sandbox: str) -> Path:
    """Instructions, recorded answers (good, wrong reference, no suite, vacuous) and a recipe."""
    with (folder / "instructions.jsonl").open("w") as file:
        for task in tasks:
            prompt = task["prompt"]
            row = {"id": task["id"], "instruction": prompt, "start_code": prompt}
            file.write(json.dumps(row) + "\n")
    with (folder / "answers.jsonl").open("w") as file:
        for task in tasks:
            texts = [
                answer(task["canonical"], task["test"]),
                answer(task["buggy"], task["test"]),
                f"[Solution]\n```python\n{task['canonical']}```\n",
                answer(task["canonical"], "x = 1"),
                answer(task["canonical"], "assert ("),
            ]
            file.write(json.dumps({"problem_id": task["id"], "answers": texts}) + "\n")
    recipe = folder / "recipe.toml"
    recipe.write_text(
        f"""
[instructions]
path = "instructions.jsonl"
[generation]
provider = "recorded"
path = "answers.jsonl"
answers_per_problem = 5
[sandbox]
address = "{sandbox}"
[sandbox.limits]
cpu_time_s = 2
[sampling]
backend = "openai"
model = "policy"
base_urls = ["{url}"]
k = {len(KINDS)}
[export]
formats = ["kto"]
"""
    )
    return recipe


def test_humaneval_problems_run_through_stages_1_and_2(
    acceptance: Path, tmp_path: Path, sandbox_address: str
) -> None:
    tasks = read_tasks(acceptance)
    by_prompt = {task["prompt"].strip(): task for task in tasks}

    def policy(number: int, body: dict[str, Any]) -> Reply:
        message = body["messages"][-1]["content"]
        task = next(task for prompt, task in by_prompt.items() if prompt in message)
        texts = [
            f"```python\n{task['canonical']}```",
            f"Here:\n```python\n{task['buggy']}```",
            "I would rather not.",
            "```python\ndef (:\n```",
        ]
        reply = completion(body, texts[: body.get("n") or 1])
        return 200, json.dumps(reply), {"Content-Type": "application/json"}

    with serve_endpoint(policy) as endpoint:
        recipe = write_run(tmp_path, tasks, endpoint.url, sandbox_address)
        done = plum("run", recipe, "--run-dir", tmp_path / "run", "--json")
    assert done.returncode == 0, done.stderr
    stages = stages_of(done)
    assert stages["generate"]["counts"] == {"answers": 5 * TASKS}
    kept = stages["filter"]["counts"]
    assert kept["kept"] == TASKS
    assert kept["dropped: answer has no test code"] == TASKS
    assert kept["dropped: reference: TEST_ERROR (TEST)"] >= TASKS
    assert sum(kept.values()) == 5 * TASKS
    assert sum(stages["label"]["counts"].values()) == len(KINDS) * TASKS
    found = Counter((KINDS[index], value) for _, index, _, value, _, _ in labels(tmp_path / "run"))
    assert found["canonical", 1] == TASKS
    assert found["buggy", 1] == 0
    assert found["prose", None] == found["broken", None] == TASKS
    # A buggy one that does not even load is dropped; few are of that kind.
    assert found["buggy", 0] + found["buggy", None] == TASKS
    assert found["buggy", 0] > TASKS // 2
    assert stages["export"]["counts"]["exported"] == found["canonical", 1] + found["buggy", 0]
