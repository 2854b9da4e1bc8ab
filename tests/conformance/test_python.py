"""What the Python judge says of programs with known verdicts, in a real worker's jail.

The cases are data: `cases/python/<verdict>/<name>.toml`.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker_process import WorkerProcess

CASES = sorted((Path(__file__).parent / "cases" / "python").rglob("*.toml"))


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    worker = WorkerProcess(1)
    yield worker
    worker.close()


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_case(worker: WorkerProcess, path: Path) -> None:
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    result = worker.execute(case["solution"], case["test"])
    assert result["verdict"] in case["verdict"], result
    assert result["phase"] == case["phase"], result
    assert result["proof"] == case.get("proof"), result


def test_there_are_cases_of_every_verdict_but_those_of_limits() -> None:
    assert {path.parent.name for path in CASES} >= {
        *("PASSED", "ASSERTION_FAILED", "RUNTIME_ERROR", "COMPILE_ERROR"),
        *("MEMORY_LIMIT_EXCEEDED", "TAMPERED", "TEST_ERROR"),
    }


def test_an_endless_candidate_is_ended_by_its_cpu_limit(worker: WorkerProcess) -> None:
    solution = "def f():\n    while True: pass\n"
    result = worker.execute(solution, "assert f() == 1\n", cpu_time_s=0.5)
    assert (result["verdict"], result["phase"]) == ("TIME_LIMIT_EXCEEDED", "TEST")


def test_a_table_of_thousands_of_short_calls_is_judged(worker: WorkerProcess) -> None:
    suite = "".join(f"assert f({i}) == {i + 1}\n" for i in range(2500))
    result = worker.execute("def f(x):\n    return x + 1\n", suite)
    assert (result["verdict"], result["assertions"]["passed"]) == ("PASSED", 2500)


def test_what_judge_and_candidate_spend_on_talking_is_not_the_candidates(
    worker: WorkerProcess,
) -> None:
    suite = "for i in range(4000):\n    assert f(i) == i\n"
    assert worker.execute("def f(x): return x\n", suite, cpu_time_s=0.4)["verdict"] == "PASSED"


def test_a_candidate_that_is_asked_again_and_again_has_its_limit_still(
    worker: WorkerProcess,
) -> None:
    solution = "def f(x):\n    while x > 50: pass\n    return x\n"
    suite = "for i in range(99):\n    assert f(i) == i\n"
    result = worker.execute(solution, suite, cpu_time_s=0.5)
    assert (result["verdict"], result["phase"]) == ("TIME_LIMIT_EXCEEDED", "TEST")


def test_a_sleeper_at_load_is_ended_by_the_wall_limit(worker: WorkerProcess) -> None:
    solution = "import time\ntime.sleep(99)\n"
    result = worker.execute(solution, "assert f() == 1\n", wall_time_s=0.5)
    assert (result["verdict"], result["phase"]) == ("TIME_LIMIT_EXCEEDED", "LOAD")


@pytest.mark.parametrize(
    "suite",
    ["assert f() == 1\n", "for expected in (1, 2):\n    assert f() == expected\n"],
    ids=["a-table-holds", "a-suite-fails"],
)
def test_output_past_the_limit_decides_though_it_was_found_after_the_end(
    worker: WorkerProcess, suite: str
) -> None:
    # What is past the limit fits into the pipe, so that nobody stops who wrote it.
    solution = "import os\ndef f():\n    return os.write(1, b'x' * 5000) and 1\n"
    result = worker.execute(solution, suite, output_bytes=4096)
    assert (result["verdict"], result["phase"]) == ("OUTPUT_LIMIT_EXCEEDED", "TEST")


def test_the_mark_of_a_file_in_utf_8_is_no_part_of_a_text(worker: WorkerProcess) -> None:
    solution = "\ufeffdef f():\n    return 1\n"
    for suite in ("assert f() == 1\n", "import gc\nassert f() == 1\n"):
        assert worker.execute(solution, f"\ufeff{suite}")["verdict"] == "PASSED"


def test_output_past_the_limit_ends_it_and_what_was_kept_is_flagged(worker: WorkerProcess) -> None:
    solution = "def f():\n    while True: print('x' * 4096)\n"
    result = worker.execute(solution, "assert f() == 1\n", output_bytes=1 << 20)
    assert result["verdict"] == "OUTPUT_LIMIT_EXCEEDED"
    assert len(result["stdout"]) == 64 << 10
    assert result["stdout_bytes"] > 1 << 20


def test_a_right_program_may_print_more_than_is_kept(worker: WorkerProcess) -> None:
    solution = "def f():\n    print('x' * 300_000)\n    return 1\n"
    result = worker.execute(solution, "assert f() == 1\n")
    assert result["verdict"] == "PASSED"
    assert len(result["stdout"]) == 64 << 10
    assert result["stdout_bytes"] == 300_001


def test_a_failure_reports_line_expression_and_both_sides(worker: WorkerProcess) -> None:
    result = worker.execute("def f(x):\n    return [x]\n", "a = 1\n\nassert f(a) == [2]\n")
    failure = {"line": 3, "expression": "f(a) == [2]", "left": "[1]", "right": "[2]"}
    assert result["assertions"] == {"passed": 0, "failed": 1, "first_failure": failure}


def test_an_exception_names_its_line_in_solution_and_suite(worker: WorkerProcess) -> None:
    result = worker.execute("def f():\n    return 1 / 0\n", "x = 1\nassert f() == 1\n")
    where = "(solution.py:2, called from line 2 of the suite)"
    assert result["message"] == f"ZeroDivisionError: division by zero {where}"


def test_reported_texts_are_bounded(worker: WorkerProcess) -> None:
    result = worker.execute("def f():\n    return 'x' * 10**6\n", "assert f() == ''\n")
    assert len(result["message"]) <= 8192
    assert all(len(str(v)) <= 2048 for v in result["assertions"]["first_failure"].values())


@pytest.mark.parametrize("source", ["x = 1\0\n", "x = '\ud800'\n"], ids=["null", "surrogate"])
def test_what_cannot_be_source_does_not_compile(worker: WorkerProcess, source: str) -> None:
    result = worker.execute(source, "assert x == 1\n")
    assert (result["verdict"], result["phase"]) == ("COMPILE_ERROR", "COMPILE")


def test_the_static_check_keeps_candidates_apart(worker: WorkerProcess) -> None:
    candidates = [
        {"id": "typed", "solution": "def f(x: int) -> str:\n    return x\n"},
        {"id": "broken", "solution": "def f(:\n"},
        {"id": "undefined", "solution": "import numpy\nprint(nope)\n"},
        {"id": "good", "solution": "\ufeffdef f(x):\n    return x\n"},
    ]
    worker.send({"op": "check", "seq": 1_000_000, "candidates": candidates})
    seen = {
        row["id"]: (row["status"], [(d["line"], d["code"]) for d in row["diagnostics"]])
        for row in worker.receive()["results"]
    }
    assert seen == {
        "typed": ("CHECKED", [(2, "return-value")]),
        "broken": ("SYNTAX_ERROR", [(1, "syntax")]),
        "undefined": ("CHECKED", [(2, "name-defined")]),
        "good": ("CHECKED", []),
    }
