"""Stores of other versions, and files that are none."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator.domain import ExecutionError, ExecutionResult, Usage, Verdict
from orchestrator.errors import InputError, PlumError
from orchestrator.labels import Label, LabelReason
from orchestrator.store.database import open_reader, open_writer
from orchestrator.store.executions import outcome_of, pair_id
from orchestrator.store.labels import (
    labels_of,
)
from orchestrator.store.samples import (
    samples_of,
)
from orchestrator.store.schema import MIGRATIONS


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run here"), open_reader(tmp_path):
        pass


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    with open_writer(tmp_path):
        pass
    connection = sqlite3.connect(tmp_path / "plum.sqlite3")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    for opened in (open_writer, open_reader):
        with pytest.raises(PlumError, match="knows versions up to"), opened(tmp_path):
            pass


def store_of_version(folder: Path, version: int) -> None:
    """A store as an older plum left it, with a problem that has a label."""
    with closing(sqlite3.connect(folder / "plum.sqlite3")) as connection:
        for step in range(version):
            connection.executescript(MIGRATIONS[step])
        connection.executescript(
            f"PRAGMA user_version = {version};"
            "INSERT INTO problems VALUES ('p', 0, 'task', 'python', NULL, NULL, 'plain');"
            "INSERT INTO samples VALUES ('p', 0, 'text', 0, NULL, 'bare');"
            "INSERT INTO labels (problem_id, sample_index, value, reason, detail)"
            " VALUES ('p', 0, 1, 'passed every suite', '');"
            "INSERT INTO sources VALUES ('c', 'candidate'), ('t', 'suite');"
            "INSERT INTO executions VALUES"
            " ('c', 't', 'PASSED', 'TEST', '', 1, 0, NULL, 'separated', 0.1, 0.2, 3);"
            "INSERT INTO execution_errors VALUES ('c', 'u', 'UNAVAILABLE', 'worker lost');"
        )


@pytest.mark.parametrize("version", range(1, len(MIGRATIONS)))
def test_a_store_of_an_older_version_is_brought_up_to_date_with_all_it_holds(
    tmp_path: Path, version: int
) -> None:
    store_of_version(tmp_path, version)
    with (
        pytest.raises(PlumError, match=f"has version {version}.*plum run"),
        open_reader(tmp_path),
    ):
        pass
    with open_writer(tmp_path) as db:
        assert labels_of(db, "p") == {0: Label(True, LabelReason.PASSED)}
    with open_reader(tmp_path) as db:
        assert db.value("PRAGMA user_version") == len(MIGRATIONS)
        assert [s.index for s in samples_of(db, "p")] == [0]
        executed = outcome_of(db, "c", "t")
        assert isinstance(executed, ExecutionResult)
        assert (executed.verdict, executed.usage) == (Verdict.PASSED, Usage(0.1, 0.2, 3))
        lost = ExecutionError(pair_id("c", "u"), "UNAVAILABLE", "worker lost")
        assert outcome_of(db, "c", "u") == lost


def test_an_older_and_a_new_store_have_the_same_tables(tmp_path: Path) -> None:
    schemas = []
    for name, version in (("new", 0), ("old", 1)):
        (tmp_path / name).mkdir()
        if version:
            store_of_version(tmp_path / name, version)
        with open_writer(tmp_path / name) as db:
            schemas.append(db.rows("SELECT name, sql FROM sqlite_master ORDER BY name"))
    assert schemas[0] == schemas[1]


def test_a_store_that_is_being_made_is_no_run_yet(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "plum.sqlite3").close()
    with pytest.raises(InputError, match="no run here yet"), open_reader(tmp_path):
        pass


def test_a_file_that_is_no_store_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "plum.sqlite3").write_text("not a database" * 100)
    with pytest.raises(PlumError, match="not a database"), open_writer(tmp_path):
        pass
