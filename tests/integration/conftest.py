"""What tests of several parts together may use."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from orchestrator.sandbox.embedded import embedded_sandbox


@pytest.fixture(scope="session")
def sandbox_address() -> Iterator[str]:
    """A real sandbox, shared by the tests; or the running one that PLUM_TEST_SANDBOX names."""
    given = os.environ.get("PLUM_TEST_SANDBOX")
    if given:
        yield given
        return
    with embedded_sandbox() as address:
        yield address
