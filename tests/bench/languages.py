"""How fast each language is judged, beside the same programs compiled and run without us.

    python -m tests.bench.languages [--languages java,go] [--rows ROWS.jsonl] [--out runs/bench]

Three ways take turns with the same tasks, as many at a time: ours (gRPC, every isolation layer
that the machine gives), plain processes without any isolation, and a fresh container for each.
Ratios are what counts; CPU time is that of all processes together.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from orchestrator.domain import Execution, ExecutionResult
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import embedded_sandbox
from tests.bench.plain import Container, Plain
from tests.bench.tasks import HEAVY, LANGUAGES, Task, tasks_of

_SLOTS = os.cpu_count() or 1
#: Containers are slow, and their figures steady: they get this part of the tasks.
_CONTAINERS_SHARE = 0.2
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass
class Series:
    """What one way took for the tasks of one language, over all of its turns."""

    seconds: float = 0.0
    #: Of all processes; None where they are nobody's children that could be asked.
    cpu_s: float | None = 0.0
    latencies_ms: list[float] = field(default_factory=list)

    def figures(self) -> dict[str, float | None]:
        """Executions per second, the middle latency, and CPU time of each execution."""
        count = len(self.latencies_ms)
        return {
            "executions": count,
            "per_second": count / self.seconds,
            "p50_ms": statistics.median(self.latencies_ms),
            "cpu_ms": None if self.cpu_s is None else self.cpu_s / count * 1e3,
        }


def measure(
    language: str, tasks: Sequence[Task], turns: int, *, containers: bool
) -> dict[str, dict[str, float | None]]:
    """The figures of each way for `tasks`, which take `turns` turns.

    Raises:
        AssertionError, CalledProcessError: a right solution did not pass.
    """
    name = "cpp" if language == HEAVY else language
    series = {"plum": Series(), "plain": Series()}
    if containers:
        series["container"] = Series(cpu_s=None)
    few = tasks[: max(1, int(len(tasks) * _CONTAINERS_SHARE))]
    with (
        tempfile.TemporaryDirectory() as scratch,
        embedded_sandbox(slots=_SLOTS, languages=[name]) as address,
        SandboxClient([address]) as client,
    ):
        others = {"plain": Plain(name, Path(scratch))}
        if containers:
            others["container"] = Container(name, Path(scratch))
        _ours(Series(), client, name, tasks[:_SLOTS])
        for other in others.values():
            other.run(tasks[0])  # whatever it keeps from one time to the next
        for _ in range(turns):
            _ours(series["plum"], client, name, tasks)
            for kind, other in others.items():
                _theirs(series[kind], other.run, tasks if kind == "plain" else few)
    return {kind: one.figures() for kind, one in series.items()}


def _ours(series: Series, client: SandboxClient, language: str, tasks: Sequence[Task]) -> None:
    sent: dict[str, float] = {}

    def executions() -> object:
        for number, task in enumerate(tasks):
            sent[str(number)] = time.perf_counter()
            yield Execution(str(number), language, task.solution, task.test)

    cpu_s, started = _descendants_cpu_s(os.getpid()), time.perf_counter()
    for outcome in client.execute_many(executions(), in_flight=_SLOTS):  # type: ignore[arg-type]
        assert isinstance(outcome, ExecutionResult), outcome
        assert outcome.verdict == "PASSED", (outcome, tasks[int(outcome.id)])
        series.latencies_ms.append((time.perf_counter() - sent[outcome.id]) * 1e3)
    series.seconds += time.perf_counter() - started
    assert series.cpu_s is not None
    series.cpu_s += _descendants_cpu_s(os.getpid()) - cpu_s


def _theirs(series: Series, run: Callable[[Task], None], tasks: Sequence[Task]) -> None:
    def timed(task: Task) -> float:
        began = time.perf_counter()
        run(task)
        return (time.perf_counter() - began) * 1e3

    cpu_s, started = _waited_for_cpu_s(), time.perf_counter()
    with ThreadPoolExecutor(_SLOTS) as pool:
        series.latencies_ms += pool.map(timed, tasks)
    series.seconds += time.perf_counter() - started
    if series.cpu_s is not None:
        series.cpu_s += _waited_for_cpu_s() - cpu_s


def _waited_for_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _descendants_cpu_s(ancestor: int) -> float:
    """CPU time of the processes below `ancestor` and of those that they have waited for."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            text = (folder / "stat").read_text(encoding="utf-8")
        except OSError:
            continue
        fields = text.rpartition(")")[2].split()
        parents[int(folder.name)] = int(fields[1])
        ticks[int(folder.name)] = sum(map(int, fields[11:15]))
    below = {ancestor}
    while more := {pid for pid, parent in parents.items() if parent in below} - below:
        below |= more
    return sum(ticks[pid] for pid in below - {ancestor} if pid in ticks) / _TICKS_PER_S


def show(results: dict[str, dict[str, dict[str, float | None]]]) -> None:
    """Prints the figures as a table."""
    print(f"{'':28}{'per second':>12}{'p50 ms':>10}{'CPU ms':>10}{'plum is':>10}{'in CPU':>10}")
    for language, kinds in results.items():
        ours = kinds["plum"]
        for kind, theirs in kinds.items():
            columns = [f"{_number(theirs[key]):>{width}}" for key, width in _COLUMNS.items()]
            faster = _ratio(ours["per_second"], theirs["per_second"])
            cheaper = _ratio(theirs["cpu_ms"], ours["cpu_ms"])
            print(f"{language + ' ' + kind:28}{''.join(columns)}{faster:>10}{cheaper:>10}")


_COLUMNS = {"per_second": 12, "p50_ms": 10, "cpu_ms": 10}


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _ratio(one: float | None, other: float | None) -> str:
    return f"{one / other:.1f}x" if one and other else ""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--languages", default=",".join(LANGUAGES), help="which, with commas")
    parser.add_argument("--rows", type=Path, help="a judging set to take the tasks from")
    parser.add_argument("--tasks", type=int, default=20, help="in one turn of one language")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--no-containers", action="store_true")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"))
    options = parser.parse_args()
    results = {}
    for language in options.languages.split(","):
        tasks = tasks_of(language, options.rows, options.tasks)
        results[language] = measure(
            language, tasks, options.turns, containers=not options.no_containers
        )
    options.out.mkdir(parents=True, exist_ok=True)
    figures = {"cores": _SLOTS, "results": results}
    (options.out / "languages.json").write_text(json.dumps(figures, indent=1), encoding="utf-8")
    show(results)


if __name__ == "__main__":
    main()
