"""What tests of several parts together may use."""

from __future__ import annotations

import fcntl
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.sandbox.embedded import embedded_sandbox


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whoever waits for the engine is given the time that others need with it."""
    for item in items:
        if item.get_closest_marker("docker") is not None:
            item.add_marker(pytest.mark.timeout(900), append=False)


@pytest.fixture(scope="module", autouse=True)
def one_user_of_the_engine_at_a_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests of containers count containers; two modules at a time would count each other's."""
    marks = getattr(request.module, "pytestmark", [])
    names = {mark.name for mark in (marks if isinstance(marks, list) else [marks])}
    if "docker" not in names:
        yield
        return
    with open(Path(tempfile.gettempdir()) / "plum-tests-docker.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def sandbox_address() -> Iterator[str]:
    """A real sandbox, shared by the tests; or the running one that PLUM_TEST_SANDBOX names."""
    given = os.environ.get("PLUM_TEST_SANDBOX")
    if given:
        yield given
        return
    with embedded_sandbox() as address:
        yield address
