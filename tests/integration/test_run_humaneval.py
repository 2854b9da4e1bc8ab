"""Stages 1 and 2 on problems in the shape of HumanEval, from the judging sets.

Every problem gets a dozen recorded answers, one of them sound and the others broken on purpose,
each in a way of its own. Each has to be filtered for its own reason, and the counts to add up.
PLUM_TEST_PROBLEMS says how many problems (200 at most); the default is a few, for every day.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.answers import self_consistency
from orchestrator.store.database import open_reader
from tests.integration.endpoint import completion, serve_endpoint
from tests.integration.http_server import Reply
from tests.integration.run_helpers import labels, plum_command, stages_of

PROBLEMS = int(os.environ.get("PLUM_TEST_PROBLEMS", "10"))
#: What every answer of the policy is meant to be, by the index of the sample.
KINDS = ("canonical", "buggy", "prose", "broken")

Task = dict[str, str]


def read_tasks(acceptance: Path) -> list[Task]:
    """Python tasks with canonical and buggy solution, suite and start; each twice, renamed."""
    tasks: dict[str, Task] = {}
    for line in (acceptance / "humanevalpack_open.jsonl").read_text().splitlines():
        row = json.loads(line)
        if row["language"] == "python":
            _, number, kind = row["id"].split("/")
            task = tasks.setdefault(number, {"id": f"HumanEval/{number}", "test": row["test"]})
            task[kind] = row["solution"]
    complete = [task for task in tasks.values() if {"canonical", "buggy"} <= task.keys()]
    both = [task for first in complete for task in (first, renamed(first))]
    for task in both[:PROBLEMS]:
        start = task["canonical"]
        end = start.index("\n", start.index(f"def {name_of(task)}("))
        task["prompt"] = f'{start[: end + 1]}    """Task {task["id"]}."""\n'
    return both[:PROBLEMS]


def name_of(task: Task) -> str:
    """The function that the suite checks."""
    return task["test"].rstrip().rsplit("check(", 1)[1].rstrip(")")


def renamed(task: Task) -> Task:
    """The same task with another name for its function."""
    name = name_of(task)
    changed = {key: re.sub(rf"\b{name}\b", f"{name}_again", text) for key, text in task.items()}
    return {**changed, "id": f"{task['id']}/again"}


def answer(solution: str, test: str) -> str:
    """In the format that a generator is asked for."""
    return f"[Solution]\n```python\n{solution}```\n[Test Code]\n```python\n{test}\n```\n"


def comparing_with_itself(task: Task) -> str:
    """A suite that calls what the real one calls, and compares each result with another."""
    name = name_of(task)
    calls = [
        ast.unparse(node)
        for node in ast.walk(ast.parse(task["test"]))
        if isinstance(node, ast.Call)
        # The others need variables of the real suite.
        and {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} == {name}
    ]
    return "".join(f"assert {call} == {call}\n" for call in calls[:3] or [name])


@lru_cache
def under_the_usual_seed(expression: str) -> str:
    """What an expression says with the hash seed that the sandbox has where nobody asks for one."""
    environment = {**os.environ, "PYTHONHASHSEED": "0"}
    command = [sys.executable, "-c", f"print({expression})"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def with_helper(task: Task, helper: str, checks: str) -> str:
    """An answer whose reference defines something more, and whose suite checks it, too."""
    return answer(f"{task['canonical']}\n\n{helper}", f"{task['test']}\n{checks}")


_SET = "list({'alpha', 'beta', 'gamma', 'delta', 'epsilon'})"
_HASH = "hash('alpha') % 1000"
WORDS = f"def words():\n    return {_SET}\n"
BUCKET = f"def bucket():\n    return {_HASH}\n"
TODAY = "import datetime\n\ndef year():\n    return datetime.date.today().year\n"
COUNTER = "_calls = []\n\ndef count():\n    _calls.append(1)\n    return len(_calls)\n"
COIN = "import os\n\ndef coin():\n    return os.urandom(1)[0] % 2\n"
ENDLESS = "def spin():\n    while True:\n        pass\n"

#: What is wrong with an answer -> how it is made, and the reasons for which it may be dropped.
FLAWS: dict[str, tuple[Callable[[Task], str], str]] = {
    "sound": (lambda t: answer(t["canonical"], t["test"]), "reference passes"),
    "wrong reference": (
        lambda t: answer(t["buggy"], t["test"]),
        r"reference: (ASSERTION_FAILED|RUNTIME_ERROR|TIME_LIMIT_EXCEEDED) \((TEST|LOAD)\)",
    ),
    "no suite": (
        lambda t: f"[Solution]\n```python\n{t['canonical']}```\n",
        "answer has no test code",
    ),
    "prose": (lambda t: "I would rather not.", "answer has no solution"),
    "suite without assertion": (
        lambda t: answer(t["canonical"], "x = 1"),
        r"reference: TEST_ERROR \(TEST\)",
    ),
    "suite does not parse": (
        lambda t: answer(t["canonical"], "assert ("),
        r"reference: TEST_ERROR \(TEST\)",
    ),
    "reference does not parse": (
        lambda t: answer(f"{t['canonical']}\ndef (:\n", t["test"]),
        r"reference: COMPILE_ERROR \(COMPILE\)",
    ),
    "compares with itself": (
        lambda t: answer(t["canonical"], comparing_with_itself(t)),
        "vacuous: an empty stub passes",
    ),
    "is there": (
        lambda t: answer(t["canonical"], f"assert callable({name_of(t)})"),
        "vacuous: an empty stub passes|reference: TEST_ERROR .*",
    ),
    "leans on the order of a set": (
        lambda t: with_helper(t, WORDS, f"assert words() == {under_the_usual_seed(_SET)}"),
        "flaky: other hash seed: ASSERTION_FAILED",
    ),
    "leans on the hash of a text": (
        lambda t: with_helper(t, BUCKET, f"assert bucket() == {under_the_usual_seed(_HASH)}"),
        "flaky: other hash seed: ASSERTION_FAILED",
    ),
    "leans on the date": (
        lambda t: with_helper(t, TODAY, f"assert year() == {date.today().year}"),
        "flaky: in another order: ASSERTION_FAILED",
    ),
    "leans on the order of its assertions": (
        lambda t: with_helper(t, COUNTER, "assert count() == 1\nassert count() == 2"),
        "flaky: in another order: ASSERTION_FAILED",
    ),
    "tosses a coin": (
        lambda t: with_helper(t, COIN, "assert coin() == 1"),
        r"reference: ASSERTION_FAILED \(TEST\)|flaky: run again: ASSERTION_FAILED"
        "|flaky: (other hash seed|in another order): ASSERTION_FAILED",
    ),
    "never ends": (
        lambda t: with_helper(t, ENDLESS, "assert spin() is None"),
        r"reference: TIME_LIMIT_EXCEEDED \(TEST\)",
    ),
}


def write_run(folder: Path, tasks: list[Task], url: str, sandbox: str) -> Path:
    """Instructions, recorded answers with every flaw, and a recipe."""
    with (folder / "instructions.jsonl").open("w") as file:
        for task in tasks:
            prompt = task["prompt"]
            row = {"id": task["id"], "instruction": prompt, "start_code": prompt}
            file.write(json.dumps(row) + "\n")
    with (folder / "answers.jsonl").open("w") as file:
        for task in tasks:
            texts = [make(task) for make, _ in FLAWS.values()]
            file.write(json.dumps({"problem_id": task["id"], "answers": texts}) + "\n")
    recipe = folder / "recipe.toml"
    recipe.write_text(
        f"""
