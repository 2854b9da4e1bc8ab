"""How fast the static check is: batches in the sandbox beside one mypy process for each candidate.

Both get the same candidates, different programs of a few functions each, and both use every
core. mypy alone is measured in its two usual ways: with the cache of an earlier call, which
holds the stubs of the standard library, and without.

    python -m tests.bench.staticcheck [--count 1000] [--alone 40] [--out runs/bench]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from orchestrator.domain import CheckStatus
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import embedded_sandbox

_PROGRAM = '''\
import math
from collections import defaultdict
from typing import Dict, List, Optional


def group_{n}(words: List[str]) -> Dict[str, List[str]]:
    """Groups words by their sorted letters."""
    groups: Dict[str, List[str]] = defaultdict(list)
    for word in words:
        groups["".join(sorted(word))].append(word)
    return dict(groups)


def nearest_{n}(points: List[float], at: float) -> Optional[float]:
    best = None
    for point in points:
        if best is None or abs(point - at) < abs(best - at):
            best = point
    return best


class Counter_{n}:
    def __init__(self, start: int = {n}) -> None:
        self.value = start

    def add(self, more: int) -> int:
        self.value += more
        return {result}
'''


def candidates(count: int) -> list[str]:
    """Different programs; every tenth has a name that exists nowhere."""
    return [
        _PROGRAM.format(n=n, result="undefined_name" if n % 10 == 0 else "math.floor(self.value)")
        for n in range(count)
    ]


def measure_ours(sources: Sequence[str]) -> dict[str, float]:
    """Wall time per candidate in ms: of the first call of a fresh server, and once it is warm."""
    pairs = [(str(i), source) for i, source in enumerate(sources)]
    with embedded_sandbox() as address, SandboxClient([address]) as client:
        first = _checked(client, pairs)
        for _ in range(os.cpu_count() or 1):  # each slot reads the stubs once
            _checked(client, pairs[:2])
        warm = _checked(client, pairs)
    return {"first_call_ms": first, "ms": warm}


def _checked(client: SandboxClient, pairs: Sequence[tuple[str, str]]) -> float:
    started = time.perf_counter()
    results = client.check("python", pairs)
    wall_s = time.perf_counter() - started
    assert all(result.status is CheckStatus.CHECKED for result in results)
    wrong = [r for r in results if any(d.code == "name-defined" for d in r.diagnostics)]
    assert len(wrong) == sum(int(name) % 10 == 0 for name, _ in pairs)
    return wall_s / len(pairs) * 1e3


def measure_alone(sources: Sequence[str], cached: bool) -> float:
    """Wall time per candidate in ms of one mypy process each, as many at once as there are cores."""
    cores = os.cpu_count() or 1
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / f"candidate_{i}.py" for i in range(len(sources))]
        for path, source in zip(paths, sources, strict=True):
            path.write_text(source)
        # A cache for each worker: two mypy processes do not share one well.
        options = [
            ["--cache-dir", f"{folder}/cache{core}"] if cached else ["--cache-dir", os.devnull]
            for core in range(cores)
        ]
        if cached:
            for option in options:
                _mypy(paths[0], option)
        with ThreadPoolExecutor(cores) as pool:
            started = time.perf_counter()
            list(
                pool.map(
                    lambda core: [_mypy(p, options[core]) for p in paths[core::cores]], range(cores)
                )
            )
            return (time.perf_counter() - started) / len(paths) * 1e3


def _mypy(path: Path, options: Sequence[str]) -> None:
    command = [sys.executable, "-m", "mypy", "--ignore-missing-imports", *options, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000, help="candidates checked in batches")
    parser.add_argument("--alone", type=int, default=40, help="candidates checked one by one")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    options = parser.parse_args()
    sources = candidates(options.count)
    ours = measure_ours(sources)
    alone = {
        "cached": measure_alone(sources[: options.alone], cached=True),
        "uncached": measure_alone(sources[: options.alone], cached=False),
    }
    figures = {"cores": os.cpu_count(), "plum": ours, "mypy_alone_ms": alone}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "staticcheck.json").write_text(json.dumps(figures, indent=1))
    print(f"plum, {options.count} candidates: {ours['ms']:.2f} ms each")
    print(f"plum, the first call of a server: {ours['first_call_ms']:.2f} ms each")
    for name, ms in alone.items():
        print(f"one mypy process each, {name}: {ms:.0f} ms, plum is {ms / ours['ms']:.0f}x")


if __name__ == "__main__":
    main()
