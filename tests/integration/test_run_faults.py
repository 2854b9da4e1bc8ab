"""A replica that dies, a disk that fills up, a killed process: the dataset is the undisturbed one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.sandbox.embedded import embedded_sandbox, remove_abandoned
from orchestrator.store.database import open_reader
from tests.adversarial.jailed import gateway_of
from tests.integration.endpoint import serve_endpoint
from tests.integration.run_helpers import (
    count,
    dataset,
    labels,
    plum,
    plum_command,
    write_instructions,
    write_recipe,
)

PROBLEMS, K = 12, 6


def without_card(folder: Path) -> dict[str, bytes]:
    """The dataset but for its card, which says when and where it was made."""
    return {name: data for name, data in dataset(folder).items() if name != "README.md"}


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory, sandbox_address: str) -> Path:
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("calm")
    write_instructions(folder, PROBLEMS)
    with serve_endpoint() as endpoint:
        recipe = write_recipe(folder, endpoint.url, sandbox_address, k=K)
        done = plum("run", recipe, "--run-dir", folder / "run")
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_a_replica_that_dies_in_mid_stream_changes_nothing(
    tmp_path: Path, calm: Path, sandbox_address: str
) -> None:
    write_instructions(tmp_path, PROBLEMS)
    run = tmp_path / "run"
    with serve_endpoint() as endpoint, embedded_sandbox() as dying:
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address, k=K)
        one, two = f'address = "{sandbox_address}"', f'addresses = ["{dying}", "{sandbox_address}"]'
        recipe.write_text(recipe.read_text().replace(one, two))
        for stage in ("generate", "sample", "check"):
            done = plum(stage, recipe, "--run-dir", run)
            assert done.returncode == 0, done.stderr
        with open_reader(run) as db:
            before = count(db, "executions")
        with subprocess.Popen(plum_command("label", recipe, "--run-dir", run)) as label:
            with open_reader(run) as db:
                while count(db, "executions") == before and label.poll() is None:
                    time.sleep(0.01)
            os.kill(gateway_of(dying), signal.SIGKILL)
            assert label.wait(60) == 0
        assert plum("export", recipe, "--run-dir", run).returncode == 0
    assert labels(run) == labels(calm)
    assert without_card(run) == without_card(calm)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """A file system of its own at `folder`; the test is skipped where none can be made."""
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True, capture_output=True)


@pytest.mark.slow
def test_a_disk_that_fills_up_stops_the_run_with_one_line_until_there_is_room(
    tmp_path: Path, calm: Path, sandbox_address: str
) -> None:
    place = tmp_path / "small"
    place.mkdir()
    sizes = [224, 352, 480, 8192]
    with small_disk(place, f"{sizes[0]}k"), serve_endpoint() as endpoint:
        write_instructions(tmp_path, PROBLEMS)
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address, k=K)
        stopped = 0
        for size in sizes:
            room = ["mount", "-o", f"remount,size={size}k", str(place)]
            subprocess.run(room, check=True, capture_output=True)
            done = plum("run", recipe, "--run-dir", place / "run")
            if done.returncode == 0:
                break
            stopped += 1
            assert done.returncode == 1, done.stderr
            assert "Traceback" not in done.stderr
            assert "what was stored before is kept" in done.stderr.splitlines()[-1]
        assert done.returncode == 0, done.stderr
        assert stopped >= 2
        assert labels(place / "run") == labels(calm)
        assert without_card(place / "run") == without_card(calm)
        # An answer whose storing failed may be asked for again, a stored one never.
        assert endpoint.answered.total() <= 2 * PROBLEMS + 4 * stopped


def test_the_folder_of_a_killed_process_is_removed_by_the_next_start(tmp_path: Path) -> None:
    script = (
        "from orchestrator.sandbox.embedded import embedded_sandbox\n"
        "import sys\n"
        "with embedded_sandbox() as address:\n"
        "    print(address, flush=True); sys.stdin.read()\n"
    )
    # A short path of its own: other tests' sandboxes are none of this test's business.
    place = Path("/tmp", f"t{os.getpid()}")
    place.mkdir()
    command = [sys.executable, "-c", script]
    environment = {**os.environ, "TMPDIR": str(place)}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    try:
        with subprocess.Popen(command, env=environment, text=True, **pipes) as killed:  # type: ignore[call-overload]
            assert killed.stdout.readline().startswith("unix:")
            [abandoned] = place.iterdir()
            killed.kill()
        assert abandoned.exists()
        with subprocess.Popen(command, env=environment, text=True, **pipes) as living:  # type: ignore[call-overload]
            assert living.stdout.readline().startswith("unix:")
            assert not abandoned.exists()
            [used] = place.iterdir()
            remove_abandoned(place)
            assert used.exists()
            living.communicate("")
        assert list(place.iterdir()) == []
    finally:
        place.rmdir()
