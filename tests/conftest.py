"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something of the machine, and nothing of the property.
settings.register_profile("plum", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("plum")

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def acceptance() -> Path:
    """Folder of the judging sets, which are kept beside the project and not in it."""
    folder = ROOT.parent / "shared" / "acceptance"
    if not folder.is_dir():
        pytest.skip(f"the judging sets are not at {folder}")
    return folder
