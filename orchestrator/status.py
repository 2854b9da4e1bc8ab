"""How far a run is, read while another process writes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from orchestrator.generation.amount import answers_wanted
from orchestrator.store.database import Database, open_reader, writer_pid
from orchestrator.store.executions import error_counts
from orchestrator.store.problems import counts_by_source
from orchestrator.store.progress import Moment, latest_moment
from orchestrator.store.stages import StageRecord, meta, stage_records


@dataclass(frozen=True)
class Count:
    """Finished units of one kind, and how many there will be where that is known."""

    name: str
    done: int
    total: int | None


@dataclass(frozen=True)
class Status:
    """A moment in the life of a run."""

    counts: tuple[Count, ...]
    stages: tuple[StageRecord, ...]
    writer_pid: int | None  # of the process that works on it now
    at_work: Moment | None  # what that process is doing, where it is the kind that takes long
    errors: dict[str, int]  # executions that did not take place so far, by code and message


def read_status(folder: Path) -> Status:
    """Looks at the run in `folder`.

    Raises:
        InputError: there is no run.
    """
    with open_reader(folder) as db:
        pid, moment = writer_pid(folder), latest_moment(db)
        return Status(
            counts=tuple(_counts(db)),
            stages=tuple(stage_records(db)),
            writer_pid=pid,
            at_work=None if pid is None or _finished(moment) else moment,
            errors=error_counts(db),
        )


def _finished(moment: Moment | None) -> bool:
    return moment is None or moment.done == moment.total


def _counts(db: Database) -> list[Count]:
    recipe = json.loads(meta(db, "recipe") or "{}")
    each = recipe.get("generation.answers_per_problem")
    answers = sum(n * answers_wanted(each, source) for source, n in counts_by_source(db).items())
    generates = "generation.provider" in recipe
    k = recipe.get("sampling.k")
    problems = _count(db, "problems")
    suites = _count(db, "suites")
    with_suite: int = db.value("SELECT count(DISTINCT problem_id) FROM suites WHERE kept = 1")
    samples = _count(db, "samples")
    return [
        Count("problems", problems, problems),
        Count("answers", _count(db, "answers"), answers if generates else None),
        Count("suites decided", _count(db, "suites WHERE kept IS NOT NULL"), suites),
        Count("suites kept", _count(db, "suites WHERE kept = 1"), None),
        Count("samples", samples, _times(with_suite, k)),
        Count("prompts refused", _count(db, "refused_prompts"), None),
        Count("checks", _count(db, "checks"), None),
        Count("executions", _count(db, "executions"), None),
        Count("execution errors", _count(db, "execution_errors"), None),
        Count("labels", _count(db, "labels"), samples),
    ]


def _count(db: Database, what: str) -> int:
    count: int = db.value(f"SELECT count(*) FROM {what}")
    return count


def _times(count: int, each: int | None) -> int | None:
    return None if each is None else count * each
