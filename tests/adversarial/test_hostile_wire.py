"""Bytes that no honest client, gateway or worker sends: what they cost, and whom."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc import StatusCode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plum.sandbox.v1 import sandbox_pb2 as pb
from plum.sandbox.v1 import sandbox_pb2_grpc

from sandbox_server import dispatcher
from sandbox_server.dispatcher import Dispatcher, Job, Outcome
from sandbox_server.errors import RequestError, WorkerFailed, WorkerRefused
from sandbox_server.link import Answer, WorkerLink
from sandbox_server.metrics import Metrics
from sandbox_server.worker import protocol
from tests.integration.gateway import Gateway, gateway, run_one
from tests.integration.scripted_worker import LIMITS, result
from tests.integration.test_gateway import item, one_by_one, outcomes
from tests.worker_process import WorkerProcess

SERVICE = "/plum.sandbox.v1.SandboxService"
#: What a request that came through undamaged, or damaged, may be answered with.
CLEAR = {StatusCode.OK, StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND}
FUZZ = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


@pytest.fixture
def channel(shared: Gateway) -> Iterator[grpc.Channel]:
    with shared.channel() as connection:
        yield connection


def _memory_bytes(pid: int) -> int:
    """Most memory that process `pid` has had at one time."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmHWM")


def _damaged(message: bytes) -> st.SearchStrategy[bytes]:
    """`message` with a piece of it replaced."""
    places = st.integers(0, len(message))
    return st.builds(
        lambda start, length, piece: message[:start] + piece + message[start + length :],
        places,
        st.integers(0, 8),
        st.binary(max_size=8),
    )


_EXECUTE = pb.ExecuteRequest(
    execution=pb.Execution(id="a", language="python", solution="pass", test="x")
)
_CHECK = pb.CheckRequest(
    language="python", candidates=[pb.CheckCandidate(id="a", solution="x = 1\n")]
)


@FUZZ
@given(
    data=st.binary(max_size=64)
    | _damaged(_EXECUTE.SerializeToString())
    | _damaged(_CHECK.SerializeToString())
)
def test_any_bytes_to_any_call_are_answered_clearly(channel: grpc.Channel, data: bytes) -> None:
    for method in ("Execute", "Check", "GetServerInfo"):
        code, details, _ = _called(channel.unary_unary(f"{SERVICE}/{method}"), data)
        assert code in CLEAR
        assert details or code is StatusCode.OK
    stream = channel.stream_stream(f"{SERVICE}/ExecuteStream")
    code, _, answers = _called(lambda sent, timeout: list(stream(iter([sent]), timeout)), data)
    assert code in CLEAR
    if code is StatusCode.OK:
        answered = list(one_by_one(pb.ExecuteStreamResponse.FromString(each) for each in answers))
        assert len(answered) == len(pb.ExecuteStreamRequest.FromString(data).executions)
        assert {outcome.WhichOneof("outcome") for outcome in answered} <= {"result", "error"}


def _called(call: Callable[..., Any], data: bytes) -> tuple[StatusCode, str, Any]:
    """Status, explanation and answer of a call."""
    try:
        answer = call(data, timeout=60)
    except grpc.RpcError as e:
        return e.code(), e.details(), None
    return StatusCode.OK, "", answer


@settings(FUZZ, max_examples=20)
@given(data=st.binary(max_size=200) | st.binary(max_size=50).map(lambda b: b"PRI * HTTP/2.0" + b))
def test_bytes_that_are_not_even_http_disturb_nobody(
    shared: Gateway, channel: grpc.Channel, data: bytes
) -> None:
    with socket.socket(socket.AF_UNIX) as raw:
        raw.connect(shared.address.removeprefix("unix:"))
        raw.sendall(data)
        assert run_one(channel, "pass").verdict == pb.VERDICT_PASSED


@pytest.mark.parametrize("size_mb", [17, 63, 64, 80])
def test_a_source_that_is_too_large_is_refused_at_bounded_cost(
    shared: Gateway, channel: grpc.Channel, size_mb: int
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        run_one(channel, "pass", "x" * (size_mb << 20), timeout_s=60)
    assert caught.value.code() in {StatusCode.INVALID_ARGUMENT, StatusCode.RESOURCE_EXHAUSTED}
    assert str(size_mb << 20)[:3] in caught.value.details()
    assert _memory_bytes(shared.process.pid) < 1 << 30
    assert run_one(channel, "pass").verdict == pb.VERDICT_PASSED


def test_a_thousand_streams_that_never_read_cost_bounded_memory(shared: Gateway) -> None:
    text = "x" * 20_000

    async def scenario() -> None:
        async with grpc.aio.insecure_channel(shared.address) as channel:
            method = channel.stream_stream(
                f"{SERVICE}/ExecuteStream",
                request_serializer=pb.ExecuteStreamRequest.SerializeToString,
            )
            calls = [method() for _ in range(1000)]
            request = item("a", "echo")
            request.executions[0].test = text
            await asyncio.gather(*(call.write(request) for call in calls))
            for call in calls:
                call.cancel()

    with shared.channel() as other:
        asyncio.run(scenario())
        answers = outcomes(other, *(item(str(n)) for n in range(20)))
    assert set(answers.values()) == {"VERDICT_PASSED"}
    assert _memory_bytes(shared.process.pid) < 1 << 30


def test_large_messages_of_many_that_wait_for_slots_cost_bounded_memory(shared: Gateway) -> None:
    request = item("0", "sleep 1000")
    for n in range(1, 60):
        request.executions.add(id=str(n), language="python", test="x" * (1 << 20))
    refused = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]

    async def scenario() -> None:
        async with grpc.aio.insecure_channel(shared.address) as channel:
            stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
            calls = [stub.ExecuteStream() for _ in range(8)]
            for call in calls:
                await call.write(request)
            # They have sent 470 MB in all; the last is told that it cannot wait here.
            answer = await asyncio.wait_for(calls[-1].read(), 60)
            assert isinstance(answer, pb.ExecuteStreamResponse)
            assert {outcome.error.code for outcome in answer.outcomes} == {refused}
            for call in calls:
                call.cancel()

    with shared.channel() as other:
        asyncio.run(scenario())
        assert run_one(other, "pass").verdict == pb.VERDICT_PASSED
    assert _memory_bytes(shared.process.pid) < 1 << 30


