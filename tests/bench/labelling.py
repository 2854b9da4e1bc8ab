"""`plum label` at scale, and beside a bare client of the same sandbox.

    .venv/bin/python -m tests.bench.labelling scale [--problems 75000] [--k 20] [--suites 1]
    .venv/bin/python -m tests.bench.labelling throughput [--count 3000]

scale: made-up problems and candidates; a real gRPC server answers each execution by a rule
instead of running it. `plum label` is killed half-way and started again. Says memory, rows a
second, processor time, how long the second start takes to its first execution, what a client
that does nothing but stream gets from the same server, and whether every row has exactly the
label that the rule means.

throughput: trivial candidates in a real sandbox, once through a bare stream and once through
`plum label`, in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import queue
import shutil
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

import grpc
from plum.sandbox.v1 import sandbox_pb2 as pb
from plum.sandbox.v1 import sandbox_pb2_grpc

from orchestrator.extract import Extraction
from orchestrator.problem import Problem
from orchestrator.run import open_run
from orchestrator.sampling.sampler import Sampled
from orchestrator.sandbox.embedded import embedded_sandbox
from orchestrator.store.answers import Answer, add_answer, add_suite, answers_to_parse, decide_suite
from orchestrator.store.database import Database, open_reader
from orchestrator.store.problems import add_problem
from orchestrator.store.samples import add_sample
from tests.integration.run_helpers import plum_command

_PAGE = 500
_IN_FLIGHT = 64
_OUTCOMES = 128  # of a message, as the gateway sends them

_RECIPE = """
[instructions]
path = "instructions.jsonl"
[generation]
provider = "recorded"
path = "instructions.jsonl"
[sampling]
backend = "openai"
model = "none"
base_urls = ["http://127.0.0.1:9/v1"]
k = {k}
[check]
enabled = false
[sandbox]
address = "{address}"
"""


_RESULTS = {
    verdict: pb.ExecutionResult(
        verdict=pb.Verdict.Value(f"VERDICT_{verdict}"),
        phase=pb.PHASE_TEST,
        proof=pb.PROOF_SEPARATED if verdict == "PASSED" else pb.PROOF_UNSPECIFIED,
        assertions=pb.Assertions(passed=3, failed=int(verdict != "PASSED")),
    )
    for verdict in ("PASSED", "ASSERTION_FAILED", "TAMPERED")
}


class Replay(sandbox_pb2_grpc.SandboxServiceServicer):
    """Answers by `rule` instead of executing. first_at: when it was asked first since it was 0."""

    def __init__(self) -> None:
        self.executed = 0
        self.first_at = 0.0

    async def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: grpc.aio.ServicerContext
    ) -> pb.GetServerInfoResponse:
        language = pb.LanguageInfo(name="python", version="replayed", slots=64)
        return pb.GetServerInfoResponse(version="replay", languages=[language])

    async def ExecuteStream(
        self, requests: AsyncIterator[pb.ExecuteStreamRequest], context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.ExecuteStreamResponse]:
        await context.send_initial_metadata(())
        async for request in requests:
            self.first_at = self.first_at or time.monotonic()
            self.executed += len(request.executions)
            for first in range(0, len(request.executions), _OUTCOMES):
                response = pb.ExecuteStreamResponse()
                for asked in request.executions[first : first + _OUTCOMES]:
                    result = _RESULTS[rule(asked.solution, asked.test)]
                    response.outcomes.add(id=asked.id, result=result)
                yield response


def rule(solution: str, test: str) -> str:
    """The verdict on a pair: four in ten fail, one in fifty is tampered."""
    number = zlib.crc32(f"{solution}\0{test}".encode()) % 100
    return "ASSERTION_FAILED" if number < 40 else "TAMPERED" if number < 42 else "PASSED"


@contextmanager
def replay_server(address: str) -> Iterator[Replay]:
    """The server, in a thread of its own."""
    replay, loop = Replay(), asyncio.new_event_loop()

    async def serve() -> grpc.aio.Server:
        server = grpc.aio.server()
        sandbox_pb2_grpc.add_SandboxServiceServicer_to_server(replay, server)
        server.add_insecure_port(address)
        await server.start()
        return server

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(serve(), loop).result()
    try:
        yield replay
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()


def candidate(problem: int, index: int) -> str:
    """A made-up candidate; one in ten is what its problem's candidate before it was."""
    if index % 10 == 9:
        index -= 1
    return f"def f(x):\n    total = {problem} + x\n    # {'-' * 100}\n    return total * {index}\n"


