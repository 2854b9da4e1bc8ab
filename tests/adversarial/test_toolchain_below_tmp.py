"""A virtual environment below /tmp, where many people clone to try things out."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker_process import Installation, WorkerProcess


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        environment = Path(folder) / "environment"
        subprocess.run(
            [sys.executable, "-m", "venv", "--without-pip", environment],
            check=True,
        )
        (site,) = environment.glob("lib/python*/site-packages")
        (site / "found_below_tmp.py").write_text("VALUE = 7\n", encoding="ascii")
        installation = Installation.make(Path(folder) / "plum", user=None)
        worker = WorkerProcess(1, installation=installation, python=environment / "bin/python")
        yield worker
        assert worker.close() == 0


def test_its_packages_are_there_and_nothing_carries_over(worker: WorkerProcess) -> None:
    body = """
import os, found_below_tmp
try:
    open(os.path.join(os.path.dirname(found_below_tmp.__file__), 'mark'), 'w').close()
    wrote = True
except OSError:
    wrote = False
found = (found_below_tmp.VALUE, os.path.exists('/tmp/mark'), wrote)
open('/tmp/mark', 'w').close()
"""
    assert [worker.outcome(body) for _ in range(2)] == ["(7, False, False)"] * 2
