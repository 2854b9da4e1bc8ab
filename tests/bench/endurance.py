"""Many executions, attacks included, and then: is anything left, has anything grown?

    .venv/bin/python -m tests.bench.endurance --rows FILE.jsonl [--count 20000]

Draws rows (with their expected verdicts beside them, see `plum execute`) at random, and compares
processes, mounts, control groups, files, descriptors and memory of the server before and after.
Exit status 1 where a verdict is wrong or something is left.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from orchestrator.domain import Execution, ExecutionResult, Limits
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import embedded_sandbox
from tests.bench.server import gateway_of, memory_kb
from tests.worker_process import descendants

#: So that rows that burn up their limits do not take the whole time.
_LIMITS = Limits(cpu_time_s=2.0, wall_time_s=4.0)
#: For each slot, so that everything that it remembers on purpose has been seen.
_WARM_UP = 500


def snapshot(address: str) -> dict[str, int]:
    """What the sandbox has of everything that could leak."""
    gateway = gateway_of(address)
    pids = [gateway, *descendants(gateway)]
    return {
        "processes": len(pids),
        "descriptors": sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids),
        "mounts": len(Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines()),
        "control_groups": sum(1 for _ in Path("/sys/fs/cgroup").rglob("plum-*")),
        "temporary_files": len(os.listdir("/tmp")),
        "memory_kb": memory_kb(gateway),
    }


def _draw(rows: list[dict[str, Any]], count: int, seed: int) -> Iterator[Execution]:
    chance = random.Random(seed)
    for number in range(count):
        row = rows[chance.randrange(len(rows))]
        name = f"{number}:{row['id']}"
        yield Execution(name, row["language"], row["solution"], row["test"], _LIMITS)


def _run(client: SandboxClient, rows: list[dict[str, Any]], count: int, seed: int) -> int:
    """Runs and compares; returns how many verdicts were wrong."""
    expected = {row["id"]: row["expect"] for row in rows}
    wrong, answered = 0, set()
    started = time.monotonic()
    for outcome in client.execute_many(_draw(rows, count, seed)):
        answered.add(outcome.id)
        expect = expected[outcome.id.split(":", 1)[1]]
        verdict = outcome.verdict if isinstance(outcome, ExecutionResult) else None
        if verdict in expect.get("not", ()) or verdict not in expect.get(
            "verdict", [verdict or ""]
        ):
            wrong += 1
            print(f"{outcome.id}: {verdict or outcome}", file=sys.stderr)
        if len(answered) % 1000 == 0:
            rate = len(answered) / (time.monotonic() - started)
            print(f"endurance: {len(answered)}/{count}, {rate:.0f}/s", file=sys.stderr)
    if len(answered) != count:
        print(f"{count - len(answered)} rows were not answered", file=sys.stderr)
    return wrong + count - len(answered)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=Path, required=True, action="append")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = [
        row
        for path in options.rows
        for line in path.read_text(encoding="utf-8").splitlines()
        if (row := json.loads(line))["language"] == "python"
    ]
    with embedded_sandbox() as address, SandboxClient([address]) as client:
        slots = client.info().languages[0].slots
        wrong = _run(client, rows, _WARM_UP * slots, options.seed + 1)
        time.sleep(1)
        before = snapshot(address)
        wrong += _run(client, rows, options.count, options.seed)
        time.sleep(1)
        after = snapshot(address)
    grown = {k: (before[k], after[k]) for k in before if after[k] > before[k] * 1.1 + 1}
    print(json.dumps({"wrong": wrong, "before": before, "after": after}))
    return 1 if wrong or grown else 0


if __name__ == "__main__":
    sys.exit(main())