def suite(problem: int, index: int) -> str:
    """A made-up suite."""
    return "".join(f"assert f({i}) == {problem + i + index}\n" for i in range(5))


def fill(db: Database, problems: int, k: int, suites: int) -> None:
    """Stores what the stages before `label` would have."""
    for first in range(0, problems, _PAGE):
        with db.transaction():
            for n in range(first, min(first + _PAGE, problems)):
                problem = Problem(f"p{n}", f"Task {n}", "python", None, None, "made up")
                add_problem(db, n, problem)
                for index in range(suites):
                    add_answer(db, problem.id, f"r{n}", index, Answer("", "stop"))
                for index in range(k):
                    drawn = Sampled(problem.id, index, "text", False)
                    add_sample(db, drawn, Extraction(candidate(n, index), "bare"))
    for page in answers_to_parse(db, _PAGE):
        with db.transaction():
            for answer in page:
                number, index = int(answer.problem_id[1:]), (answer.id - 1) % suites
                test = suite(number, index)
                add_suite(db, answer, reference=f"r{number}", test=test, start_code=None)
                decide_suite(db, answer.id, True, "reference passes")


def make_run(folder: Path, address: str, problems: int, k: int, suites: int) -> Path:
    """A run that is ready to be labelled."""
    (folder / "instructions.jsonl").write_text("")
    recipe = folder / "recipe.toml"
    recipe.write_text(_RECIPE.format(k=k, address=address))
    with open_run(folder / "run", recipe) as run:
        fill(run.db, problems, k, suites)
    return folder / "run"


def label(run: Path, kill_at: int | None = None) -> dict[str, float]:
    """Runs `plum label`; what it used, and its exit status.

    kill_at: labels that are stored when it is killed.
    """
    began = time.monotonic()
    pid = os.posix_spawn(sys.executable, plum_command("label", "--run-dir", run), os.environ)
    if kill_at is not None:
        with open_reader(run) as db:
            while db.value("SELECT count(*) FROM labels") < kill_at:
                time.sleep(0.05)
        os.kill(pid, 9)
    _, status, used = os.wait4(pid, 0)
    return {
        "exit_status": os.waitstatus_to_exitcode(status),
        "wall_s": round(time.monotonic() - began, 2),
        "cpu_s": round(used.ru_utime + used.ru_stime, 2),
        "memory_mb": round(used.ru_maxrss / 1024),
    }


def count_wrong(run: Path, problems: int, k: int, suites: int) -> dict[str, int]:
    """Rows by their label, and how many have another than the rule means, or none."""
    found: Counter[str] = Counter()
    with open_reader(run) as db:
        labelled = dict(db.rows("SELECT problem_id, count(*) FROM labels GROUP BY 1"))
        found["not_labelled"] = problems * k - sum(labelled.values())
        for n in range(problems):
            tests = [suite(n, index) for index in range(suites)]
            verdicts = []
            for index in range(k):
                source = candidate(n, index)
                one_by_one = (rule(source, test) for test in tests)
                verdicts.append(next((v for v in one_by_one if v != "PASSED"), "PASSED"))
            meant = {"PASSED": 1, "ASSERTION_FAILED": 0, "TAMPERED": None}
            any_passed = "PASSED" in verdicts
            rows = db.rows(
                "SELECT value FROM labels WHERE problem_id = ? ORDER BY sample_index", (f"p{n}",)
            )
            for (value,), verdict in zip(rows, verdicts, strict=True):
                found[str(value)] += 1
                found["wrong"] += value != (meant[verdict] if any_passed else None)
    return dict(found)


