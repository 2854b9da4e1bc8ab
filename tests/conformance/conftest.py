"""Workers of the languages whose toolchains are here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.worker_process import WorkerProcess

StartWorker = Callable[[str], WorkerProcess]


@pytest.fixture(scope="module")
def worker_of() -> Iterator[StartWorker]:
    """Finds the worker of a language; skips the test where its toolchain is missing."""
    started: dict[str, WorkerProcess] = {}

    def find(language: str) -> WorkerProcess:
        if language not in started:
            started[language] = WorkerProcess(1, language=language)
        worker = started[language]
        if worker.first["op"] != "ready":
            reason = worker.first["reason"]
            assert "apt-get install" in reason, reason
            pytest.skip(reason)
        return worker

    yield find
    for worker in started.values():
        worker.close()
