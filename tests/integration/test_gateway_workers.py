"""Workers that fail: what the caller sees of it, and what never becomes a verdict."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode
from plum.sandbox.v1 import sandbox_pb2 as pb

from sandbox_server.errors import StartupError
from sandbox_server.languages import Language
from sandbox_server.process_launcher import ProcessLauncher
from sandbox_server.server import Server, Settings
from sandbox_server.serving import probe
from tests.integration.gateway import WORKER, Gateway, gateway, run_one
from tests.integration.test_gateway import item, outcomes


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def channel(shared: Gateway) -> Iterator[grpc.Channel]:
    with shared.channel() as connection:
        yield connection


def test_an_execution_that_was_lost_with_its_worker_is_carried_out_again(
    channel: grpc.Channel, tmp_path: Path
) -> None:
    assert run_one(channel, f"die-once {tmp_path}/a").verdict == pb.VERDICT_PASSED


@pytest.mark.parametrize("way", ["die", "forge", "noise"])
def test_an_execution_that_takes_every_worker_with_it_is_unavailable_and_no_verdict(
    channel: grpc.Channel, way: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        run_one(channel, way)
    assert caught.value.code() == StatusCode.UNAVAILABLE
    assert "given up after 3 tries: worker" in caught.value.details()
    assert run_one(channel, "pass").verdict == pb.VERDICT_PASSED


def test_a_failure_that_the_worker_reports_is_unavailable_with_its_reason(
    channel: grpc.Channel,
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        run_one(channel, "broken")
    assert caught.value.code() == StatusCode.UNAVAILABLE
    assert caught.value.details() == "given up after 3 tries: disk full"


def test_lost_workers_change_no_verdict_of_others(channel: grpc.Channel, tmp_path: Path) -> None:
    items = [item(str(i), "fail" if i % 2 else "pass") for i in range(100)]
    items[20:20] = [item(f"d{i}", f"die-once {tmp_path}/{i}") for i in range(2)]
    answers = outcomes(channel, *items)
    assert len(answers) == 102
    for name, verdict in answers.items():
        odd = name.isdigit() and int(name) % 2
        assert verdict == ("VERDICT_ASSERTION_FAILED" if odd else "VERDICT_PASSED")


async def _probe(launcher: ProcessLauncher) -> None:
    await probe(launcher, Language("python", Path("/")))


@pytest.mark.parametrize(
    ("program", "says"),
    [
        (
            "raise SystemExit('the toolchain is missing')",
            "exit status 1): the toolchain is missing",
        ),
        ("import sys; sys.stdout.write('x' * 100_000 + '\\nend\\n')", "end"),
    ],
)
def test_a_worker_that_does_not_come_up_is_a_startup_error_with_its_last_words(
    program: str, says: str
) -> None:
    launcher = ProcessLauncher(1, command=[sys.executable, "-c", program])
    with pytest.raises(StartupError) as caught:
        asyncio.run(_probe(launcher))
    assert says in str(caught.value)


def test_a_gateway_that_stops_hangs_up_on_its_workers_instead_of_killing_them(
    tmp_path: Path,
) -> None:
    mark = tmp_path / "mark"
    program = f"""
import os, runpy, sys
sys.argv = [{str(WORKER)!r}, *sys.argv[1:]]
runpy.run_path({str(WORKER)!r}, run_name="__main__")
open({str(mark)!r}, "w").close()
"""

    async def start_and_stop() -> None:
        launcher = ProcessLauncher(1, command=[sys.executable, "-c", program])
        settings = Settings([f"unix:{tmp_path}/s.sock"], slots=1)
        server = Server(settings, [Language("python", Path("/"))], launcher)
        await server.start()
        await server.stop(grace_s=0)

    asyncio.run(start_and_stop())
    assert mark.exists()


def test_a_worker_that_refuses_stops_the_start_with_its_reason() -> None:
    launcher = ProcessLauncher(1, "impossible", command=[sys.executable, str(WORKER)])
    with pytest.raises(StartupError, match="no pid namespace: this worker has none"):
        asyncio.run(_probe(launcher))


def test_a_worker_sees_none_of_the_gateways_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
    program = "import os, sys; sys.exit(' '.join(sorted(os.environ)))"
    launcher = ProcessLauncher(1, command=[sys.executable, "-c", program])
    with pytest.raises(StartupError) as caught:
        asyncio.run(_probe(launcher))
    assert str(caught.value).split("): ")[1] == "HOME LANG PATH PYTHONHASHSEED"


def test_unknown_language_is_a_startup_error_with_exit_status_one() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sandbox_server.cli", "selfcheck", "--languages", "cobol"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("plum-sandbox: unknown language 'cobol'; known: ")