def scale(problems: int, k: int, suites: int, folder: Path) -> dict[str, object]:
    """The figures of the whole life of a big run."""
    address = f"unix:{folder}/replay.sock"
    began = time.monotonic()
    run = make_run(folder, address, problems, k, suites)
    figures: dict[str, object] = {"problems": problems, "k": k, "suites": suites}
    figures["filled_s"] = round(time.monotonic() - began, 1)
    rows = problems * k
    with replay_server(address) as replay:
        first = label(run, kill_at=rows // 3)
        with open_reader(run) as db:
            done: int = db.value("SELECT count(*) FROM labels")
        executed = replay.executed
        replay.first_at = 0.0
        began = time.monotonic()
        second = label(run)
        figures["resumed_in_s"] = round(replay.first_at - began, 2)
        figures["executed"] = replay.executed
        pairs = [(candidate(n, i), suite(n, 0)) for n in range(500) for i in range(k)]
        with ProcessPoolExecutor(1, get_context("spawn")) as alone:
            bare_s = alone.submit(bare_stream, address, pairs).result()
        figures["bare_stream_per_s"] = round(len(pairs) / bare_s)
    figures["load"] = os.getloadavg()
    left = rows - done
    figures |= {"killed": first | {"rows": done, "executed": executed}, "resumed": second}
    figures["rows_per_s"] = round(left / float(second["wall_s"]))
    figures["cpu_ms_per_row"] = round(1000 * float(second["cpu_s"]) / left, 3)
    figures["store_mb"] = round((run / "plum.sqlite3").stat().st_size / 1e6)
    began = time.monotonic()
    os.spawnv(os.P_WAIT, sys.executable, plum_command("status", "--run-dir", run))
    figures["status_s"] = round(time.monotonic() - began, 2)
    return figures | {"labels": count_wrong(run, problems, k, suites)}


def bare_stream(address: str, pairs: list[tuple[str, str]]) -> float:
    """Seconds that a client takes that does nothing but stream."""
    requests: queue.SimpleQueue[pb.ExecuteStreamRequest | None] = queue.SimpleQueue()
    waiting = iter(
        [
            pb.Execution(id=str(n), language="python", solution=solution, test=test)
            for n, (solution, test) in enumerate(pairs)
        ]
    )

    def ask(count: int) -> None:
        some = list(itertools.islice(waiting, count))
        requests.put(pb.ExecuteStreamRequest(executions=some) if some else None)

    began = time.monotonic()
    with grpc.insecure_channel(address) as channel:
        ask(_IN_FLIGHT)
        stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
        for response in stub.ExecuteStream(iter(requests.get, None)):
            assert all(outcome.result.verdict for outcome in response.outcomes), response
            ask(len(response.outcomes))
    return time.monotonic() - began


def throughput(count: int, folder: Path) -> dict[str, object]:
    """Executions a second of both, taken in turns, each first in every second turn."""
    problems = count // 10
    bare: list[float] = []
    ours: list[float] = []
    with embedded_sandbox() as address:
        pairs = [(candidate(n, i), suite(n, 0)) for n in range(problems) for i in range(9)]
        bare_stream(address, pairs[:200])
        for turn in range(4):
            place = folder / str(turn)
            place.mkdir()
            run = make_run(place, address, problems, 10, 1)
            if turn % 2 == 0:
                bare.append(len(pairs) / bare_stream(address, pairs))
            ours.append(label_pace(run))
            if turn % 2 == 1:
                bare.append(len(pairs) / bare_stream(address, pairs))
            print(f"bare {bare[-1]:.0f}/s, plum label {ours[-1]:.0f}/s")
    return {
        "executions": len(pairs),
        "bare_per_s": [round(x) for x in bare],
        "label_per_s": [round(x) for x in ours],
        "share": [round(mine / other, 3) for mine, other in zip(ours, bare, strict=True)],
        "share_of_all_turns": round(sum(1 / x for x in bare) / sum(1 / x for x in ours), 3),
        "load": os.getloadavg(),
    }


def label_pace(run: Path) -> float:
    """Executions a second of the label stage, without the start of the program."""
    label(run)
    with open_reader(run) as db:
        [(spent_s,)] = db.rows("SELECT updated_at - began_at FROM progress")
        executed: int = db.value("SELECT count(*) FROM executions")
    return executed / float(spent_s)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["scale", "throughput"])
    parser.add_argument("--problems", type=int, default=75_000)
    parser.add_argument("--k", type=int, default=20)
    parser.add_argument("--suites", type=int, default=1)
    parser.add_argument("--count", type=int, default=3000)
    parser.add_argument("--keep", type=Path, help="a folder to leave the run in")
    options = parser.parse_args()
    folder = options.keep or Path(tempfile.mkdtemp(prefix="plum-bench-"))
    folder.mkdir(exist_ok=True)
    try:
        if options.what == "scale":
            figures = scale(options.problems, options.k, options.suites, folder)
        else:
            figures = throughput(options.count, folder)
    finally:
        if options.keep is None:
            shutil.rmtree(folder)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
