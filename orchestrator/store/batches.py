"""Requests that were handed to the endpoint in batches and are not answered yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.store.database import Database


@dataclass(frozen=True)
class StoredBatch:
    """A batch that has not been collected. None: that step was not reached, as far as we know."""

    id: int
    input_file_id: str | None
    batch_id: str | None


def add_batch(db: Database, requests: Sequence[tuple[str, int, str]]) -> int:
    """Notes what is about to be handed in: (request SHA, answer index, problem id) each."""
    with db.transaction():
        db.write("INSERT INTO batches (input_file_id) VALUES (NULL)")
        batch: int = db.value("SELECT last_insert_rowid()")
        db.write_many(
            "INSERT INTO batch_requests (request_sha, answer_index, problem_id, batch)"
            " VALUES (?, ?, ?, ?)",
            [(*request, batch) for request in requests],
        )
    return batch


def set_input_file(db: Database, batch: int, input_file_id: str) -> None:
    """Notes the endpoint's name of the uploaded requests."""
    db.write("UPDATE batches SET input_file_id = ? WHERE id = ?", (input_file_id, batch))


def set_batch_id(db: Database, batch: int, batch_id: str) -> None:
    """Notes the endpoint's name of the batch."""
    db.write("UPDATE batches SET batch_id = ? WHERE id = ?", (batch_id, batch))


def open_batches(db: Database) -> list[StoredBatch]:
    """The batches with requests that are not answered, oldest first."""
    rows = db.rows(
        "SELECT id, input_file_id, batch_id FROM batches b"
        " WHERE EXISTS (SELECT 1 FROM batch_requests r WHERE r.batch = b.id) ORDER BY id"
    )
    return [StoredBatch(*row) for row in rows]


def requests_of(db: Database, batch: int) -> list[tuple[str, int, str]]:
    """What is open of a batch: (request SHA, answer index, problem id) each, in a fixed order."""
    return db.rows(
        "SELECT request_sha, answer_index, problem_id FROM batch_requests"
        " WHERE batch = ? ORDER BY 1, 2",
        (batch,),
    )


def handed_in(db: Database, request_sha: str) -> set[int]:
    """The indices of a request that are on their way in a batch."""
    rows = db.rows("SELECT answer_index FROM batch_requests WHERE request_sha = ?", (request_sha,))
    return {index for (index,) in rows}


def forget_request(db: Database, request_sha: str, answer_index: int) -> None:
    """Takes a request out of its batch: it is answered, or has to be asked again."""
    db.write(
        "DELETE FROM batch_requests WHERE request_sha = ? AND answer_index = ?",
        (request_sha, answer_index),
    )


def forget_batch(db: Database, batch: int) -> None:
    """Takes all that is left out of a batch: the endpoint will not answer it."""
    db.write("DELETE FROM batch_requests WHERE batch = ?", (batch,))
