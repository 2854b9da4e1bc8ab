"""Processes of the sandbox are killed under load: rows may take longer, none gets a wrong verdict."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.domain import Execution, ExecutionResult
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import embedded_sandbox
from tests.adversarial.jailed import gateway_of, processes
from tests.worker_process import descendants

pytestmark = pytest.mark.live

_LEAST_ROWS, _LEAST_KILLS = 150, 2
_RIGHT = "def add(a, b):\n    return a + b\n"
_WRONG = "def add(a, b):\n    return a - b\n"
_TEST = "assert add(1, 2) == 3\nassert add(5, 7) == 12\n"


@contextlib.contextmanager
def _killing(gateway: int, kind: str, seed: int) -> Iterator[list[int]]:
    """Kills a process of `kind`, or of each of two, now and then, until the block ends."""
    killed: list[int] = []
    over = threading.Event()

    def kill() -> None:
        chance = random.Random(seed)
        while not over.wait(chance.uniform(0.05, 0.4)):
            for each in kind.split(" and "):
                with contextlib.suppress(OSError, IndexError):
                    victim = chance.choice(processes(gateway, each))
                    os.kill(victim, signal.SIGKILL)
                    killed.append(victim)
            if len(killed) >= 5:
                return

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield killed
    finally:
        over.set()
        killer.join()


@pytest.mark.parametrize(
    "kind", ["worker", "zygote", "lean zygote and supervisor", "supervisor", "init"]
)
def test_a_killed_process_of_the_sandbox_changes_no_verdict(kind: str) -> None:
    rows: list[Execution] = []

    def until_enough_are_killed(killed: list[int]) -> Iterator[Execution]:
        while len(rows) < _LEAST_ROWS or len(killed) < _LEAST_KILLS:
            solution = _WRONG if len(rows) % 2 else _RIGHT
            rows.append(Execution(str(len(rows)), "python", solution, _TEST))
            yield rows[-1]

    with (
        embedded_sandbox(slots=2) as address,
        SandboxClient([address]) as client,
        _killing(gateway_of(address), kind, seed=1) as killed,
    ):
        outcomes = {o.id: o for o in client.execute_many(until_enough_are_killed(killed))}
    assert len(outcomes) == len(rows)
    for row in rows:
        outcome = outcomes[row.id]
        assert isinstance(outcome, ExecutionResult), outcome
        expected = "PASSED" if row.solution == _RIGHT else "ASSERTION_FAILED"
        assert outcome.verdict == expected, outcome


def test_nothing_is_left_of_a_gateway_that_was_killed() -> None:
    with embedded_sandbox(slots=2) as address:
        gateway = gateway_of(address)
        below = descendants(gateway)
        with SandboxClient([address]) as client:
            assert len(list(client.execute_many([Execution("1", "python", _RIGHT, _TEST)]))) == 1
        os.kill(gateway, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while any(os.path.exists(f"/proc/{p}") and not _zombie(p) for p in below):
            assert time.monotonic() < deadline, "processes outlive their gateway"
            time.sleep(0.05)
        assert below


def _zombie(pid: int) -> bool:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
        return text.rpartition(")")[2].split()[0] == "Z"
    return True
