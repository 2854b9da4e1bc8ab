"""What was finished stays, whoever else reads or writes, and however full the disk is."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.errors import PlumError
from orchestrator.problem import Problem
from orchestrator.store.database import open_reader, open_writer, writer_pid
from orchestrator.store.problems import add_problem, count_problems, problem_pages


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        problem = Problem("p", "x", "python", None, None, "plain")

        def fail() -> None:
            with db.transaction():
                add_problem(db, 0, problem)
                add_problem(db, 1, problem)

        with pytest.raises(sqlite3.IntegrityError):
            fail()
        assert list(problem_pages(db, 1)) == []


def test_a_second_writer_is_refused_and_told_who_writes(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from orchestrator.store.database import open_writer\n"
        "with open_writer(pathlib.Path(sys.argv[1])):\n"
        "    print('open', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        assert writer_pid(tmp_path) == other.pid
        with (
            pytest.raises(PlumError, match=f"process {other.pid} is writing"),
            open_writer(tmp_path),
        ):
            pass
        other.kill()
    assert writer_pid(tmp_path) is None
    with open_writer(tmp_path):
        pass


def test_readers_see_what_is_committed_while_a_writer_is_at_work(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:
        add_problem(db, 0, Problem("p0", "x", "python", None, None, "plain"))
        with open_reader(tmp_path) as reader:
            with db.transaction():
                add_problem(db, 5, Problem("late", "x", "python", None, None, "plain"))
                assert [[p.id for p in page] for page in problem_pages(reader, 9)] == [["p0"]]
            assert len(next(problem_pages(reader, 9))) == 2
            with pytest.raises(sqlite3.OperationalError):
                reader.write("DELETE FROM problems")


def test_a_transaction_inside_another_is_stored_with_it_or_not_at_all(tmp_path: Path) -> None:
    with open_writer(tmp_path) as db:

        def fail() -> None:
            with db.transaction():
                with db.transaction():
                    add_problem(db, 0, Problem("p", "x", "python", None, None, "plain"))
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            fail()
        assert list(problem_pages(db, 1)) == []
        with db.transaction():
            pass


_FILLS_A_SMALL_DISK = """
import pathlib, resource, signal, sys
from orchestrator.errors import PlumError
from orchestrator.problem import Problem
from orchestrator.store.database import open_writer
from orchestrator.store.problems import add_problem
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
if sys.argv[2] != "0":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
try:
    with open_writer(pathlib.Path(sys.argv[1])) as db:
        for n in range(1000):
            with db.transaction():
                add_problem(db, n, Problem(f"p{n}", "x" * 5000, "python", None, None, ""))
            print(n, flush=True)
except PlumError as e:
    print(e)
"""


@pytest.mark.parametrize("kind", ["tmpfs", "limited-file"])
def test_a_full_disk_keeps_every_finished_transaction_and_goes_on_with_room(
    tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if kind == "tmpfs" and subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        limit = "0" if kind == "tmpfs" else "1000000"
        command = [sys.executable, "-c", _FILLS_A_SMALL_DISK, str(folder), limit]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        *finished, message = done.stdout.splitlines()
        assert "what was stored before is kept" in message
        assert 10 < len(finished) < 1000
        if kind == "tmpfs":
            room = ["mount", "-o", "remount,size=16m", str(folder)]
            subprocess.run(room, check=True, capture_output=True)
        with open_writer(folder) as db:
            assert count_problems(db) == len(finished)
            add_problem(db, 5000, Problem("last", "x", "python", None, None, ""))
    finally:
        if kind == "tmpfs":
            subprocess.run(["umount", str(folder)], check=True, capture_output=True)
