"""The gateway's promises to its callers, in front of workers that do as they are told."""

from __future__ import annotations

import asyncio
import json
import queue
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from plum.sandbox.v1 import sandbox_pb2 as pb
from plum.sandbox.v1 import sandbox_pb2_grpc

from tests.integration.gateway import Gateway, gateway, run_one

SLOTS = 2
SERVICE = "/plum.sandbox.v1.SandboxService"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway"), "--slots", str(SLOTS)) as running:
        yield running


@pytest.fixture
def channel(shared: Gateway) -> Iterator[grpc.Channel]:
    with shared.channel() as connection:
        yield connection


def item(name: str, solution: str = "pass", language: str = "python") -> pb.ExecuteStreamRequest:
    return together(pb.Execution(id=name, language=language, solution=solution))


def together(*executions: pb.Execution) -> pb.ExecuteStreamRequest:
    return pb.ExecuteStreamRequest(executions=executions)


def one_by_one(call: Iterable[pb.ExecuteStreamResponse]) -> Iterator[pb.ExecutionOutcome]:
    """The outcomes of a stream, however they were packed."""
    for response in call:
        assert 1 <= len(response.outcomes) <= 128
        yield from response.outcomes


def outcomes(channel: grpc.Channel, *items: pb.ExecuteStreamRequest) -> dict[str, str]:
    """Id to verdict, or to the error's code and message."""
    stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
    answers: dict[str, str] = {}
    for answer in one_by_one(stub.ExecuteStream(iter(items), timeout=60)):
        assert answer.id not in answers
        if answer.HasField("result"):
            answers[answer.id] = pb.Verdict.Name(answer.result.verdict)
        else:
            answers[answer.id] = f"{answer.error.code} {answer.error.message}"
    return answers


def test_unary_call_returns_everything_the_worker_reported(channel: grpc.Channel) -> None:
    result = run_one(channel, "fail")
    assert result.id == "one"
    assert result.verdict == pb.VERDICT_ASSERTION_FAILED
    assert result.phase == pb.PHASE_TEST
    assert result.proof == pb.PROOF_UNSPECIFIED
    assert (result.assertions.passed, result.assertions.failed) == (0, 1)
    assert result.assertions.first_failure.expression == "f() == 1"
    assert result.usage.cpu_time == Duration(nanos=250_000_000)
    assert run_one(channel, "pass").proof == pb.PROOF_SEPARATED


def test_output_comes_back_byte_for_byte(channel: grpc.Channel) -> None:
    assert run_one(channel, "echo", "ä\0\u2028").stdout == "ä\0\u2028".encode()


@pytest.mark.parametrize(
    ("asked", "effective"),
    [
        (pb.Limits(), {"cpu_time_s": 10.0, "wall_time_s": 30.0}),
        (pb.Limits(cpu_time=Duration(seconds=2)), {"cpu_time_s": 2.0, "wall_time_s": 30.0}),
        (pb.Limits(cpu_time=Duration(seconds=20)), {"cpu_time_s": 20.0, "wall_time_s": 60.0}),
        (pb.Limits(cpu_time=Duration(seconds=3600)), {"wall_time_s": 7200.0}),
        (pb.Limits(wall_time=Duration(seconds=1)), {"cpu_time_s": 10.0, "wall_time_s": 1.0}),
        (pb.Limits(memory_bytes=16 << 20, open_files=16), {"memory_bytes": 16 << 20}),
    ],
)
def test_unset_limits_take_the_defaults(
    channel: grpc.Channel, asked: pb.Limits, effective: dict[str, float]
) -> None:
    execution = pb.Execution(id="x", language="python", solution="limits", limits=asked)
    stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
    answer = stub.Execute(pb.ExecuteRequest(execution=execution), timeout=60)
    given = json.loads(answer.result.stdout)
    assert {name: given[name] for name in effective} == effective


