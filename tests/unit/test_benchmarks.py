"""Benchmarks are read in their published shapes, and a bad row is named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.benchmarks.read import read_benchmark
from orchestrator.errors import InputError

HUMANEVAL = {
    "task_id": "HumanEval/0",
    "prompt": 'def add(a, b):\n    """Sum."""\n',
    "entry_point": "add",
    "canonical_solution": "    return a + b\n",
    "test": "METADATA = {}\n\n\ndef check(candidate):\n    assert candidate(1, 2) == 3\n",
}
MBPP = {
    "task_id": 11,
    "text": "Write a function to add.",
    "code": "def helper():\n    pass\n\ndef add(a, b):\n    return a + b",
    "test_setup_code": "import math",
    "test_list": ["assert add(1, 2) == 3", "assert add(0, 0) == 0"],
    "challenge_test_list": ["assert add(9, 9) == 18"],
}
SANITIZED = {
    "source_file": "x",
    "task_id": 2,
    "prompt": "Write a function to add.",
    "code": "def add(a, b):\n    return a + b",
    "test_imports": ["import math"],
    "test_list": ["assert add(1, 2) == 3"],
}


def write(path: Path, *rows: Any) -> Path:
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return path


def run(source: str) -> None:
    exec(compile(source, "suite", "exec"), {})  # our own text, from above


def test_humaneval_is_completed_and_checked_through_its_entry_point(tmp_path: Path) -> None:
    [judged] = read_benchmark(write(tmp_path / "b.jsonl", HUMANEVAL), "humaneval")
    assert judged.problem.id == "HumanEval/0"
    assert judged.problem.instruction == judged.problem.start_code == HUMANEVAL["prompt"]
    run(HUMANEVAL["prompt"] + HUMANEVAL["canonical_solution"] + judged.suite)
    with pytest.raises(AssertionError):
        run(HUMANEVAL["prompt"] + "    return a\n" + judged.suite)


@pytest.mark.parametrize("row", [MBPP, SANITIZED], ids=["original", "sanitized"])
def test_mbpp_shows_its_first_assertion_and_runs_all(tmp_path: Path, row: dict[str, Any]) -> None:
    [judged] = read_benchmark(write(tmp_path / "b.jsonl", row), "mbpp")
    assert judged.problem.id == str(row["task_id"])
    assert judged.problem.entry_point == "add"
    assert judged.problem.instruction.endswith(row["test_list"][0])
    assert "import math" in judged.suite
    assert all(assertion in judged.suite for assertion in row["test_list"])
    assert "9, 9" not in judged.suite
    run(row["code"] + "\n" + judged.suite)


def test_mbpp_plus_runs_its_whole_program(tmp_path: Path) -> None:
    row = {**SANITIZED, "test": "for i in range(9):\n    assert add(i, 1) == i + 1"}
    [judged] = read_benchmark(write(tmp_path / "b.jsonl", row), "mbpp")
    assert judged.suite == row["test"] + "\n"


def test_plain_rows_take_what_is_given(tmp_path: Path) -> None:
    row = {"id": "a", "instruction": "add", "test": "assert 1", "start_code": None, "extra": 1}
    [judged] = read_benchmark(write(tmp_path / "b.jsonl", row), "plain")
    assert (judged.problem.language, judged.problem.start_code) == ("python", None)


def test_gzip_blank_lines_and_limit(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl.gz"
    lines = f"{json.dumps(HUMANEVAL)}\n\n{json.dumps({**HUMANEVAL, 'task_id': 'x'})}\nbroken"
    path.write_bytes(gzip.compress(lines.encode()))
    assert [j.problem.id for j in read_benchmark(path, "humaneval", limit=2)] == [
        "HumanEval/0",
        "x",
    ]


@pytest.mark.parametrize(
    ("format", "change", "message"),
    [
        ("humaneval", {"test": None}, "b.jsonl:2: test = None is not text"),
        (
            "humaneval",
            {"entry_point": "a b"},
            "b.jsonl:2: entry_point = 'a b' is not a Python name",
        ),
        ("humaneval", {"task_id": True}, "b.jsonl:2: task_id = True is not an id"),
        ("humaneval", {"task_id": "HumanEval/0"}, "b.jsonl:2: id 'HumanEval/0' is that of"),
        ("mbpp", {}, "b.jsonl:1: test_list is missing or empty"),
        ("plain", {}, "b.jsonl:1: id is missing"),
        ("tasks", {}, "humaneval, mbpp, plain"),
    ],
)
def test_a_bad_row_is_named(
    tmp_path: Path, format: str, change: dict[str, Any], message: str
) -> None:
    second = {**HUMANEVAL, "task_id": "b", **change}
    with pytest.raises(InputError) as caught:
        read_benchmark(write(tmp_path / "b.jsonl", HUMANEVAL, second), format)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("b.jsonl", b"{", "b.jsonl:1: is not JSON"),
        ("b.jsonl", b"[1]", "b.jsonl[0]: is int, not an object"),
        ("b.jsonl", b'{"a": "\xff"}', "b.jsonl:1: is not UTF-8"),
        ("b.jsonl", b"\n", "holds no problems"),
        ("b.jsonl", b"[" * 100_000, "b.jsonl: is not JSON: nested too deeply"),
        ("b.jsonl.gz", b"plain", "b.jsonl.gz: Not a gzipped file"),
        ("b.jsonl.gz", gzip.compress(b"{}", mtime=0)[:-6], "b.jsonl.gz: Compressed file ended"),
        ("none/b.jsonl", None, "b.jsonl: No such file"),
    ],
)
def test_an_unreadable_file_is_named(
    tmp_path: Path, name: str, content: bytes | None, message: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_benchmark(path, "humaneval")
    assert message in str(caught.value)
