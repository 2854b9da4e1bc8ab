"""What an installation that is no checkout brings along."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BUILD = "from setuptools import build_meta; build_meta.build_wheel('out')"


def test_a_wheel_holds_every_file_of_every_language(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    leave_out = shutil.ignore_patterns("__pycache__", "prepared")
    shutil.copytree(ROOT / "images", sources / "images", ignore=leave_out)
    # Of the rest, what the build itself reads.
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, sources)
    (sources / "proto" / "gen" / "plum").mkdir(parents=True)
    subprocess.run(
        [sys.executable, "-c", _BUILD], cwd=sources, check=True, capture_output=True, text=True
    )
    (wheel,) = (sources / "out").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    files = (p for p in (sources / "images").glob("*/**/*") if p.is_file())
    wanted = {path.relative_to(sources).as_posix() for path in files}
    assert any(path.endswith(".java") for path in wanted)
    assert wanted - packed == set()