@pytest.mark.parametrize(
    ("execution", "says"),
    [
        (pb.Execution(language="python"), "execution.id is missing"),
        (pb.Execution(id="x"), "execution.language is missing"),
        (pb.Execution(id="x" * 257, language="python"), "bytes of execution.id=257"),
        (
            pb.Execution(id="x", language="python", test="x" * ((16 << 20) + 1)),
            "bytes of execution.test=16777217 is outside [0, 16777216]",
        ),
        (
            pb.Execution(id="x", language="python", limits=pb.Limits(memory_bytes=8)),
            "limits.memory_bytes=8 is outside [16777216, 68719476736]",
        ),
        (
            pb.Execution(id="x", language="python", limits=pb.Limits(processes=-1)),
            "limits.processes=-1 is outside [1, 4096]",
        ),
        (
            pb.Execution(
                id="x", language="python", limits=pb.Limits(cpu_time=Duration(seconds=-1))
            ),
            "limits.cpu_time={seconds: -1, nanos: 0} is outside",
        ),
        (
            pb.Execution(
                id="x", language="python", limits=pb.Limits(wall_time=Duration(nanos=2 * 10**9))
            ),
            "limits.wall_time={seconds: 0, nanos: 2000000000} is outside",
        ),
        (
            pb.Execution(
                id="x", language="python", limits=pb.Limits(cpu_time=Duration(nanos=1000))
            ),
            "limits.cpu_time=1e-06 s is outside [0.01 s, 3600 s]",
        ),
    ],
)
def test_what_is_out_of_range_is_named_with_value_and_bound(
    channel: grpc.Channel, execution: pb.Execution, says: str
) -> None:
    stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
    with pytest.raises(grpc.RpcError) as caught:
        stub.Execute(pb.ExecuteRequest(execution=execution), timeout=60)
    assert caught.value.code() == StatusCode.INVALID_ARGUMENT
    assert says in caught.value.details()


def test_language_that_is_not_served_is_told_with_those_that_are(channel: grpc.Channel) -> None:
    answers = outcomes(channel, item("a", language="cobol" * 1000), item("b", language="rust"))
    assert answers["a"].startswith("5 language 'cobolcobol")
    assert answers["b"] == "5 language 'rust' is not served; served: python"


@pytest.mark.parametrize("garbage", [b"\xff\xff\xff", b"\x0a\x04\x0a\x02\xff\xfe"])
def test_undecodable_requests_are_invalid_arguments(channel: grpc.Channel, garbage: bytes) -> None:
    unary = channel.unary_unary(f"{SERVICE}/Execute")
    with pytest.raises(grpc.RpcError) as caught:
        unary(garbage, timeout=60)
    assert caught.value.code() == StatusCode.INVALID_ARGUMENT
    assert "not a plum.sandbox.v1.ExecuteRequest" in caught.value.details()
    stream = channel.stream_stream(f"{SERVICE}/ExecuteStream")
    with pytest.raises(grpc.RpcError) as caught:
        list(stream(iter([item("a", "sleep 60").SerializeToString(), garbage]), timeout=60))
    assert caught.value.code() == StatusCode.INVALID_ARGUMENT
    # What the broken stream had in flight was given up: the slots are free.
    assert run_one(channel, "pass").verdict == pb.VERDICT_PASSED


def test_an_error_of_one_item_leaves_the_stream_open(channel: grpc.Channel) -> None:
    bad = together(pb.Execution(id="bad", language="python", limits=pb.Limits(processes=5000)))
    answers = outcomes(channel, item("a"), bad, item("b"), item("c", language="nope"))
    assert answers.pop("bad").startswith("3 limits.processes=5000")
    assert answers.pop("c").startswith("5 ")
    assert answers == {"a": "VERDICT_PASSED", "b": "VERDICT_PASSED"}


def test_an_id_that_is_in_flight_already_is_rejected(channel: grpc.Channel) -> None:
    stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
    twice = [item("a", "sleep 0.5"), item("a")]
    first, second = one_by_one(stub.ExecuteStream(iter(twice), timeout=60))
    assert "'a' is in flight on this stream already" in first.error.message
    assert second.result.verdict == pb.VERDICT_PASSED