def test_what_waits_for_room_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "_WAITING_BYTES", 100)

    def job(size: int) -> Job:
        done: list[Outcome] = []
        return Job("python", "client", {}, size, done.append)

    async def scenario() -> None:
        busy = Dispatcher(slots=1, capacity=1, metrics=Metrics())
        busy.add("python")
        await busy.admit(job(10))  # waits for a worker, in the queue
        waiting = [asyncio.ensure_future(busy.admit(job(40))) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(RequestError, match="80 bytes wait for room and the bound is 100") as e:
            await busy.admit(job(40))
        assert e.value.code is StatusCode.RESOURCE_EXHAUSTED
        assert e.value.retry_delay_s is not None
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(scenario())


_READY = {
    "op": "ready",
    "language": "python",
    "version": "1",
    "slots": 2,
    "tests": 3,
    "hash_seeds": 3,
    "default_limits": vars(LIMITS),
    "isolation": [],
}
_FRAMES = st.one_of(
    st.binary(max_size=60),
    _damaged(protocol.encode(_READY)),
    _damaged(protocol.encode({"op": "result", "seq": 1, "result": result()})),
    st.dictionaries(
        st.sampled_from(["op", "seq", "result", "message", "results"]),
        st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2),
    ).map(protocol.encode),
)


@FUZZ
@given(first=_FRAMES, then=_FRAMES)
def test_whatever_a_worker_says_is_an_answer_or_the_end_of_it(first: bytes, then: bytes) -> None:
    async def scenario() -> list[tuple[int, Answer]]:
        ours, theirs = socket.socketpair()
        answers: list[tuple[int, Answer]] = []
        with theirs:
            theirs.sendall(first if len(first) % 2 else protocol.encode(_READY))
            theirs.sendall(then)
            theirs.shutdown(socket.SHUT_WR)
            try:
                link = await WorkerLink.open(ours, _nothing)
            except (WorkerFailed, WorkerRefused):
                return answers
            asked = link.has_room
            if asked:
                link.send(
                    {"op": "execute", "tests": ["", "", ""], "limits": vars(LIMITS)},
                    lambda place, answer: answers.append((place, answer)),
                )
            await link.lost
            await link.close()
        assert [place for place, _ in answers] == list(range(3 if asked else 0))
        return answers

    asyncio.run(scenario())


async def _nothing() -> None:
    return None


_GOOD = {"op": "execute", "seq": 1, "solution": "", "tests": [""], "limits": vars(LIMITS)}


@FUZZ
@given(
    st.dictionaries(
        st.sampled_from([*_GOOD, "candidates"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=5)
        | st.sampled_from(["execute", "check", "cancel"])
        | st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=3)), max_size=2)
        | st.just(vars(LIMITS)),
    )
)
def test_whatever_a_gateway_says_is_a_request_or_refused(message: dict[str, object]) -> None:
    try:
        protocol.check_request(message)
    except protocol.ProtocolError:
        return
    assert isinstance(message["seq"], int)
    if message["op"] == "execute":
        protocol.Limits(**message["limits"])  # type: ignore[arg-type]
        assert isinstance(message["solution"], str)
        assert all(isinstance(test, str) for test in message["tests"])


def test_a_good_request_is_one() -> None:
    protocol.check_request(_GOOD)
    protocol.check_request({"op": "cancel", "seq": 1, "test": 0})
    protocol.check_request({"op": "check", "seq": 1, "candidates": [{"id": "a", "solution": ""}]})


@pytest.mark.parametrize("name", list(vars(LIMITS)))
@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), True, "5", None])
def test_no_limit_is_none_negative_or_endless(name: str, value: object) -> None:
    with pytest.raises(protocol.ProtocolError, match=name):
        protocol.check_request({**_GOOD, "limits": {**vars(LIMITS), name: value}})


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 64,
        protocol.encode({"op": "execute", "seq": 1}),
        struct.pack(">I", 9) + json.dumps([1, 2, 3]).encode(),
    ],
    ids=["no frame", "no request", "no object"],
)
def test_a_worker_that_is_sent_garbage_ends_and_leaves_nothing(data: bytes) -> None:
    worker = WorkerProcess(1)
    assert worker.first["op"] == "ready"
    worker._socket.sendall(data)
    assert worker.process.wait(60) == 3
    worker.close()
