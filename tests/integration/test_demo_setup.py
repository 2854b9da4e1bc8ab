"""`scripts/setup-env` names what is missing, and a second run does nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """As much of a clone as the script reads."""
    (tmp_path / "scripts").mkdir()
    for name in ("scripts/setup-env", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def interpreter(clone: Path, script: str) -> Path:
    """An executable that answers as an interpreter might."""
    path = clone / "some-python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def setup_env(clone: Path, python: Path | str, *extras: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [clone / "scripts/setup-env", *extras],
        env={**os.environ, "PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_interpreter_is_said_with_the_command_that_brings_one(clone: Path) -> None:
    done = setup_env(clone, "no-such-python")
    assert done.returncode == 1
    assert "apt-get install python3 python3-venv" in done.stderr


def test_an_old_interpreter_is_said_with_its_version_and_the_bound(clone: Path) -> None:
    old = interpreter(clone, 'case "$2" in *print*) echo 3.9;; *exit*) exit 1;; esac')
    done = setup_env(clone, old)
    assert done.returncode == 1
    assert "is Python 3.9, at least 3.11 is needed" in done.stderr


def test_a_missing_venv_module_is_said_with_the_package_that_brings_it(clone: Path) -> None:
    bare = interpreter(clone, 'case "$2" in *print*) echo 3.11;; *ensurepip*) exit 1;; esac')
    done = setup_env(clone, bare)
    assert done.returncode == 1
    assert "apt-get install python3.11-venv" in done.stderr
    assert not (clone / ".venv").exists()


def test_an_installed_environment_is_left_alone_until_what_it_was_made_of_changes(
    clone: Path,
) -> None:
    """pip itself is played by a script that notes how it was called."""
    calls = clone / "calls"
    venv = clone / "stand-in/bin"
    venv.mkdir(parents=True)
    fake = interpreter(
        clone,
        f'case "$1 $2" in "-m venv") cp -r {clone}/stand-in "$3";; *) exec {sys.executable} "$@";; esac',
    )
    python = venv / "python"
    python.write_text(f'#!/bin/sh\ncase "$2" in pip) echo "$@" >> {calls};; esac\n')
    python.chmod(0o755)

    assert setup_env(clone, fake, "sandbox", "train").returncode == 0
    assert "-c constraints.txt -e .[sandbox,train]" in calls.read_text()
    assert setup_env(clone, fake, "sandbox", "train").returncode == 0
    assert len(calls.read_text().splitlines()) == 1
    (clone / "constraints.txt").write_text("torch==0\n")
    assert setup_env(clone, fake, "sandbox", "train").returncode == 0
    assert setup_env(clone, fake, "sandbox").returncode == 0
    assert len(calls.read_text().splitlines()) == 3
