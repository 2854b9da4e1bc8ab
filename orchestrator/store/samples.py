"""The policy's completions, the candidates in them, and their static checks."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from orchestrator.domain import CheckResult, CheckStatus, Diagnostic, Severity
from orchestrator.extract import Extraction
from orchestrator.sampling.sampler import Refused, Sampled
from orchestrator.store.database import Database, storable


@dataclass(frozen=True)
class Sample:
    """A stored completion."""

    problem_id: str
    index: int
    text: str
    truncated: bool
    candidate_sha: str | None
    extraction: str  # how the candidate was found, or why there is none


def complete_problems(db: Database, k: int) -> set[str]:
    """The problems that have all of their k samples."""
    rows = db.rows("SELECT problem_id FROM samples GROUP BY problem_id HAVING count(*) >= ?", (k,))
    return {problem_id for (problem_id,) in rows}


def count_samples(db: Database) -> int:
    """How many samples there are."""
    count: int = db.value("SELECT count(*) FROM samples")
    return count


def add_sample(db: Database, sampled: Sampled, extraction: Extraction) -> None:
    """Stores a completion and its candidate; what is there already is left as it is."""
    sha = None if extraction.source is None else db.add_source(extraction.source)
    db.write(
        "INSERT OR IGNORE INTO samples"
        " (problem_id, sample_index, text, truncated, candidate_sha, extraction)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (
            sampled.problem_id,
            sampled.index,
            storable(sampled.text),
            int(sampled.truncated),
            sha,
            extraction.how,
        ),
    )


def set_refused(db: Database, refused: Refused) -> None:
    """Stores why a problem gets no samples."""
    db.write(
        "INSERT OR REPLACE INTO refused_prompts (problem_id, reason) VALUES (?, ?)",
        (refused.problem_id, storable(refused.reason)),
    )


def forget_refused(db: Database) -> None:
    """Forgets which prompts were refused, before all that lack samples are asked again."""
    db.write("DELETE FROM refused_prompts")


def refused_prompts(db: Database, limit: int) -> list[Refused]:
    """The first problems that get no samples, and why, in the order of the run."""
    rows = db.rows(
        "SELECT r.problem_id, r.reason FROM refused_prompts r JOIN problems p"
        " ON p.id = r.problem_id ORDER BY p.ordinal LIMIT ?",
        (limit,),
    )
    return [Refused(*row) for row in rows]


def refused_counts(db: Database) -> list[tuple[str, int]]:
    """The most frequent reasons for which prompts were refused."""
    return db.rows(
        "SELECT reason, count(*) FROM refused_prompts GROUP BY reason ORDER BY 2 DESC, 1 LIMIT 50"
    )


def count_refused(db: Database) -> int:
    """How many problems get no samples, for the policy cannot take their prompts."""
    count: int = db.value("SELECT count(*) FROM refused_prompts")
    return count


def samples_of(db: Database, problem_id: str) -> list[Sample]:
    """A problem's samples in their order."""
    rows = db.rows(
        "SELECT problem_id, sample_index, text, truncated, candidate_sha, extraction"
        " FROM samples WHERE problem_id = ? ORDER BY sample_index",
        (problem_id,),
    )
    return [Sample(p, i, text, bool(cut), sha, how) for p, i, text, cut, sha, how in rows]


def source(db: Database, sha: str) -> str:
    """The text with this SHA-256."""
    text: str = db.value("SELECT text FROM sources WHERE sha = ?", (sha,))
    return text


def sources_of_problem(db: Database, problem_id: str) -> dict[str, str]:
    """The texts of a problem's candidates and kept suites, by SHA-256."""
    rows = db.rows(
        "SELECT o.sha, o.text FROM samples s CROSS JOIN sources o ON o.sha = s.candidate_sha"
        " WHERE s.problem_id = ?1 UNION SELECT o.sha, o.text FROM suites u"
        " CROSS JOIN sources o ON o.sha = u.test_sha WHERE u.problem_id = ?1 AND u.kept = 1",
        (problem_id,),
    )
    return dict(rows)


def count_unchecked(db: Database) -> int:
    """Different candidates that have no static check."""
    count: int = db.value(f"SELECT count(*) FROM ({_UNCHECKED})", ("", -1))
    return count


def unchecked_pages(db: Database, size: int) -> Iterator[list[tuple[str, str]]]:
    """(SHA, source) of the candidates that have no static check, each once."""
    last = ""
    while True:
        rows = db.rows(
            f"SELECT u.sha, o.text FROM ({_UNCHECKED}) u JOIN sources o ON o.sha = u.sha",
            (last, size),
        )
        if not rows:
            return
        last = max(sha for sha, _ in rows)
        yield [(sha, text) for sha, text in rows]


#: Truncated samples are dropped in any case, so what they hold need not be checked.
_UNCHECKED = (
    "SELECT DISTINCT s.candidate_sha AS sha FROM samples s"
    " LEFT JOIN checks c ON c.candidate_sha = s.candidate_sha"
    " WHERE s.candidate_sha > ? AND s.truncated = 0 AND c.candidate_sha IS NULL"
    " ORDER BY s.candidate_sha LIMIT ?"
)


def add_checks(db: Database, results: Sequence[CheckResult]) -> None:
    """Stores what the static check said; a result's id is its candidate's SHA-256."""
    with db.transaction():
        db.write_many(
            "INSERT OR REPLACE INTO checks (candidate_sha, status, diagnostics, message)"
            " VALUES (?, ?, ?, ?)",
            [
                (
                    r.id,
                    r.status,
                    json.dumps([asdict(d) for d in r.diagnostics]),
                    storable(r.message),
                )
                for r in results
            ],
        )


def check_of(db: Database, candidate_sha: str) -> CheckResult | None:
    """The static check of a candidate, if it was made."""
    rows = db.rows(
        "SELECT candidate_sha, status, diagnostics, message FROM checks WHERE candidate_sha = ?",
        (candidate_sha,),
    )
    return _check(*rows[0]) if rows else None


def checks_of_problem(db: Database, problem_id: str) -> dict[str, CheckResult]:
    """The static checks of a problem's candidates, as far as they were made, by SHA."""
    rows = db.rows(
        "SELECT DISTINCT c.candidate_sha, c.status, c.diagnostics, c.message"
        " FROM samples s CROSS JOIN checks c ON c.candidate_sha = s.candidate_sha"
        " WHERE s.problem_id = ?",
        (problem_id,),
    )
    return {row[0]: _check(*row) for row in rows}


def _check(candidate_sha: str, status: str, diagnostics: str, message: str) -> CheckResult:
    found = tuple(
        Diagnostic(d["line"], Severity(d["severity"]), d["code"], d["message"])
        for d in json.loads(diagnostics)
    )
    return CheckResult(candidate_sha, CheckStatus(status), found, message)


def check_counts(db: Database) -> dict[str, int]:
    """Checked candidates by status."""
    return dict(db.rows("SELECT status, count(*) FROM checks GROUP BY status"))


def check_code_counts(db: Database) -> list[tuple[str, int]]:
    """Candidates by the codes of their findings."""
    return db.rows(
        "SELECT code, count(*) FROM (SELECT DISTINCT c.candidate_sha, json_extract(d.value, '$.code') AS code"
        " FROM checks c, json_each(c.diagnostics) d WHERE json_extract(d.value, '$.severity') != 'NOTE')"
        " GROUP BY code ORDER BY 2 DESC"
    )


def drop_failed_checks(db: Database) -> None:
    """Forgets the checks that could not be made, so that they are tried again."""
    db.write("DELETE FROM checks WHERE status = ?", (CheckStatus.NOT_CHECKED,))