[instructions]
path = "instructions.jsonl"
[generation]
provider = "recorded"
path = "answers.jsonl"
answers_per_problem = {len(FLAWS)}
[quality]
reruns = 4
[sandbox]
address = "{sandbox}"
[sandbox.limits]
cpu_time_s = 1
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


def run_all(acceptance: Path, folder: Path, sandbox: str) -> dict[str, dict[str, Any]]:
    """Stages 1 and 2 with recorded answers and a policy whose completions are known."""
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
        recipe = write_run(folder, tasks, endpoint.url, sandbox)
        command = plum_command("run", recipe, "--run-dir", folder / "run", "--json")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return stages_of(done)


@pytest.fixture(scope="module")
def finished(
    acceptance: Path, tmp_path_factory: pytest.TempPathFactory, sandbox_address: str
) -> tuple[Path, dict[str, dict[str, Any]]]:
    """The run's folder and its stages."""
    folder = tmp_path_factory.mktemp("humaneval")
    return folder / "run", run_all(acceptance, folder, sandbox_address)


pytestmark = pytest.mark.timeout(300 + 15 * PROBLEMS)


@pytest.mark.parametrize("flaw", FLAWS)
def test_every_answer_is_kept_or_dropped_for_its_own_reason(
    finished: tuple[Path, dict[str, dict[str, Any]]], flaw: str
) -> None:
    with open_reader(finished[0]) as db:
        rows = db.rows(
            "SELECT s.problem_id, s.reason FROM suites s JOIN answers a ON a.id = s.answer_id"
            " WHERE a.answer_index = ?",
            (list(FLAWS).index(flaw),),
        )
    assert len(rows) == PROBLEMS
    other = {id: reason for id, reason in rows if not re.fullmatch(FLAWS[flaw][1], reason)}
    if flaw == "tosses a coin":
        # One in 64 of them falls six times on the right side.
        assert set(other.values()) <= {"reference passes"}
        assert len(other) <= 3 + PROBLEMS // 20
    else:
        assert other == {}


def test_the_counts_add_up_from_answers_to_rows(
    finished: tuple[Path, dict[str, dict[str, Any]]],
) -> None:
    folder, stages = finished
    assert stages["generate"]["counts"] == {"answers": len(FLAWS) * PROBLEMS}
    assert sum(stages["filter"]["counts"].values()) == len(FLAWS) * PROBLEMS
    assert sum(stages["label"]["counts"].values()) == len(KINDS) * PROBLEMS
    with open_reader(folder) as db:
        # What no candidate can pass, as it checks the toss of a coin.
        lucky = db.rows("SELECT problem_id FROM suites WHERE kept GROUP BY 1 HAVING count(*) > 1")
        (consistency,) = self_consistency(db)
    assert consistency.source == "plain"
    assert consistency.answers == len(FLAWS) * PROBLEMS
    assert consistency.suites == (len(FLAWS) - 2) * PROBLEMS  # two have no suite or no code
    assert consistency.kept == stages["filter"]["counts"]["kept"] >= PROBLEMS
    # Sound, vacuous and flaky ones; whether the sandbox takes `callable` for a check is its matter.
    assert 6 * PROBLEMS <= consistency.consistent <= 8 * PROBLEMS
    rows = [row for row in labels(folder) if (row[0],) not in lucky]
    fair = PROBLEMS - len(lucky)
    found = Counter((KINDS[index], value) for _, index, _, value, _, _ in rows)
    assert found["canonical", 1] == fair
    assert found["buggy", 1] == 0
    assert found["prose", None] == found["broken", None] == fair
    # A buggy one that does not even load is dropped; few are of that kind.
    assert found["buggy", 0] + found["buggy", None] == fair
    assert found["buggy", 0] > fair // 2
    assert stages["export"]["counts"]["exported"] == found["canonical", 1] + found["buggy", 0]
