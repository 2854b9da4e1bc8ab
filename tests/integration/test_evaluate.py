"""`plum evaluate` through its whole path: benchmark, endpoint, sandbox, scores."""

from __future__ import annotations

import ast
import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import PlumError
from orchestrator.store.database import open_reader
from tests.integration.endpoint import serve_endpoint
from tests.integration.http_server import Reply
from tests.integration.run_helpers import plum, plum_command

PROBLEMS = 12


def humaneval_file(acceptance: Path, path: Path) -> dict[str, list[str]]:
    """Writes problems in HumanEval's shape; returns a right and a wrong completion for each."""
    completions: dict[str, list[str]] = {}
    by_number: dict[str, dict[str, Any]] = {}
    for line in (acceptance / "humanevalpack_open.jsonl").read_text().splitlines():
        row = json.loads(line)
        language, number, kind = row["id"].split("/")
        if language == "python":
            by_number.setdefault(number, {})[kind] = row
    with path.open("w") as file:
        for number, kinds in by_number.items():
            if len(completions) == PROBLEMS or len(kinds) < 2:
                continue
            right, wrong = kinds["canonical"]["solution"], kinds["buggy"]["solution"]
            function = ast.parse(right).body[-1]
            assert isinstance(function, ast.FunctionDef)
            prompt = "\n".join(right.split("\n")[: function.body[0].lineno - 1]) + "\n"
            test = kinds["canonical"]["test"].strip().rpartition("\n")[0]
            task = {
                "task_id": f"HumanEval/{number}",
                "prompt": prompt,
                "entry_point": function.name,
                "canonical_solution": "",
                "test": test,
            }
            file.write(json.dumps(task) + "\n")
            completions[prompt] = [right.removeprefix(prompt), f"It's\n```python\n{wrong}```"]
    return completions


def chosen(completions: dict[str, list[str]], body: dict[str, Any]) -> Reply:
    """Greedily right on every third problem; of the samples asked for together, one is right."""
    index = list(completions).index(body["prompt"])
    right, wrong = completions[body["prompt"]]
    if body["temperature"] == 0:
        texts = [right if index % 3 == 0 else wrong]
    else:
        texts = [right] + [wrong] * (body["n"] - 1)
    choices = [{"index": i, "text": text, "finish_reason": "stop"} for i, text in enumerate(texts)]
    return 200, json.dumps({"id": "x", "choices": choices}), {"Content-Type": "application/json"}


