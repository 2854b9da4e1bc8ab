"""Workers that somebody else runs: they come, go and come back while the gateway serves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner
from grpc_health.v1 import health_pb2, health_pb2_grpc
from plum.sandbox.v1 import sandbox_pb2 as pb
from plum.sandbox.v1 import sandbox_pb2_grpc

from orchestrator.domain import Execution, ExecutionResult
from orchestrator.sandbox.client import SandboxClient
from sandbox_server import roster
from sandbox_server.attached_launcher import AttachedLauncher
from sandbox_server.cli import plum_sandbox
from sandbox_server.errors import StartupError
from sandbox_server.server import Server, Settings
from tests.integration.gateway import ROOT, WORKER, stop

_RIGHT = "def add(a, b):\n    return a + b\n"
_WRONG = "def add(a, b):\n    return a - b\n"
_TEST = "assert add(1, 2) == 3\nassert add(5, 7) == 12\n"


@contextmanager
def _worker(folder: Path, *, scripted: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that listens in `folder`, as a sidecar would; killed at the end."""
    program = [str(WORKER)] if scripted else ["-m", "sandbox_server.worker"]
    language = ["--language-dir", str(ROOT / "images" / "python")]
    process = subprocess.Popen(
        [sys.executable, *program, "--socket", str(folder / "python.sock"), *language, "--slots=2"],
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def _gateway(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A gateway for the workers in `folder`."""
    address = f"unix:{folder}/gateway"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "sandbox_server.cli", "serve", "--listen", address),
            *("--launcher", "attached", "--worker-dir", str(folder)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        # A worker that was there first may already have been found.
        assert process.stdout.readline() in {
            f"plum-sandbox serves {who} on {address}\n"
            for who in ("the workers that come", "python")
        }
        yield address, process
    finally:
        process.kill()
        process.communicate()


def until(wanted: Callable[[], bool]) -> None:
    """Waits until `wanted()`."""
    deadline = time.monotonic() + 60
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _listens(folder: Path) -> bool:
    return (folder / "python.sock").exists()


def _languages(client: SandboxClient) -> list[str]:
    return [language.name for language in client.info().languages]


def _verdict(client: SandboxClient) -> str:
    (outcome,) = client.execute_many([Execution("1", "python", _RIGHT, _TEST)])
    assert isinstance(outcome, ExecutionResult), outcome
    return outcome.verdict


def test_a_worker_that_comes_after_the_gateway_is_served(tmp_path: Path) -> None:
    with _gateway(tmp_path) as (address, _), SandboxClient([address]) as client:
        assert _languages(client) == []
        assert client.info().launcher == "attached"
        with _worker(tmp_path):
            until(lambda: _languages(client) == ["python"])
            assert _verdict(client) == "PASSED"


def test_a_worker_outlives_its_gateway_and_serves_the_next(tmp_path: Path) -> None:
    with _worker(tmp_path) as worker:
        for _ in range(2):
            with _gateway(tmp_path) as (address, process), SandboxClient([address]) as client:
                until(lambda client=client: _languages(client) == ["python"])  # type: ignore[misc]
                assert _verdict(client) == "PASSED"
                assert stop(process) == 0
            until(lambda: _listens(tmp_path))
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
        assert not _listens(tmp_path)


def test_a_worker_that_is_told_to_end_lets_its_gateway_finish_first(tmp_path: Path) -> None:
    with (
        _worker(tmp_path) as worker,
        _gateway(tmp_path) as (address, process),
        SandboxClient([address]) as client,
    ):
        until(lambda: _languages(client) == ["python"])
        worker.send_signal(signal.SIGTERM)
        assert _verdict(client) == "PASSED"
        assert stop(process) == 0
        assert worker.wait(60) == 0


def test_killed_workers_that_are_started_again_change_no_verdict(tmp_path: Path) -> None:
    rows = [Execution(str(n), "python", _RIGHT if n % 2 else _WRONG, _TEST) for n in range(120)]
    got = []
    with (
        _gateway(tmp_path) as (address, _),
        contextlib.ExitStack() as workers,
        SandboxClient([address]) as client,
    ):
        worker = workers.enter_context(_worker(tmp_path))
        until(lambda: _languages(client) == ["python"])
        for outcome in client.execute_many(rows):
            got.append(outcome)
            if len(got) in (20, 60):
                worker.kill()
                worker.wait()
                worker = workers.enter_context(_worker(tmp_path))
    assert sorted(int(outcome.id) for outcome in got) == list(range(120))
    for outcome in got:
        assert isinstance(outcome, ExecutionResult), outcome
        assert outcome.verdict == ("PASSED" if int(outcome.id) % 2 else "ASSERTION_FAILED")


@asynccontextmanager
async def _server(folder: Path) -> AsyncIterator[grpc.aio.Channel]:
    launcher = AttachedLauncher(folder)
    settings = Settings([f"unix:{folder}/gateway"], slots=2)
    server = Server(settings, [], launcher, launcher.present)
    (address,) = await server.start()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            yield channel
    finally:
        await server.stop(grace_s=0)


async def _execute(channel: grpc.aio.Channel) -> str:
    """The verdict of an execution, or the status that it ended with."""
    stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
    request = pb.ExecuteRequest(execution=pb.Execution(id="x", language="python", solution="pass"))
    try:
        return pb.Verdict.Name((await stub.Execute(request, timeout=60)).result.verdict)
    except grpc.aio.AioRpcError as e:
        return e.code().name


async def _health(channel: grpc.aio.Channel) -> AsyncIterator[str]:
    call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    async for answer in call:
        yield health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def test_a_worker_that_stays_away_takes_its_language_along_until_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roster, "_GONE_AFTER_S", 4.0)

    async def scenario() -> list[str]:
        seen = []
        async with _server(tmp_path) as channel:
            health = _health(channel)
            seen += [await anext(health), await _execute(channel)]
            with _worker(tmp_path, scripted=True):
                seen += [await anext(health), await _execute(channel)]
            seen += [await anext(health)]
            # It waits for the worker, and is told when that has gone for good.
            seen += [await _execute(channel), await _execute(channel)]
            with _worker(tmp_path, scripted=True):
                seen += [await anext(health), await _execute(channel)]
        return seen

    assert asyncio.run(scenario()) == [
        *("NOT_SERVING", "NOT_FOUND"),
        *("SERVING", "VERDICT_PASSED"),
        *("NOT_SERVING", "UNAVAILABLE", "NOT_FOUND"),
        *("SERVING", "VERDICT_PASSED"),
    ]


def test_a_socket_that_was_left_by_a_killed_worker_is_no_worker(tmp_path: Path) -> None:
    with _worker(tmp_path) as worker:
        until(lambda: _listens(tmp_path))
        os.kill(worker.pid, signal.SIGKILL)
    assert _listens(tmp_path)
    with _gateway(tmp_path) as (address, _), SandboxClient([address]) as client:
        assert _languages(client) == []
        with _worker(tmp_path):
            until(lambda: _languages(client) == ["python"])


def test_a_folder_that_is_not_there_is_said_at_start(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="no such folder"):
        AttachedLauncher(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--launcher", "attached"], "--launcher attached and --worker-dir need each other"),
        (["--worker-dir", "."], "--launcher attached and --worker-dir need each other"),
        (
            ["--launcher", "attached", "--worker-dir", ".", "--require-isolation", "full"],
            "give it to those that are attached",
        ),
        (["--launcher", "attached", "--worker-dir", "/proc/1"], "no worker listens"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options: list[str], says: str) -> None:
    done = CliRunner().invoke(plum_sandbox, ["selfcheck", *options])
    assert says in " ".join(f"{done.output} {done.exception}".split())
    assert done.exit_code in (1, 2)