def test_many_executions_never_exceed_the_slots_and_are_answered_once(
    channel: grpc.Channel,
) -> None:
    # The scripted worker ends at once when it is given more than it has slots.
    items = [item(str(i), "sleep 0.001" if i % 3 else "fail") for i in range(600)]
    answers = outcomes(channel, *items)
    assert len(answers) == 600
    assert set(answers.values()) == {"VERDICT_PASSED", "VERDICT_ASSERTION_FAILED"}


def test_executions_may_come_together_and_each_has_its_own_outcome(channel: grpc.Channel) -> None:
    executions = [
        pb.Execution(id=str(i), language="python", solution="fail" if i % 3 else "pass")
        for i in range(1024)
    ]
    executions[500].limits.processes = 5000
    answers = outcomes(channel, together(*executions[:700]), together(*executions[700:]))
    assert len(answers) == 1024
    assert answers.pop("500").startswith("3 limits.processes=5000")
    for name, answer in answers.items():
        assert answer == ("VERDICT_ASSERTION_FAILED" if int(name) % 3 else "VERDICT_PASSED")


@pytest.mark.parametrize("count", [0, 1025])
def test_a_message_without_executions_or_with_too_many_ends_the_stream(
    channel: grpc.Channel, count: int
) -> None:
    executions = [pb.Execution(id=str(i), language="python") for i in range(count)]
    with pytest.raises(grpc.RpcError) as caught:
        outcomes(channel, item("a", "sleep 1000"), together(*executions))
    assert caught.value.code() == StatusCode.INVALID_ARGUMENT
    assert f"len(executions)={count} is outside [1, 1024]" in caught.value.details()
    assert run_one(channel, "pass").verdict == pb.VERDICT_PASSED


def test_check_answers_in_the_order_of_the_request(channel: grpc.Channel) -> None:
    stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
    candidates = [pb.CheckCandidate(id=str(i), solution="x") for i in range(7)]
    response = stub.Check(pb.CheckRequest(language="python", candidates=candidates), timeout=60)
    assert [result.id for result in response.results] == [str(i) for i in range(7)]
    for wrong in ([], [pb.CheckCandidate(id="a"), pb.CheckCandidate(id="a")]):
        with pytest.raises(grpc.RpcError) as caught:
            stub.Check(pb.CheckRequest(language="python", candidates=wrong), timeout=60)
        assert caught.value.code() == StatusCode.INVALID_ARGUMENT


def test_server_tells_languages_limits_and_isolation(channel: grpc.Channel) -> None:
    stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
    info = stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=60)
    (language,) = info.languages
    assert (language.name, language.version, language.slots) == ("python", "scripted 1", SLOTS)
    assert language.default_limits.cpu_time == Duration(seconds=10)
    assert [layer.in_force for layer in language.isolation] == [False]
    assert (info.queue_capacity, info.launcher) == (1024, "process")


def test_health_and_reflection_are_served(channel: grpc.Channel) -> None:
    health = health_pb2_grpc.HealthStub(channel)
    for name in ("", "plum.sandbox.v1.SandboxService"):
        answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=60)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    ask = reflection_pb2.ServerReflectionRequest(list_services="")
    reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
    (answer,) = reflection.ServerReflectionInfo(iter([ask]), timeout=60)
    names = {service.name for service in answer.list_services_response.service}
    assert "plum.sandbox.v1.SandboxService" in names


def test_full_queue_is_answered_with_a_retry_delay(tmp_path: Path) -> None:
    with (
        gateway(tmp_path, "--slots", "1", "--queue", "2") as small,
        small.channel() as channel,
    ):
        stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
        execution = pb.Execution(id="x", language="python", solution="sleep 1000")
        endless = pb.ExecuteRequest(execution=execution)
        calls = [stub.Execute.future(endless) for _ in range(8)]
        # One runs and two wait; whether the first had left the queue in time is up to chance.
        errors = []
        while len(errors) < 5:
            errors = [call for call in calls if call.done()]
            time.sleep(0.01)
        assert len(errors) <= 6
        for call in calls:
            call.cancel()
        for error in errors:
            assert error.code() == StatusCode.RESOURCE_EXHAUSTED
            assert "the bound is 2" in error.details()
            details = dict(error.trailing_metadata())["grpc-status-details-bin"]
            retry = error_details_pb2.RetryInfo()
            assert status_pb2.Status.FromString(details).details[0].Unpack(retry)
            assert retry.retry_delay.ToTimedelta().total_seconds() > 0
        # A stream is made to wait instead.
        answers = outcomes(channel, *(item(str(i), "sleep 0.001") for i in range(50)))
        assert list(answers.values()) == ["VERDICT_PASSED"] * 50


