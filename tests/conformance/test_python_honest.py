"""Honest programs of many kinds, and suites of unusual shape, in a real worker's jail.

The programs are data: `honest/<kind>.toml`. Plain Python passes each of them, so the
judge must; and as separated from the suite, where the program does not say otherwise.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.worker_process import WorkerProcess

PROGRAMS: list[dict[str, Any]] = [
    program
    for path in sorted((Path(__file__).parent / "honest").glob("*.toml"))
    for program in tomllib.loads(path.read_text(encoding="utf-8"))["program"]
]


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    worker = WorkerProcess(1)
    yield worker
    worker.close()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: str(program["name"]))
def test_an_honest_program_passes(worker: WorkerProcess, program: dict[str, Any]) -> None:
    result = worker.execute(program["solution"], program["test"])
    assert result["verdict"] == "PASSED", result
    assert result["proof"] == program.get("proof", "separated"), result


def test_nearly_all_are_proven_apart_from_their_suites() -> None:
    weaker = [program["name"] for program in PROGRAMS if "proof" in program]
    assert len(weaker) < 0.05 * len(PROGRAMS), weaker
