"""The Python judge by itself, without a jail: verdicts of the conformance cases and of the sets."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from python_harness_jail import Limits, Task, harness, plain_jail

ROOT = Path(__file__).resolve().parents[2]
CASES = sorted((ROOT / "tests/conformance/cases/python").rglob("*.toml"))
JUDGING_SETS = ROOT.parent / "shared" / "acceptance"
#: Rows that act on the machine they run on: only ever run in a real jail.
LIVE = ("forge-kill", "forge-poison", "breach-", "dos-")


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    harness.warm()


def judge(solution: str, test: str, scratch: Path, limits: Limits | None = None) -> dict[str, Any]:
    with plain_jail(scratch, limits) as jail:
        return harness.execute(Task(solution, test), jail)


@pytest.mark.parametrize("path", CASES, ids=lambda p: f"{p.parent.name}-{p.stem}")
def test_conformance_case(path: Path, tmp_path: Path) -> None:
    case = tomllib.loads(path.read_text())
    result = judge(case["solution"], case["test"], tmp_path)
    assert result["verdict"] in case["verdict"], result["message"]
    assert result["phase"] == case["phase"], result["message"]
    assert result["proof"] == case.get("proof")


def rows(name: str, *prefixes: str) -> list[dict[str, Any]]:
    path = JUDGING_SETS / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        r
        for r in found
        if r["language"] == "python"
        and r["id"].startswith(prefixes)
        and not r["id"].startswith(LIVE)
    ]


def wrongly_judged(found: list[dict[str, Any]], scratch: Path) -> list[str]:
    wrong = []
    for row in found:
        result, expect = judge(row["solution"], row["test"], scratch), row["expect"]
        right = (
            result["verdict"] not in expect.get("not", ())
            and result["verdict"] in expect.get("verdict", [result["verdict"]])
            and result["phase"] == expect.get("phase", result["phase"])
            and result["proof"] == ("separated" if result["verdict"] == "PASSED" else None)
        )
        if not right:
            wrong.append(f"{row['id']}: {result['verdict']} {result['phase']} {result['message']}")
    return wrong


def test_honest_rows_are_judged_as_what_they_are(tmp_path: Path) -> None:
    assert wrongly_judged(rows("python_open.jsonl", "honest-"), tmp_path) == []


def test_forged_rows_never_pass(tmp_path: Path) -> None:
    found = [r for r in rows("python_open.jsonl", "forge-") if "no-main" not in r["id"]]
    assert wrongly_judged(found, tmp_path) == []


def test_canonical_solutions_pass_separated_and_buggy_ones_fail(tmp_path: Path) -> None:
    # A sample keeps this quick; the whole set runs through the jail elsewhere.
    assert wrongly_judged(rows("humanevalpack_open.jsonl", "python/")[::5], tmp_path) == []


def test_an_endless_candidate_is_ended_by_its_cpu_limit(tmp_path: Path) -> None:
    result = judge(
        "def f():\n    while True: pass\n", "assert f() == 1\n", tmp_path, Limits(cpu_time_s=1)
    )
    assert (result["verdict"], result["phase"]) == ("TIME_LIMIT_EXCEEDED", "TEST")


def test_a_sleeper_at_load_is_ended_by_the_wall_limit_in_phase_load(tmp_path: Path) -> None:
    result = judge(
        "import time\ntime.sleep(99)\n", "assert f() == 1\n", tmp_path, Limits(wall_time_s=0.5)
    )
    assert (result["verdict"], result["phase"]) == ("TIME_LIMIT_EXCEEDED", "LOAD")


def test_a_failure_reports_line_expression_and_both_sides(tmp_path: Path) -> None:
    result = judge("def f(x):\n    return [x]\n", "a = 1\n\nassert f(a) == [2]\n", tmp_path)
    assert result["assertions"] == {
        "passed": 0,
        "failed": 1,
        "first_failure": {
            "line": 3,
            "expression": "f(a) == [2]",
            "left": "[1]",
            "right": "[2]",
        },
    }


def test_an_exception_names_its_line_in_solution_and_suite(tmp_path: Path) -> None:
    result = judge("def f():\n    return 1 / 0\n", "x = 1\nassert f() == 1\n", tmp_path)
    expected = (
        "ZeroDivisionError: division by zero (solution.py:2, called from line 2 of the suite)"
    )
    assert result["message"] == expected


def test_reported_texts_are_bounded(tmp_path: Path) -> None:
    result = judge("def f():\n    return 'x' * 10**6\n", "assert f() == ''\n", tmp_path)
    assert len(result["message"]) <= 8192
    assert all(len(str(v)) <= 2048 for v in result["assertions"]["first_failure"].values())


def test_null_bytes_and_lone_surrogates_do_not_compile(tmp_path: Path) -> None:
    for source in ("x = 1\0\n", "x = '\ud800'\n"):
        result = judge(source, "assert x == 1\n", tmp_path)
        assert (result["verdict"], result["phase"]) == ("COMPILE_ERROR", "COMPILE")


def test_the_static_check_keeps_candidates_apart(tmp_path: Path) -> None:
    candidates = [
        {"id": "typed", "solution": "def f(x: int) -> str:\n    return x\n"},
        {"id": "broken", "solution": "def f(:\n"},
        {"id": "undefined", "solution": "import numpy\nprint(nope)\n"},
        {"id": "good", "solution": "def f(x):\n    return x\n"},
    ]
    with plain_jail(tmp_path, Limits(60, 60, 4 << 30)) as jail:
        results = harness.check(candidates, jail)
    seen = {
        r["id"]: (r["status"], [(d["line"], d["code"]) for d in r["diagnostics"]]) for r in results
    }
    assert seen == {
        "typed": ("CHECKED", [(2, "return-value")]),
        "broken": ("SYNTAX_ERROR", [(1, "syntax")]),
        "undefined": ("CHECKED", [(2, "name-defined")]),
        "good": ("CHECKED", []),
    }
