"""A generator's answers and the suites that were read from them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from orchestrator.store.database import Database, storable


@dataclass(frozen=True)
class Answer:
    """What a generator answered to one request."""

    text: str
    finish_reason: str  # as the endpoint says: "stop", "length", ...
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True)
class StoredAnswer:
    """An answer with its name in the store."""

    id: int
    problem_id: str
    text: str
    finish_reason: str


@dataclass(frozen=True)
class Reference:
    """A suite whose own reference solution has not been executed yet."""

    answer_id: int
    problem_id: str
    reference_sha: str
    test_sha: str


@dataclass(frozen=True)
class Suite:
    """What came of one answer. The texts are in `sources`; None where the answer lacks them."""

    answer_id: int
    reference_sha: str | None
    test_sha: str | None
    kept: bool | None  # None: its reference has not been executed
    reason: str


def answered(db: Database, request_sha: str) -> set[int]:
    """The indices for which a request has its answer."""
    rows = db.rows("SELECT answer_index FROM answers WHERE request_sha = ?", (request_sha,))
    return {index for (index,) in rows}


def add_answer(
    db: Database, problem_id: str, request_sha: str, answer_index: int, answer: Answer
) -> None:
    """Stores an answer under what was asked."""
    db.write(
        "INSERT INTO answers (problem_id, request_sha, answer_index, text, finish_reason,"
        " prompt_tokens, completion_tokens) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            problem_id,
            request_sha,
            answer_index,
            storable(answer.text),
            answer.finish_reason,
            answer.prompt_tokens,
            answer.completion_tokens,
        ),
    )


def count_answers(db: Database) -> int:
    """How many answers there are."""
    count: int = db.value("SELECT count(*) FROM answers")
    return count


def token_counts(db: Database) -> tuple[int, int]:
    """Prompt and completion tokens of all answers."""
    return db.rows(
        "SELECT coalesce(sum(prompt_tokens), 0), coalesce(sum(completion_tokens), 0) FROM answers"
    )[0]


def answers_to_parse(db: Database, size: int) -> Iterator[list[StoredAnswer]]:
    """The answers from which no suite was read yet, at most `size` at a time."""
    last = -1
    while True:
        rows = db.rows(
            "SELECT a.id, a.problem_id, a.text, a.finish_reason FROM answers a"
            " LEFT JOIN suites s ON s.answer_id = a.id"
            " WHERE s.answer_id IS NULL AND a.id > ? ORDER BY a.id LIMIT ?",
            (last, size),
        )
        if not rows:
            return
        last = rows[-1][0]
        yield [StoredAnswer(*row) for row in rows]


def add_suite(
    db: Database,
    answer: StoredAnswer,
    *,
    reference: str,
    test: str,
    start_code: str | None,
) -> None:
    """Stores a suite that is to be tried on its own reference."""
    db.write(
        "INSERT INTO suites (answer_id, problem_id, reference_sha, test_sha, start_code, reason)"
        " VALUES (?, ?, ?, ?, ?, '')",
        (answer.id, answer.problem_id, db.add_source(reference), db.add_source(test), start_code),
    )


def add_no_suite(db: Database, answer: StoredAnswer, reason: str) -> None:
    """Stores why an answer holds no suite that could be tried."""
    db.write(
        "INSERT INTO suites (answer_id, problem_id, kept, reason) VALUES (?, ?, 0, ?)",
        (answer.id, answer.problem_id, reason),
    )


def references_to_execute(db: Database, size: int) -> Iterator[list[Reference]]:
    """The suites of which it is open whether they are kept, at most `size` at a time."""
    last = -1
    while True:
        rows = db.rows(
            "SELECT answer_id, problem_id, reference_sha, test_sha FROM suites"
            " WHERE kept IS NULL AND answer_id > ? ORDER BY answer_id LIMIT ?",
            (last, size),
        )
        if not rows:
            return
        last = rows[-1][0]
        yield [Reference(*row) for row in rows]


def suites_of(db: Database, problem_id: str) -> list[Suite]:
    """A problem's suites, kept or not, in the order of the answers."""
    rows = db.rows(
        "SELECT s.answer_id, s.reference_sha, s.test_sha, s.kept, s.reason FROM suites s"
        " JOIN answers a ON a.id = s.answer_id WHERE s.problem_id = ? ORDER BY a.answer_index",
        (problem_id,),
    )
    return [
        Suite(id, reference, test, None if kept is None else bool(kept), reason)
        for id, reference, test, kept, reason in rows
    ]


def start_codes(db: Database, problem_id: str) -> list[tuple[int, str | None]]:
    """Answer ids and start codes of a problem's kept suites, in the order of the answers."""
    return db.rows(
        "SELECT s.answer_id, s.start_code FROM suites s JOIN answers a ON a.id = s.answer_id"
        " WHERE s.problem_id = ? AND s.kept = 1 ORDER BY a.answer_index",
        (problem_id,),
    )


def problems_with_several_suites(db: Database) -> list[str]:
    """The problems with more than one kept suite, all of whose suites are decided."""
    rows = db.rows(
        "SELECT problem_id FROM suites GROUP BY problem_id"
        " HAVING total(kept) > 1 AND count(*) = count(kept)"
    )
    return [problem_id for (problem_id,) in rows]


def decide_suite(db: Database, answer_id: int, kept: bool, reason: str) -> None:
    """Stores whether a suite is kept, and why."""
    db.write(
        "UPDATE suites SET kept = ?, reason = ? WHERE answer_id = ?", (int(kept), reason, answer_id)
    )


def suite_counts(db: Database) -> dict[tuple[bool | None, str], int]:
    """Suites by whether they are kept (None: open) and why."""
    rows = db.rows(
        "SELECT kept, reason, count(*) FROM suites GROUP BY kept, reason ORDER BY 3 DESC"
    )
    return {(None if kept is None else bool(kept), reason): n for kept, reason, n in rows}


def consistency_by_dataset(db: Database) -> list[tuple[str, int, int, int, int]]:
    """By where problems come from: problems, those with a kept suite, suites, kept suites."""
    return db.rows(
        "SELECT source, count(*), sum(kept > 0), sum(suites), sum(kept) FROM"
        " (SELECT p.source AS source, count(s.answer_id) AS suites, coalesce(sum(s.kept), 0) AS kept"
        " FROM problems p LEFT JOIN suites s ON s.problem_id = p.id GROUP BY p.id)"
        " GROUP BY source ORDER BY source"
    )
