"""Judges one candidate: the stages of an execution, from the supervisor's side.

Theory of operation. A suite that is a table of calls needs one process, the
candidate's; this one asks it for the results (`calls`). For any other suite two
processes are forked in the jail. `candidate` gets the solution and one end of a
socket pair. `judge` gets the suite, the other end and the report's pipe. The
suite runs in the judge; what it does with names of the candidate becomes
requests on the socket. This process, outside of the jail, parses nothing but
flat results and the report, both bounded. Where the suite's text needs what
cannot cross, the judge says so before it runs any of it, and another stage runs
both in one process (`inprocess`).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import Any, Protocol

from . import channel, prepared
from .calls.asker import Asker
from .calls.table import Table, read_table
from .classify import classify, weigh
from .stage import Role
from .warming import needs_more
from .wire import FILE_MARK

_SHELF = prepared.Shelf()
#: Tables read last, by their text; None for a suite that is more than a table.
_TABLES: OrderedDict[str, Table | None] = OrderedDict()
_MAX_TABLES = 64


class Task(Protocol):
    """One candidate and one suite."""

    @property
    def solution(self) -> str:
        """The candidate's source."""

    @property
    def test(self) -> str:
        """The suite's source."""


def execute(task: Task, jail: Any) -> dict[str, Any]:
    """The verdict on `task` with everything that is reported beside it."""
    solution, test = _bytes(task.solution), _bytes(task.test)
    table = _table(test.decode("utf-8", "surrogatepass"))
    if table is not None:
        result = _by_table(solution, table, jail)
        if result is not None:
            return result
    result = _separated(solution, test, jail)
    if result["verdict"] == "IN_PROCESS":
        result = _in_process(solution, test, jail)
    if result["verdict"] == "IN_PROCESS":  # only the first stage may answer this
        result = {**result, "verdict": "RUNTIME_ERROR", "message": "the report makes no sense"}
    return result


def _table(test: str) -> Table | None:
    if test in _TABLES:
        _TABLES.move_to_end(test)
        return _TABLES[test]
    found = _TABLES[test] = read_table(test)
    if len(_TABLES) > _MAX_TABLES:
        _TABLES.popitem(last=False)
    return found


def _by_table(solution: bytes, table: Table, jail: Any) -> dict[str, Any] | None:
    """The verdict, or None where the suite must run after all."""
    ours, candidate = channel.pair()
    ours.setblocking(False)
    candidate_fd = candidate.detach()
    with ours:
        asker = Asker(channel.PinnedChannel(ours), table)
        role = Role(
            "candidate", "calls.answerer:main", (candidate_fd, jail.hand_over(solution)), True
        )
        lean = not needs_more(solution)
        facts = jail.run_stage([role], attend=asker, close_after_fork=[candidate_fd], lean=lean)
    if asker.unsuitable:
        return None
    return weigh(facts, asker.phase, asker.report, "separated")


def _separated(solution: bytes, test: bytes, jail: Any) -> dict[str, Any]:
    judge, candidate = channel.pair()
    report_in, report_out = os.pipe()
    judge_fd, candidate_fd = judge.detach(), candidate.detach()
    code = _SHELF.find(test)
    suite_fd = jail.hand_over(prepared.pack(test, code))
    roles = [
        Role("judge", "judge:main", (judge_fd, suite_fd, report_out), False),
        Role("candidate", "candidate:main", (candidate_fd, jail.hand_over(solution)), True),
    ]
    try:
        facts = jail.run_stage(
            roles, report_fd=report_in, close_after_fork=[judge_fd, candidate_fd, report_out]
        )
    finally:
        os.close(report_in)
    announced, report = prepared.split(facts.report or b"") if not code else (b"", facts.report)
    if announced:
        _SHELF.keep(test, announced)
    return classify(facts, report or b"", "separated")


def _in_process(solution: bytes, test: bytes, jail: Any) -> dict[str, Any]:
    judge, candidate = channel.pair()
    report_in, report_out = os.pipe()
    judge_fd, candidate_fd = judge.detach(), candidate.detach()
    roles = [
        Role("judge", "inprocess:witness", (judge_fd, jail.hand_over(test), report_out), False),
        Role("candidate", "inprocess:main", (candidate_fd, jail.hand_over(solution)), True),
    ]
    try:
        facts = jail.run_stage(
            roles, report_fd=report_in, close_after_fork=[judge_fd, candidate_fd, report_out]
        )
    finally:
        os.close(report_in)
    return classify(facts, facts.report or b"", "in_process")


def _bytes(text: str) -> bytes:
    return text.removeprefix(FILE_MARK).encode("utf-8", "surrogatepass")
