"""A generator's answers and the suites that were read from them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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
class OpenSuite:
    """A suite of which it is open whether it is kept."""

    answer_id: int
    reference: str
    test: str
    start_code: str | None


@dataclass(frozen=True)
class Consistency:
    """How many of a source's suites are passed by their own reference.

    answers >= suites (those with all their parts that were executed) >= consistent >= kept.
    """

    source: str
    answers: int
    suites: int
    consistent: int
    kept: int

    @property
    def rate(self) -> float | None:
        """Share of the executed suites in [0, 1]; None where there is none."""
        return self.consistent / self.suites if self.suites else None


@dataclass(frozen=True)
class Suite:
    """What came of one answer. The texts are in `sources`; None where the answer lacks them."""

    answer_id: int
    reference_sha: str | None
    test_sha: str | None
    kept: bool | None  # None: not decided yet
    reason: str


def answered(db: Database, request_sha: str) -> set[int]:
    """The indices for which a request has its answer."""
    rows = db.rows("SELECT answer_index FROM answers WHERE request_sha = ?", (request_sha,))
    return {index for (index,) in rows}


def add_answer(
    db: Database,
    problem_id: str,
    request_sha: str,
    answer_index: int,
    answer: Answer,
    *,
    cost_usd: float = 0.0,
) -> None:
    """Stores an answer under what was asked, and what this run paid for it."""
    db.write(
        "INSERT INTO answers (problem_id, request_sha, answer_index, text, finish_reason,"
        " prompt_tokens, completion_tokens, cost_usd) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            problem_id,
            request_sha,
            answer_index,
            storable(answer.text),
            answer.finish_reason,
            answer.prompt_tokens,
            answer.completion_tokens,
            cost_usd,
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


def cost_usd(db: Database) -> float:
    """What this run has paid for its answers."""
    total: float = db.value("SELECT total(cost_usd) FROM answers")
    return total


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


def undecided_problems(db: Database, size: int) -> Iterator[list[str]]:
    """Ids of the problems with a suite of which it is open whether it is kept, in their order."""
    last = -1
    while True:
        rows = db.rows(
            "SELECT p.ordinal, p.id FROM problems p WHERE p.ordinal > ? AND EXISTS"
            " (SELECT 1 FROM suites s WHERE s.problem_id = p.id AND s.kept IS NULL)"
            " ORDER BY p.ordinal LIMIT ?",
            (last, size),
        )
        if not rows:
            return
        last = rows[-1][0]
        yield [problem_id for _, problem_id in rows]


def undecided_suites(db: Database, problem_id: str) -> list[OpenSuite]:
    """A problem's suites of which it is open whether they are kept, in the order of the answers."""
    rows = db.rows(
        "SELECT s.answer_id, r.text, t.text, s.start_code FROM suites s"
        " JOIN answers a ON a.id = s.answer_id"
        " JOIN sources r ON r.sha = s.reference_sha JOIN sources t ON t.sha = s.test_sha"
        " WHERE s.problem_id = ? AND s.kept IS NULL ORDER BY a.answer_index",
        (problem_id,),
    )
    return [OpenSuite(*row) for row in rows]


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


def decide_suite(
    db: Database, answer_id: int, kept: bool, reason: str, skipped: Sequence[str] = ()
) -> None:
    """Stores whether a suite is kept, and why.

    skipped: quality checks that could not be made on it, with their reasons.
    """
    db.write(
        "UPDATE suites SET kept = ?, reason = ?, skipped = ? WHERE answer_id = ?",
        (int(kept), reason, json.dumps(list(skipped)), answer_id),
    )


def suite_counts(db: Database) -> dict[tuple[bool | None, str], int]:
    """Suites by whether they are kept (None: open) and why."""
    rows = db.rows(
        "SELECT kept, reason, count(*) FROM suites GROUP BY kept, reason ORDER BY 3 DESC"
    )
    return {(None if kept is None else bool(kept), reason): n for kept, reason, n in rows}


def skipped_counts(db: Database) -> dict[str, int]:
    """Quality checks that could not be made, by reason, each with its number of suites."""
    return dict(
        db.rows(
            "SELECT j.value, count(*) FROM suites s, json_each(s.skipped) j GROUP BY 1 ORDER BY 2 DESC"
        )
    )


def self_consistency(db: Database) -> list[Consistency]:
    """Per source of problems, in their order: how consistent the generator's answers are."""
    rows = db.rows(
        "SELECT p.source, count(*), count(e.verdict), total(e.verdict = 'PASSED'), total(s.kept)"
        " FROM suites s JOIN problems p ON p.id = s.problem_id LEFT JOIN executions e"
        " ON e.candidate_sha = s.reference_sha AND e.test_sha = s.test_sha AND e.hash_seed = 0"
        " GROUP BY p.source ORDER BY min(p.ordinal)"
    )
    return [
        Consistency(source, answers, suites, int(consistent), int(kept))
        for source, answers, suites, consistent, kept in rows
    ]
