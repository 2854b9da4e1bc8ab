"""Several servers, some of them mute, behind addresses or one name; and inputs that depend on outcomes."""

from __future__ import annotations

import itertools
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import pytest
from plum.sandbox.v1 import sandbox_pb2 as pb
from plum.sandbox.v1 import sandbox_pb2_grpc

from orchestrator.domain import CheckStatus, Execution, ExecutionResult, Verdict
from orchestrator.errors import SandboxError
from orchestrator.sandbox import batch, client
from orchestrator.sandbox.addresses import servers_behind
from orchestrator.sandbox.client import SandboxClient


class Scripted(sandbox_pb2_grpc.SandboxServiceServicer):
    """Passes everything, or, where `mute`, accepts everything and answers nothing."""

    def __init__(self, mute: bool = False) -> None:
        self.mute = mute
        self.executed: Counter[str] = Counter()
        self.streams = 0
        self.messages: list[list[str]] = []  # the solutions of each

    def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> pb.GetServerInfoResponse:
        return pb.GetServerInfoResponse(languages=[pb.LanguageInfo(name="python", slots=1)])

    def ExecuteStream(
        self, requests: Iterator[pb.ExecuteStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.ExecuteStreamResponse]:
        context.send_initial_metadata(())
        self.streams += 1
        for request in requests:
            if self.mute:
                _wait_for_the_end(context)
                return
            self.messages.append([asked.solution for asked in request.executions])
            self.executed.update(self.messages[-1])
            result = pb.ExecutionResult(verdict=pb.VERDICT_PASSED, phase=pb.PHASE_TEST)
            yield pb.ExecuteStreamResponse(
                outcomes=[
                    pb.ExecutionOutcome(id=asked.id, result=result) for asked in request.executions
                ]
            )

    def Check(self, request: pb.CheckRequest, context: grpc.ServicerContext) -> pb.CheckResponse:
        if self.mute:
            _wait_for_the_end(context)
        checked = pb.CheckResult(status=pb.CHECK_STATUS_CHECKED)
        return pb.CheckResponse(results=[checked] * len(request.candidates))


def _wait_for_the_end(context: grpc.ServicerContext) -> None:
    over = threading.Event()
    if context.add_callback(over.set):
        over.wait()


@contextmanager
def serving(address: str, servicer: Scripted) -> Iterator[Scripted]:
    """A server at `address` for the time of the block."""
    server = grpc.server(ThreadPoolExecutor(16))
    sandbox_pb2_grpc.add_SandboxServiceServicer_to_server(servicer, server)
    assert server.add_insecure_port(address)
    server.start()
    try:
        yield servicer
    finally:
        server.stop(None).wait()


def executions(count: int) -> list[Execution]:
    return [Execution(str(i), "python", str(i), "") for i in range(count)]


def test_what_a_server_accepted_and_never_answered_is_executed_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch, "_MUTE_S", 0.5)
    mute, fine = f"unix:{tmp_path}/mute", f"unix:{tmp_path}/fine"
    with (
        serving(mute, Scripted(mute=True)) as silent,
        serving(fine, Scripted()) as other,
        SandboxClient([mute, fine], retry_s=20) as opened,
    ):
        outcomes = list(opened.execute_many(executions(40), in_flight=8))
    assert silent.streams >= 1
    assert sorted(int(outcome.id) for outcome in outcomes) == list(range(40))
    assert all(isinstance(outcome, ExecutionResult) for outcome in outcomes)
    assert set(other.executed.values()) == {1}


def test_a_server_that_never_answers_a_check_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_CHECK_TIMEOUT_S", 0.5)
    mute, fine = f"unix:{tmp_path}/mute", f"unix:{tmp_path}/fine"
    with serving(mute, Scripted(mute=True)), serving(fine, Scripted()):
        with SandboxClient([mute, fine], retry_s=20) as opened:
            [found] = opened.check("python", [("a", "x = 1\n")])
            assert found.status is CheckStatus.CHECKED
        with (
            SandboxClient([mute], retry_s=0.1) as opened,
            pytest.raises(SandboxError, match="DEADLINE_EXCEEDED"),
        ):
            opened.check("python", [("a", "x = 1\n")])


