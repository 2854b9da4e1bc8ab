"""The tables of a run, and how older runs are brought up to date.

`MIGRATIONS[n]` takes a database from version n to n + 1; the version is SQLite's
`user_version`. A migration that was released is never edited: append another.

Texts of candidates and suites are kept once, by SHA-256, in `sources`; an
execution belongs to that pair of contents (and a hash seed), so that equal candidates run once.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from orchestrator.errors import InputError, PlumError

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

_PROGRESS_AND_RESUMED_EVALUATION = """
CREATE TABLE progress (                     -- of the work that goes on, and of what went before
    work TEXT PRIMARY KEY,
    unit TEXT NOT NULL,
    done INTEGER NOT NULL,
    total INTEGER,                          -- NULL: not known
    first_done INTEGER NOT NULL,            -- of `done`, what an earlier run had finished
    began_at REAL NOT NULL,                 -- seconds since 1970
    updated_at REAL NOT NULL
);
ALTER TABLE labels ADD COLUMN test_sha TEXT; -- the suite that decided; NULL where none did
CREATE INDEX labels_not_executed ON labels (problem_id) WHERE reason = 'not executed';
CREATE TABLE evaluation_samples (           -- of a measurement that has not ended yet
    fingerprint TEXT NOT NULL,              -- of everything the sample depends on
    kind TEXT NOT NULL,                     -- "greedy" or "drawn"
    problem_id TEXT NOT NULL,
    sample_index INTEGER NOT NULL,
    text TEXT NOT NULL,
    truncated INTEGER NOT NULL,
    judgement TEXT,                         -- JSON; NULL: not executed yet
    PRIMARY KEY (fingerprint, kind, problem_id, sample_index)
);
"""

_REFUSED_PROMPTS = """
CREATE TABLE refused_prompts (              -- by the policy when it was last asked
    problem_id TEXT PRIMARY KEY REFERENCES problems (id),
    reason TEXT NOT NULL
) WITHOUT ROWID;
"""

#: A column of a key cannot be added: the tables are made anew.
_HASH_SEEDS = """
CREATE TABLE seeded_executions (
    candidate_sha TEXT NOT NULL REFERENCES sources (sha),
    test_sha TEXT NOT NULL REFERENCES sources (sha),
    hash_seed INTEGER NOT NULL,             -- 0: the usual one, as every sample is executed
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
    PRIMARY KEY (candidate_sha, test_sha, hash_seed)
) WITHOUT ROWID;
INSERT INTO seeded_executions SELECT candidate_sha, test_sha, 0, verdict, phase, message, passed,
    failed, first_failure, proof, cpu_time_s, wall_time_s, memory_bytes FROM executions;
DROP TABLE executions;
ALTER TABLE seeded_executions RENAME TO executions;
CREATE TABLE seeded_errors (                -- of the last attempt; none once it is executed
    candidate_sha TEXT NOT NULL,
    test_sha TEXT NOT NULL,
    hash_seed INTEGER NOT NULL,
    code TEXT NOT NULL,
    message TEXT NOT NULL,
    PRIMARY KEY (candidate_sha, test_sha, hash_seed)
) WITHOUT ROWID;
INSERT INTO seeded_errors SELECT candidate_sha, test_sha, 0, code, message FROM execution_errors;
DROP TABLE execution_errors;
ALTER TABLE seeded_errors RENAME TO execution_errors;
"""

MIGRATIONS: tuple[str, ...] = (
    _FIRST,
    _GENERATION,
    _PROGRESS_AND_RESUMED_EVALUATION,
    _REFUSED_PROMPTS,
    _HASH_SEEDS,
)


def _version(connection: sqlite3.Connection, where: Path) -> int:
    """The version of a database; 0 for one without any table.

    Raises:
        PlumError: it was written by a newer plum.
    """
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise PlumError(
            f"{where}: the store has version {version}; this plum knows versions up to {len(MIGRATIONS)}"
        )
    return version


def check_readable(connection: sqlite3.Connection, where: Path) -> None:
    """Makes sure that a database has the tables of this version.

    Raises:
        InputError: it has no table yet: its run is being made at this moment.
        PlumError: it was written by a newer plum, or by an older one and not brought up to date.
    """
    version = _version(connection, where)
    if version == 0:
        raise InputError(f"{where}: no run here yet: its store is empty")
    if version < len(MIGRATIONS):
        raise PlumError(
            f"{where}: the store has version {version}; this plum reads version {len(MIGRATIONS)}: "
            "start a stage of the run once (for example plum run), which brings it up to date"
        )


def migrate(connection: sqlite3.Connection, where: Path) -> None:
    """Brings a database to the newest version, one transaction per step.

    Raises:
        PlumError: it was written by a newer plum.
    """
    for step in range(_version(connection, where), len(MIGRATIONS)):
        # One script: executescript commits first, so the transaction is part of the text.
        connection.executescript(
            f"BEGIN IMMEDIATE; {MIGRATIONS[step]} PRAGMA user_version = {step + 1}; COMMIT;"
        )