def test_deadline_counts_while_queued_and_frees_the_place(tmp_path: Path) -> None:
    with (
        gateway(tmp_path, "--slots", "1", "--queue", "1") as small,
        small.channel() as channel,
        ThreadPoolExecutor(1) as pool,
    ):
        running = pool.submit(run_one, channel, "sleep 3")
        while True:  # until that one holds the slot, and the queue is empty
            assert not running.done()
            try:
                run_one(channel, "pass", timeout_s=0.3)
            except grpc.RpcError as e:
                if e.code() == StatusCode.DEADLINE_EXCEEDED:
                    break
        assert run_one(channel, "pass").verdict == pb.VERDICT_PASSED
        assert running.result().verdict == pb.VERDICT_PASSED


def test_cancelled_calls_give_their_slots_back(channel: grpc.Channel) -> None:
    stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
    forever = [item(str(i), "sleep 1000") for i in range(50)]
    call = stub.ExecuteStream(iter([item("first"), *forever]))
    assert next(one_by_one(call)).id == "first"
    call.cancel()
    assert run_one(channel, "pass").verdict == pb.VERDICT_PASSED


def test_a_client_with_little_is_not_made_to_wait_for_one_with_much(shared: Gateway) -> None:
    with shared.channel() as busy, shared.channel() as modest:
        run_one(modest, "pass")  # is connected by now
        much = (item(str(i), "sleep 0.02") for i in range(300))
        stub = sandbox_pb2_grpc.SandboxServiceStub(busy)
        call = stub.ExecuteStream(much, metadata=(("plum-client-id", "busy"),), timeout=60)
        next(call)
        answered = threading.Event()
        done_before: queue.SimpleQueue[int] = queue.SimpleQueue()

        def drain() -> None:
            done_before.put(sum(1 for _ in one_by_one(call) if not answered.is_set()))

        draining = threading.Thread(target=drain)
        draining.start()
        run_one(modest, "pass")
        answered.set()
        draining.join()
        assert done_before.get() < 150


def test_a_client_that_never_reads_does_not_stop_the_others(shared: Gateway) -> None:
    with shared.channel() as deaf, shared.channel() as other:
        stub = sandbox_pb2_grpc.SandboxServiceStub(deaf)
        text = "x" * 50_000
        items = (
            together(pb.Execution(id=str(i), language="python", solution="echo", test=text))
            for i in range(300)
        )
        call = stub.ExecuteStream(items, timeout=60)
        for _ in range(20):
            assert run_one(other, "pass").verdict == pb.VERDICT_PASSED
        whole = [a for a in one_by_one(call) if len(a.result.stdout) == 50_000]
        assert len(whole) == 300


def test_a_thousand_streams_are_all_served(shared: Gateway) -> None:
    async def one(stub: sandbox_pb2_grpc.SandboxServiceAsyncStub, name: str) -> str:
        call = stub.ExecuteStream(timeout=60)
        await call.write(item(name))
        answer = await call.read()
        assert isinstance(answer, pb.ExecuteStreamResponse)
        await call.done_writing()
        return answer.outcomes[0].id

    async def all_of_them() -> list[str]:
        async with grpc.aio.insecure_channel(shared.address) as channel:
            stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
            return await asyncio.gather(*(one(stub, str(i)) for i in range(1000)))

    assert asyncio.run(all_of_them()) == [str(i) for i in range(1000)]
