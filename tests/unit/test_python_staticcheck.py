"""The static check is built around a checker that may break: batches, stubs and reports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from images.python.harness import staticcheck
from sandbox_server.worker.jail_contract import Exit, StageFacts

ROW = {"status": "CHECKED", "diagnostics": [], "message": ""}


class Jail:
    """Answers stages by rule: candidates named "bad" break the checker."""

    def __init__(self, stubs: StageFacts, broken: StageFacts) -> None:
        self._stubs, self._broken = stubs, broken
        self._handed_over: list[bytes] = []
        self.stages: list[int] = []  # candidates of each

    def hand_over(self, data: bytes) -> int:
        self._handed_over.append(data)
        return len(self._handed_over) - 1

    def run_stage(self, roles: Any, report_fd: int, close_after_fork: Any) -> StageFacts:
        [role] = roles
        if role.entry == "staticcheck:stubs":
            return self._stubs
        self.stubs = self._handed_over[role.fds[0]]
        sources = json.loads(self._handed_over[role.fds[1]])
        self.stages.append(len(sources))
        if "bad" in sources:
            return self._broken
        return facts(json.dumps([ROW] * len(sources)).encode())


def facts(report: bytes, limit: str | None = None, status: int | None = 0) -> StageFacts:
    return StageFacts({"check": Exit(status, None)}, limit, report)


@pytest.fixture(autouse=True)
def fresh_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staticcheck, "_stubs", None)


def check(jail: Jail, sources: list[str]) -> list[str]:
    rows = staticcheck.check([{"id": str(i), "solution": s} for i, s in enumerate(sources)], jail)
    assert [row["id"] for row in rows] == [str(i) for i in range(len(sources))]
    return [row["status"] for row in rows]


@pytest.mark.parametrize("broken", [facts(b"", "cpu"), facts(b""), facts(b"[]"), facts(b"{")])
def test_one_that_breaks_the_checker_is_found_in_few_stages(broken: StageFacts) -> None:
    jail = Jail(facts(b"stubs"), broken)
    sources = ["good"] * 200
    sources[77] = "bad"
    found = check(jail, sources)
    assert found.pop(77) == "NOT_CHECKED"
    assert set(found) == {"CHECKED"}
    with_it = [n for n in jail.stages if n in (200, 14)]
    assert len(with_it) <= 1 + 15
    assert len(jail.stages) <= 1 + 15 + 14 + 14


def test_stubs_are_read_once_and_given_to_every_build() -> None:
    jail = Jail(facts(b"stubs"), facts(b""))
    check(jail, ["good"] * 450)
    assert jail.stages == [200, 200, 50]
    jail._stubs = facts(b"others")
    check(jail, ["good"])
    assert jail.stubs == b"stubs"


@pytest.mark.parametrize(
    "stubs", [facts(b"half", "cpu"), facts(b"half", status=70), facts(b"half", status=None)]
)
def test_stubs_that_are_not_whole_are_not_used(stubs: StageFacts) -> None:
    jail = Jail(stubs, facts(b""))
    assert check(jail, ["good", "bad"]) == ["CHECKED", "NOT_CHECKED"]
    assert jail.stubs == b""
