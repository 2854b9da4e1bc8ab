"""What every test may use."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes says something of the machine, and nothing of the property.
settings.register_profile("plum", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("plum")

ROOT = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first, so that no process of several is left with it at the end."""
    items.sort(key=lambda item: not any(map(item.get_closest_marker, ("docker", "train"))))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Modules go to processes as a whole, those of containers all to the same one.

    They wait for each other (see `integration/conftest.py`), and would keep processes waiting
    that could work.
    """
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class ByModule(LoadFileScheduling):  # type: ignore[misc, unused-ignore]
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "containers" if _uses_docker(config.rootpath / file) else file

    return ByModule(config, log)


@cache
def _uses_docker(module: Path) -> bool:
    return "pytest.mark.docker" in module.read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def acceptance() -> Path:
    """Folder of the judging sets, which are kept beside the project and not in it."""
    folder = ROOT.parent / "shared" / "acceptance"
    if not folder.is_dir():
        pytest.skip(f"the judging sets are not at {folder}")
    return folder