def test_a_policy_is_scored_on_humaneval_shaped_problems(
    acceptance: Path, sandbox_address: str, tmp_path: Path
) -> None:
    completions = humaneval_file(acceptance, tmp_path / "b.jsonl")
    with serve_endpoint(lambda number, body: chosen(completions, body)) as endpoint:
        done = plum(
            "evaluate", "--backend", "openai", "--base-url", endpoint.url, "--model", "policy",
            "--benchmark", tmp_path / "b.jsonl", "--prompt-style", "plain", "--n", "4",
            "--k", "1", "--k", "4", "--sandbox", sandbox_address,
            "--output", tmp_path / "out.json", "--json",
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["problems"] == PROBLEMS
    assert result["greedy pass@1"]["value"] == pytest.approx(1 / 3)
    assert result["pass@1"]["value"] == pytest.approx(1 / 4)
    assert result["pass@4"]["value"] == 1.0
    details = json.loads((tmp_path / "out.json").read_text())
    assert [p["greedy"]["passed"] for p in details["problems"]] == [
        i % 3 == 0 for i in range(PROBLEMS)
    ]


def test_a_killed_evaluation_goes_on_and_asks_for_nothing_twice(
    acceptance: Path, sandbox_address: str, tmp_path: Path
) -> None:
    completions = humaneval_file(acceptance, tmp_path / "b.jsonl")
    over = threading.Event()

    def three(number: int, body: Any) -> Reply:
        if number >= 3:
            over.wait()
        return chosen(completions, body)

    def all_of_them(number: int, body: Any) -> Reply:
        return chosen(completions, body)

    def command(url: str, output: str) -> list[str | Path]:
        return [
            *("evaluate", "--backend", "openai", "--base-url", url, "--model", "policy"),
            *("--benchmark", tmp_path / "b.jsonl", "--prompt-style", "plain", "--n", "4"),
            *("--limit", "5", "--sandbox", sandbox_address, "--output", tmp_path / output),
        ]

    journal = tmp_path / "rough.json.partial"
    with serve_endpoint(all_of_them) as endpoint:
        assert plum(*command(endpoint.url, "calm.json")).returncode == 0
        asked = endpoint.requests
    with serve_endpoint(three) as endpoint:
        with subprocess.Popen(plum_command(*command(endpoint.url, "rough.json"))) as killed:
            while not stored_samples(journal):
                assert killed.poll() is None
                time.sleep(0.02)
            killed.kill()
        over.set()
    kept = stored_samples(journal)
    with serve_endpoint(all_of_them) as endpoint:
        done = plum(*command(endpoint.url, "rough.json"))
        assert done.returncode == 0, done.stderr
        assert endpoint.requests == asked - kept
    rough = json.loads((tmp_path / "rough.json").read_text())
    assert rough == json.loads((tmp_path / "calm.json").read_text())
    assert not journal.exists()


def test_a_policy_that_cannot_be_reached_leaves_nothing_behind(
    acceptance: Path, tmp_path: Path
) -> None:
    humaneval_file(acceptance, tmp_path / "b.jsonl")
    done = plum(
        "evaluate", "--backend", "openai", "--base-url", "http://127.0.0.1:9/v1",
        "--model", "policy", "--benchmark", tmp_path / "b.jsonl", "--prompt-style", "plain",
        "--output", tmp_path / "out.json",
    )  # fmt: skip
    assert done.returncode == 1
    assert "http://127.0.0.1:9/v1" in done.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["b.jsonl"]


def stored_samples(journal: Path) -> int:
    """Requests whose answers an evaluation has kept."""
    try:
        with open_reader(journal) as db:
            number: int = db.value(
                "SELECT count(*) FROM (SELECT DISTINCT kind, problem_id FROM evaluation_samples)"
            )
            return number
    except PlumError:
        return 0  # the journal is being made


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--model"),
        (["--model", "m", "--benchmark", "b.jsonl"], "b.jsonl:1: prompt is missing"),
        (["--model", "m", "--benchmark", "absent"], "absent"),
        (["--model", "m", "--benchmark", "b.jsonl", "--n", "2", "--k", "3"], "[1, --n 2]"),
        (["--model", "m", "--benchmark", "b.jsonl", "--temperature", "-1"], "0.0<=x<=2.0"),
        (
            ["--model", "m", "--benchmark", "b.jsonl", "--backend", "vllm", "--engine", "dtype"],
            "is not NAME=VALUE",
        ),
        (["--model", "m", "--backend", "openai"], "--backend openai and --base-url need each"),
        (["--model", "m", "--base-url", "http://a"], "--backend openai and --base-url need each"),
        (["--model", "m", "--backend", "openai", "--base-url", "a:1"], "'a:1' does not begin with"),
        (["--model", "./none", "--benchmark", "good.jsonl"], "the policy './none': no such folder"),
        (["--temperature", "3"], "3.0 is not in the range 0.0<=x<=2.0"),
        (["--temperature", "nan"], "nan is not a number"),
        (["--top-p", "0"], "0.0 is not in the range 0.001<=x<=1.0"),
        (["--model", "m", "--run-dir", "run"], "as the recipe says: leave out --model"),
        (["--run-dir", "run", "--output", "o.json"], "as the recipe says: leave out --output"),
        (["--run-dir", "run", "--slots", "2"], "as the recipe says: leave out --slots"),
        (["recipe.toml"], "--run-dir"),
    ],
)
def test_bad_input_is_named_and_exits_2(tmp_path: Path, arguments: list[str], message: str) -> None:
    (tmp_path / "b.jsonl").write_text('{"id": "x"}\n')
    (tmp_path / "good.jsonl").write_text(
        '{"task_id": "x", "prompt": "def f():", "entry_point": "f", "test": "assert f() == 1"}\n'
    )
    given = [
        str(tmp_path / a) if a.endswith(("b.jsonl", "good.jsonl", "absent")) else a
        for a in arguments
    ]
    done = plum("evaluate", *given)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
