"""Answers that were paid for once, by what was asked: shared by runs, kept in one SQLite file.

Whichever run asks for the same again (model, messages, settings and the answer's number) takes
it from here. Two runs that ask at the same moment both pay.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from orchestrator.errors import PlumError
from orchestrator.store.answers import Answer
from orchestrator.store.database import storable

_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    request_sha TEXT NOT NULL,
    answer_index INTEGER NOT NULL,
    text TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    PRIMARY KEY (request_sha, answer_index)
) WITHOUT ROWID
"""


class AnswerCache:
    """An open cache; see `open_cache`. Its errors are `PlumError`s that name the file."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._connection = connection

    def get(self, request_sha: str, index: int) -> Answer | None:
        """The answer, if any run has it."""
        row = self._execute(
            "SELECT text, finish_reason, prompt_tokens, completion_tokens FROM answers"
            " WHERE request_sha = ? AND answer_index = ?",
            (request_sha, index),
        ).fetchone()
        return None if row is None else Answer(*row)

    def put(self, request_sha: str, index: int, answer: Answer) -> None:
        """Keeps an answer; the first one stays."""
        self._execute(
            "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?)",
            (
                request_sha,
                index,
                storable(answer.text),
                answer.finish_reason,
                answer.prompt_tokens,
                answer.completion_tokens,
            ),
        )

    def prepare(self) -> None:
        """Makes the table where there is none."""
        self._execute("PRAGMA journal_mode = WAL")
        self._execute("PRAGMA synchronous = FULL")  # answers are paid for
        self._execute(_TABLE)

    def _execute(self, statement: str, values: tuple[str | int, ...] = ()) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.DatabaseError as e:
            raise PlumError(f"{self._path}: {e}") from e


@contextmanager
def open_cache(path: Path | None) -> Iterator[AnswerCache | None]:
    """The cache at `path`, made where there is none; None without a path.

    Raises:
        PlumError: it cannot be used.
    """
    if path is None:
        yield None
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, timeout=60, isolation_level=None)
    except (OSError, sqlite3.Error) as e:
        raise PlumError(f"{path}: {e}") from e
    with closing(connection):
        cache = AnswerCache(path, connection)
        cache.prepare()
        yield cache
