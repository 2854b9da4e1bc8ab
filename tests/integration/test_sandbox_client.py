"""The client: every execution is answered exactly once, whatever happens to the servers."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from plum.sandbox.v1 import sandbox_pb2 as pb
from plum.sandbox.v1 import sandbox_pb2_grpc

from orchestrator.domain import (
    CheckStatus,
    Execution,
    ExecutionError,
    ExecutionResult,
    Limits,
    Verdict,
)
from orchestrator.errors import SandboxError
from orchestrator.sandbox import batch
from orchestrator.sandbox.client import SandboxClient
from tests.integration.gateway import Gateway, gateway


def executions(count: int, solution: str = "pass") -> list[Execution]:
    return [Execution(str(i), "python", solution, "") for i in range(count)]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def client(shared: Gateway) -> Iterator[SandboxClient]:
    with SandboxClient([shared.address], retry_s=20) as opened:
        yield opened


def test_each_execution_is_answered_once_with_its_own_result(client: SandboxClient) -> None:
    wanted = {str(i): "fail" if i % 3 else "pass" for i in range(500)}
    outcomes = list(
        client.execute_many(Execution(name, "python", word, "") for name, word in wanted.items())
    )
    assert len(outcomes) == 500
    for outcome in outcomes:
        assert isinstance(outcome, ExecutionResult)
        passed = wanted.pop(outcome.id) == "pass"
        assert outcome.verdict == (Verdict.PASSED if passed else Verdict.ASSERTION_FAILED)
    assert not wanted


def test_input_is_pulled_no_further_than_asked_for(client: SandboxClient) -> None:
    pulled = 0

    def endless() -> Iterator[Execution]:
        nonlocal pulled
        while True:
            pulled += 1
            yield Execution("same", "python", "pass", "")

    outcomes = client.execute_many(endless(), in_flight=5)
    for answered in range(1, 50):
        next(outcomes)
        assert pulled <= answered + 5
    outcomes.close()  # type: ignore[attr-defined]


def test_limits_reach_the_worker(client: SandboxClient) -> None:
    asked = Limits(cpu_time_s=2.5, memory_bytes=32 << 20)
    (outcome,) = client.execute_many([Execution("x", "python", "limits", "", asked)])
    assert isinstance(outcome, ExecutionResult)
    assert b'"cpu_time_s": 2.5' in outcome.stdout
    assert b'"memory_bytes": 33554432' in outcome.stdout


def test_what_cannot_be_executed_is_an_error_and_not_a_verdict(client: SandboxClient) -> None:
    rows = [
        Execution("surrogate", "python", "\ud800", ""),
        Execution("large", "python", "", "x" * ((16 << 20) + 1)),
        Execution("cobol", "cobol", "", ""),
        Execution("limit", "python", "", "", Limits(processes=5000)),
        Execution("count", "python", "", "", Limits(processes=1 << 70)),
        Execution("nothing", "", "", ""),
        Execution("language", "\ud800", "", ""),
        Execution("seed", "python", "", "", hash_seed=1),
        Execution("negative", "python", "", "", hash_seed=-1),
        Execution("huge", "python", "", "", hash_seed=1 << 32),
        Execution("fine", "python", "pass", ""),
    ]
    outcomes = {outcome.id: outcome for outcome in client.execute_many(rows)}
    assert isinstance(outcomes.pop("fine"), ExecutionResult)
    codes = {}
    for name, outcome in outcomes.items():
        assert isinstance(outcome, ExecutionError)
        codes[name] = outcome.code
    assert codes.pop("cobol") == "NOT_FOUND"
    assert set(codes.values()) == {"INVALID_ARGUMENT"}
    assert len(codes) == 9


def test_an_execution_that_kills_workers_is_given_up_in_the_end(client: SandboxClient) -> None:
    with SandboxClient(client._addresses, retry_s=0.1) as impatient:
        (outcome,) = impatient.execute_many([Execution("x", "python", "die", "")])
    assert isinstance(outcome, ExecutionError)
    assert outcome.code == "UNAVAILABLE"


def test_checks_come_back_in_order_however_they_were_batched(client: SandboxClient) -> None:
    candidates = [(f"c{i}", "x = 1\n") for i in range(450)]
    candidates.insert(7, ("bad", "\ud800"))
    results = client.check("python", candidates)
    assert [result.id for result in results] == [name for name, _ in candidates]
    assert results.pop(7).status == CheckStatus.NOT_CHECKED
    assert {result.status for result in results} == {CheckStatus.CHECKED}
    with pytest.raises(SandboxError, match="NOT_FOUND"):
        client.check("cobol", candidates[:1])


@pytest.mark.parametrize(("asked_s", "calls"), [(3600, 1), (0, 2)])
def test_a_server_that_refuses_a_check_is_left_alone_for_as_long_as_it_asks(
    asked_s: int, calls: int, tmp_path: Path
) -> None:
    status = Status(code=8, message="full")
    status.details.add().Pack(RetryInfo(retry_delay=Duration(seconds=asked_s)))
    details = (("grpc-status-details-bin", status.SerializeToString()),)
    asked = 0

    class Full(sandbox_pb2_grpc.SandboxServiceServicer):
        def Check(
            self, request: pb.CheckRequest, context: grpc.ServicerContext
        ) -> pb.CheckResponse:
            nonlocal asked
            asked += 1
            if asked == 1:
                context.set_trailing_metadata(details)
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "full")
            context.abort(grpc.StatusCode.NOT_FOUND, "asked again")

    server = grpc.server(ThreadPoolExecutor(1))
    sandbox_pb2_grpc.add_SandboxServiceServicer_to_server(Full(), server)
    server.add_insecure_port(f"unix:{tmp_path}/full.sock")
    server.start()
    try:
        with (
            SandboxClient([f"unix:{tmp_path}/full.sock"], retry_s=20) as client,
            pytest.raises(SandboxError, match="asked again" if calls == 2 else "full"),
        ):
            client.check("python", [("a", "x = 1\n")])
    finally:
        server.stop(None).wait()
    assert asked == calls


def test_no_server_at_all_fails_every_execution_and_does_not_hang(tmp_path: Path) -> None:
    with SandboxClient([f"unix:{tmp_path}/nobody.sock"], retry_s=0.5) as client:
        outcomes = list(client.execute_many(executions(100), in_flight=10))
        assert len({outcome.id for outcome in outcomes}) == 100
        for outcome in outcomes:
            assert isinstance(outcome, ExecutionError)
            assert outcome.code == "UNAVAILABLE"
        with pytest.raises(SandboxError, match="UNAVAILABLE"):
            client.info(wait_s=0.2)


#: An empty SETTINGS frame, with which a connection of HTTP/2 is made.
_SETTINGS = bytes.fromhex("000000040000000000")


@contextmanager
def mute_server(greeting: bytes) -> Iterator[str]:
    """A server that accepts connections, says its greeting, and nothing ever after."""
    accepted: list[socket.socket] = []

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):  # at the end, when the listener is shut down
            while True:
                connection, _ = listener.accept()
                accepted.append(connection)
                connection.sendall(greeting)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=accept, args=[listener])
        thread.start()
        try:
            yield f"127.0.0.1:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in accepted:
                connection.close()


@pytest.mark.parametrize("greeting", [b"", _SETTINGS], ids=["no-word", "settings-only"])
def test_a_server_that_accepts_and_says_nothing_counts_as_none(
    greeting: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_OPENING_S", 0.3)
    with mute_server(greeting) as address, SandboxClient([address], retry_s=0.5) as client:
        outcomes = list(client.execute_many(executions(20), in_flight=10))
    assert sorted(int(outcome.id) for outcome in outcomes) == list(range(20))
    for outcome in outcomes:
        assert isinstance(outcome, ExecutionError)
        assert outcome.code == "UNAVAILABLE"
        assert "no sandbox answered" in outcome.message


def test_what_a_mute_server_got_is_executed_by_another(
    shared: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_OPENING_S", 1.0)
    with (
        mute_server(_SETTINGS) as mute,
        SandboxClient([mute, shared.address], retry_s=30) as client,
    ):
        outcomes = list(client.execute_many(executions(50), in_flight=10))
    assert sorted(int(outcome.id) for outcome in outcomes) == list(range(50))
    assert all(isinstance(outcome, ExecutionResult) for outcome in outcomes)


def test_a_slow_execution_is_not_taken_for_a_mute_server(
    client: SandboxClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_OPENING_S", 1.0)
    (outcome,) = client.execute_many(executions(1, "sleep 3"), in_flight=1)
    assert isinstance(outcome, ExecutionResult)


def test_a_server_that_is_killed_and_comes_back_loses_nothing(tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(gateway(tmp_path))
        client = stack.enter_context(SandboxClient([first.address], retry_s=60))
        outcomes = client.execute_many(executions(200, "sleep 0.01"))
        got = [next(outcomes) for _ in range(20)]
        first.process.send_signal(signal.SIGKILL)
        first.process.wait()
        stack.enter_context(gateway(tmp_path))
        got += outcomes
        assert sorted(int(outcome.id) for outcome in got) == list(range(200))
        assert all(isinstance(outcome, ExecutionResult) for outcome in got)


def test_work_is_spread_and_moves_away_from_a_server_that_ends(tmp_path: Path) -> None:
    with (
        gateway(tmp_path, name="a.sock") as ending,
        gateway(tmp_path, name="b.sock") as staying,
        SandboxClient([ending.address, staying.address], retry_s=60) as client,
    ):
        got = []
        for outcome in client.execute_many(executions(300, "sleep 0.01"), in_flight=16):
            got.append(outcome)
            if len(got) == 100:
                ending.process.send_signal(signal.SIGTERM)
        assert sorted(int(outcome.id) for outcome in got) == list(range(300))
        assert all(isinstance(outcome, ExecutionResult) for outcome in got)
        assert ending.process.wait(20) == 0


def test_leaving_early_gives_up_what_is_in_flight(client: SandboxClient) -> None:
    rows = [Execution("quick", "python", "pass", ""), *executions(50, "sleep 1000")]
    early = client.execute_many(rows, in_flight=51)
    assert next(early).id == "quick"
    early.close()  # type: ignore[attr-defined]
    (outcome,) = client.execute_many(executions(1))
    assert isinstance(outcome, ExecutionResult)
