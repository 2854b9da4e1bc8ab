"""What every test may use."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).parents[1]

# A busy machine must not change a verdict here either.
settings.register_profile("plum", deadline=None)
settings.load_profile("plum")


@pytest.fixture(scope="session")
def acceptance() -> Path:
    """Folder of the judging sets, which are kept beside the project and not in it."""
    folder = ROOT.parent / "shared" / "acceptance"
    if not folder.is_dir():
        pytest.skip(f"the judging sets are not at {folder}")
    return folder
