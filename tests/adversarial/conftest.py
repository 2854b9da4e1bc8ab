"""The workers that hostile programs are tried on: as this user, and as one without any rights."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker_process import Installation, WorkerProcess


@pytest.fixture(scope="module", params=["this_user", "ordinary_user"])
def worker(request: pytest.FixtureRequest) -> Iterator[WorkerProcess]:
    if request.param == "this_user":
        worker = WorkerProcess(1)
        yield worker
        assert worker.close() == 0
        return
    if os.geteuid() != 0:
        pytest.skip("only root can start a worker as somebody else; this user's is tried anyway")
    if not os.path.exists("/usr/bin/python3"):
        pytest.skip("there is no Python that other users can reach")
    with tempfile.TemporaryDirectory() as folder:
        installation = Installation.make(Path(folder), user=65534)
        worker = WorkerProcess(1, installation=installation, python="/usr/bin/python3")
        yield worker
        assert worker.close() == 0
