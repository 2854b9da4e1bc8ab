"""What the static check says of Python programs, in a real worker's jail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.worker_process import WorkerProcess

GOOD = "def add(x: int, y: int) -> int:\n    return x + y\n"
WRONG_NAME = "import math\n\n\ndef f():\n    return math.sqrt(nothing_like_it)\n"
#: Types of nested keyword arguments: each level costs mypy twice the one below.
ENDLESS = "x = " + "dict(a=" * 40 + "1" + ")" * 40 + "\n"
#: Python compiles it; mypy's parser gives up.
TOO_DEEP = "x = " + "not " * 2500 + "1\n"


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    worker = WorkerProcess(1)
    yield worker
    worker.close()


def check(worker: WorkerProcess, sources: Sequence[str]) -> list[dict[str, Any]]:
    candidates = [{"id": str(i), "solution": source} for i, source in enumerate(sources)]
    worker.send({"op": "check", "seq": 7, "candidates": candidates})
    answer = worker.receive()
    assert answer["op"] == "checked", answer
    assert [result["id"] for result in answer["results"]] == [c["id"] for c in candidates]
    results: list[dict[str, Any]] = answer["results"]
    return results


def test_findings_stay_with_their_candidate(worker: WorkerProcess) -> None:
    good, wrong, broken, lines = check(
        worker, [GOOD, WRONG_NAME, "def f(:\n", "\n\nprint(1 + 'a')\n"]
    )
    assert (good["status"], good["diagnostics"]) == ("CHECKED", [])
    assert [(d["line"], d["code"]) for d in wrong["diagnostics"]] == [(5, "name-defined")]
    assert broken["status"] == "SYNTAX_ERROR"
    assert [(d["line"], d["code"]) for d in lines["diagnostics"]] == [(3, "operator")]


def test_a_module_that_is_read_only_when_it_is_needed_is_known(worker: WorkerProcess) -> None:
    [result] = check(worker, ["import colorsys\n\ncolorsys.rgb_to_hsv('x')\n"])
    assert [d["code"] for d in result["diagnostics"]] == ["call-arg", "arg-type"]


def test_a_second_build_says_the_same_as_the_first(worker: WorkerProcess) -> None:
    sources = [GOOD, WRONG_NAME, "import candidate_0\n", "from candidate_1 import f\n"]
    assert check(worker, sources) == check(worker, sources)


def test_a_candidate_that_stops_the_build_costs_only_itself(worker: WorkerProcess) -> None:
    sources = [*[GOOD] * 5, TOO_DEEP, *[WRONG_NAME] * 5]
    results = check(worker, sources)
    assert [r["status"] for r in results] == ["CHECKED"] * 5 + ["NOT_CHECKED"] + ["CHECKED"] * 5
    assert "too deeply nested" in results[5]["message"]
    assert all(r["diagnostics"][0]["code"] == "name-defined" for r in results[6:])


@pytest.mark.slow
def test_a_candidate_that_keeps_the_checker_busy_costs_only_itself(worker: WorkerProcess) -> None:
    good, endless, wrong = check(worker, [GOOD, ENDLESS, WRONG_NAME])
    assert (good["status"], good["diagnostics"]) == ("CHECKED", [])
    assert endless["status"] == "NOT_CHECKED"
    assert endless["message"] == "the checker reached the cpu limit"
    assert [d["code"] for d in wrong["diagnostics"]] == ["name-defined"]
