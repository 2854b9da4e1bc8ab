"""The tables of a run, and how older runs are brought up to date.

`MIGRATIONS[n]` takes a database from version n to n + 1; the version is SQLite's
`user_version`. A migration that was released is never edited: append another.

Texts of candidates and suites are kept once, by SHA-256, in `sources`; an
execution belongs to that pair of contents, so that equal candidates run once.
"""

from __future__ import annotations

import sqlite3

from orchestrator.errors import PlumError

_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE stages (
    name TEXT PRIMARY KEY,
    complete INTEGER NOT NULL,              -- 1: nothing was left to do when it last ended
    wall_time_s REAL NOT NULL,              -- over all runs of the stage
    summary TEXT NOT NULL                   -- JSON of the last run
);
CREATE TABLE sources (sha TEXT PRIMARY KEY, text TEXT NOT NULL);
CREATE TABLE problems (
    id TEXT PRIMARY KEY,
    ordinal INTEGER NOT NULL UNIQUE,
    instruction TEXT NOT NULL,
    language TEXT NOT NULL,
    start_code TEXT,
    entry_point TEXT,
    source TEXT NOT NULL
);
CREATE TABLE problem_drops (
    location TEXT PRIMARY KEY,              -- file:line
    reason TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY,
    problem_id TEXT NOT NULL REFERENCES problems (id),
    request_sha TEXT NOT NULL,              -- of everything the answer depends on
    answer_index INTEGER NOT NULL,
    text TEXT NOT NULL,
    finish_reason TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    UNIQUE (request_sha, answer_index)
);
CREATE INDEX answers_by_problem ON answers (problem_id);
CREATE TABLE suites (
    answer_id INTEGER PRIMARY KEY REFERENCES answers (id),
    problem_id TEXT NOT NULL REFERENCES problems (id),
    reference_sha TEXT REFERENCES sources (sha),
    test_sha TEXT REFERENCES sources (sha),
    start_code TEXT,
    kept INTEGER,                           -- NULL: its reference has not been executed
    reason TEXT NOT NULL
);
CREATE INDEX suites_by_problem ON suites (problem_id, kept);
CREATE TABLE samples (
    problem_id TEXT NOT NULL REFERENCES problems (id),
    sample_index INTEGER NOT NULL,
    text TEXT NOT NULL,
    truncated INTEGER NOT NULL,
    candidate_sha TEXT REFERENCES sources (sha),
    extraction TEXT NOT NULL,
    PRIMARY KEY (problem_id, sample_index)
);
CREATE INDEX samples_by_candidate ON samples (candidate_sha);
CREATE TABLE checks (
    candidate_sha TEXT PRIMARY KEY REFERENCES sources (sha),
    status TEXT NOT NULL,
    diagnostics TEXT NOT NULL,              -- JSON
    message TEXT NOT NULL
);
CREATE TABLE executions (
    candidate_sha TEXT NOT NULL REFERENCES sources (sha),
    test_sha TEXT NOT NULL REFERENCES sources (sha),
    verdict TEXT NOT NULL,
    phase TEXT NOT NULL,
    message TEXT NOT NULL,
    passed INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    first_failure TEXT,                     -- JSON
    proof TEXT,
    cpu_time_s REAL NOT NULL,
    wall_time_s REAL NOT NULL,
    memory_bytes INTEGER NOT NULL,
    PRIMARY KEY (candidate_sha, test_sha)
) WITHOUT ROWID;
CREATE TABLE execution_errors (             -- of the last attempt; none once it is executed
    candidate_sha TEXT NOT NULL,
    test_sha TEXT NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (candidate_sha, test_sha)
) WITHOUT ROWID;
CREATE TABLE labels (
    problem_id TEXT NOT NULL,
    sample_index INTEGER NOT NULL,
    value INTEGER,                          -- 1 desirable, 0 undesirable, NULL dropped
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (problem_id, sample_index),
    FOREIGN KEY (problem_id, sample_index) REFERENCES samples (problem_id, sample_index)
);
CREATE TABLE evaluations (
    name TEXT NOT NULL,
    model TEXT NOT NULL,                    -- "before" or "after"
    fingerprint TEXT NOT NULL,              -- of the model, the benchmark and the settings
    result TEXT NOT NULL,                   -- JSON
    PRIMARY KEY (name, model)
);
"""

_GENERATION = """
ALTER TABLE answers ADD COLUMN cost_usd REAL NOT NULL DEFAULT 0;  -- as paid by this run
ALTER TABLE suites ADD COLUMN skipped TEXT NOT NULL DEFAULT '[]'; -- JSON: quality checks left out
CREATE TABLE batches (                      -- handed to the endpoint as a whole
    id INTEGER PRIMARY KEY,
    input_file_id TEXT,                     -- NULL: not uploaded yet
    batch_id TEXT                           -- NULL: not created yet, as far as we know
);
CREATE TABLE batch_requests (               -- of batches that have not been collected
    request_sha TEXT NOT NULL,
    answer_index INTEGER NOT NULL,
    problem_id TEXT NOT NULL REFERENCES problems (id),
    batch INTEGER NOT NULL REFERENCES batches (id),
    PRIMARY KEY (request_sha, answer_index)
) WITHOUT ROWID;
CREATE INDEX batch_requests_by_batch ON batch_requests (batch);
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _GENERATION)


def check_version(connection: sqlite3.Connection) -> int:
    """The version of a database.

    Raises:
        PlumError: it was written by a newer plum.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise PlumError(
            f"the run store has version {version}; this plum knows versions up to {len(MIGRATIONS)}"
        )
    return version


def migrate(connection: sqlite3.Connection) -> None:
    """Brings a database to the newest version, one transaction per step.

    Raises:
        PlumError: it was written by a newer plum.
    """
    for step in range(check_version(connection), len(MIGRATIONS)):
        # One script: executescript commits first, so the transaction is part of the text.
        connection.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[step]} PRAGMA user_version = {step + 1}; COMMIT;"
        )