def test_an_input_that_depends_on_outcomes_is_asked_again_after_each(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/one"
    depth: dict[str, int] = {str(i): 0 for i in range(10)}
    ready = list(depth)

    def chains() -> Iterator[Execution | None]:
        while any(level < 5 for level in depth.values()):
            if ready:
                name = ready.pop()
                yield Execution(name, "python", f"{name}:{depth[name]}", "")
            else:
                yield None

    with serving(address, Scripted()) as server, SandboxClient([address]) as opened:
        for outcome in opened.execute_many(chains(), in_flight=4):
            depth[outcome.id] += 1
            if depth[outcome.id] < 5:
                ready.append(outcome.id)
    assert set(depth.values()) == {5}
    assert set(server.executed.values()) == {1}
    assert len(server.executed) == 50


def test_an_input_that_waits_for_nothing_ends(tmp_path: Path) -> None:
    with (
        serving(f"unix:{tmp_path}/one", Scripted()) as _,
        SandboxClient([f"unix:{tmp_path}/one"]) as opened,
    ):
        assert list(opened.execute_many(iter([None]), in_flight=4)) == []


def test_executions_travel_together_once_a_server_has_spoken(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/one"
    with serving(address, Scripted()) as server, SandboxClient([address]) as opened:
        outcomes = list(opened.execute_many(executions(5000), in_flight=1000))
    assert sorted(int(outcome.id) for outcome in outcomes) == list(range(5000))
    sizes = [len(message) for message in server.messages]
    assert sizes[0] == 1
    assert max(sizes) == 256
    assert sum(sizes) == 5000


def test_executions_travel_together_also_where_answers_come_one_by_one(tmp_path: Path) -> None:
    class OneByOne(Scripted):
        def ExecuteStream(
            self, requests: Iterator[pb.ExecuteStreamRequest], context: grpc.ServicerContext
        ) -> Iterator[pb.ExecuteStreamResponse]:
            for response in super().ExecuteStream(requests, context):
                for outcome in response.outcomes:
                    yield pb.ExecuteStreamResponse(outcomes=[outcome])

    address = f"unix:{tmp_path}/one"
    with serving(address, OneByOne()) as server, SandboxClient([address]) as opened:
        assert len(list(opened.execute_many(executions(400), in_flight=32))) == 400
    assert len(server.messages) < 100


@pytest.mark.timeout(120)
def test_a_server_that_has_answered_everything_waits_for_no_other(tmp_path: Path) -> None:
    fine, *mute = [f"unix:{tmp_path}/{n}" for n in range(8)]
    with ExitStack() as stack:
        quick = stack.enter_context(serving(fine, Scripted()))
        for address in mute:
            stack.enter_context(serving(address, Scripted(mute=True)))
        opened = stack.enter_context(SandboxClient([fine, *mute], retry_s=20))
        outcomes = opened.execute_many(executions(400), in_flight=32)
        # The others hold their parts of what may be in flight, four each.
        answered = [outcome.id for outcome in itertools.islice(outcomes, 400 - 4 * 7)]
        outcomes.close()  # type: ignore[attr-defined]
    assert len(set(answered)) == 372
    assert quick.executed.total() >= 372


def test_a_message_is_bounded_in_bytes(tmp_path: Path) -> None:
    address = f"unix:{tmp_path}/one"
    rows = [Execution(str(i), "python", str(i), "#" * (100 << 10)) for i in range(30)]
    rows += [Execution("large", "python", "large", "#" * (1 << 20))]
    with serving(address, Scripted()) as server, SandboxClient([address]) as opened:
        assert len(list(opened.execute_many(rows, in_flight=40))) == 31
    assert max(len(message) for message in server.messages) == 2
    assert ["large"] in server.messages


def test_what_follows_one_another_for_one_candidate_goes_to_one_server(tmp_path: Path) -> None:
    a, b = f"unix:{tmp_path}/a", f"unix:{tmp_path}/b"
    rows = [Execution(str(i), "python", str(i // 4), str(i)) for i in range(160)]
    with (
        serving(a, Scripted()) as first,
        serving(b, Scripted()) as second,
        SandboxClient([a, b]) as opened,
    ):
        outcomes = list(opened.execute_many(rows, in_flight=32))
    assert len(outcomes) == 160
    assert first.messages
    assert second.messages
    # Only where a stream has no room for the rest of them do they part.
    meetings = len(first.executed) + len(second.executed)
    assert meetings <= 40 + len(first.messages) + len(second.messages)
    for message in first.messages + second.messages:
        assert len(list(itertools.groupby(message))) == len(set(message))


def test_answers_that_nobody_asked_for_and_second_answers_decide_nothing(tmp_path: Path) -> None:
    class Confused(Scripted):
        def ExecuteStream(
            self, requests: Iterator[pb.ExecuteStreamRequest], context: grpc.ServicerContext
        ) -> Iterator[pb.ExecuteStreamResponse]:
            failed = pb.ExecutionResult(verdict=pb.VERDICT_TAMPERED, phase=pb.PHASE_TEST)
            for response in super().ExecuteStream(requests, context):
                yield pb.ExecuteStreamResponse()
                names = [outcome.id for outcome in response.outcomes]
                for name in ("nobody", *names):
                    response.outcomes.add(id=name, result=failed)
                yield response

    address = f"unix:{tmp_path}/one"
    with serving(address, Confused()), SandboxClient([address]) as opened:
        outcomes = list(opened.execute_many(executions(100), in_flight=20))
    assert sorted(int(outcome.id) for outcome in outcomes) == list(range(100))
    verdicts = {outcome.verdict for outcome in outcomes if isinstance(outcome, ExecutionResult)}
    assert verdicts == {Verdict.PASSED}


@contextmanager
def name_server(addresses: list[str]) -> Iterator[int]:
    """A DNS server that answers every question for an IPv4 address with `addresses`."""

    def answer(question: bytes) -> bytes:
        end = question.index(b"\0", 12) + 5
        wanted = struct.unpack("!H", question[end - 4 : end - 2])[0]
        found = addresses if wanted == 1 else []
        records = b"".join(
            struct.pack("!HHHIH", 0xC00C, 1, 1, 60, 4) + socket.inet_aton(place) for place in found
        )
        head = question[:2] + struct.pack("!HHHHH", 0x8180, 1, len(found), 0, 0)
        return head + question[12:end] + records

    def serve(server: socket.socket) -> None:
        while True:
            question, asker = server.recvfrom(2048)
            if not question:
                return
            server.sendto(answer(question), asker)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=serve, args=[server])
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.sendto(b"", server.getsockname())
            thread.join()


def test_one_name_with_several_addresses_spreads_the_work_over_all_of_them() -> None:
    with socket.create_server(("127.0.0.2", 0)) as taken:
        port = taken.getsockname()[1]
    hosts = ["127.0.0.2", "127.0.0.3", "127.0.0.4"]
    with (
        serving(f"{hosts[0]}:{port}", Scripted()) as a,
        serving(f"{hosts[1]}:{port}", Scripted()) as b,
        serving(f"{hosts[2]}:{port}", Scripted()) as c,
        name_server(hosts) as names,
        SandboxClient([f"dns://127.0.0.1:{names}/sandbox.test:{port}"], retry_s=20) as opened,
    ):
        for _ in range(3):  # the first streams may find one server connected only
            outcomes = list(opened.execute_many(executions(200), in_flight=30))
            assert sorted(int(outcome.id) for outcome in outcomes) == list(range(200))
        assert a.executed.total() + b.executed.total() + c.executed.total() == 600
        assert all(server.executed for server in (a, b, c))


@pytest.mark.parametrize(
    ("address", "count"),
    [
        ("unix:/somewhere", 1),
        ("127.0.0.1:50061", 1),
        ("dns:///127.0.0.1:50061", 1),
        ("dns://127.0.0.1:53/sandbox.invalid:50061", 1),
        ("[::1]:50061", 1),
        ("ipv4:127.0.0.1:1,127.0.0.2:1", 2),
        ("dns:///no-such-name.invalid:50061", 1),
    ],
)
def test_an_address_stands_for_as_many_servers_as_it_names(address: str, count: int) -> None:
    assert servers_behind(address) == count
