"""A stream whose messages hold many: what it takes up, what it keeps, and what it writes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable

import grpc
import pytest
from grpc import StatusCode
from plum.sandbox.v1 import sandbox_pb2 as pb

from sandbox_server import dispatcher, stream
from sandbox_server.dispatcher import Dispatcher, Job, Outcome
from sandbox_server.errors import RequestError
from sandbox_server.evidence import Result, Usage
from sandbox_server.metrics import Metrics
from sandbox_server.stream import ExecutionStream

_SHARE = 16  # the least there is: the dispatcher has one slot


class Call:
    """A client that sends one message and reads while `reads` is set."""

    def __init__(self, *messages: pb.ExecuteStreamRequest, ends: bool = True) -> None:
        self._messages = list(messages)
        self._ends = ends
        self.reads = asyncio.Event()
        self.written: list[pb.ExecuteStreamResponse] = []

    async def send_initial_metadata(self, _: object) -> None:
        pass

    async def read(self) -> object:
        if self._messages:
            return self._messages.pop(0)
        if not self._ends:
            await asyncio.get_running_loop().create_future()
        return grpc.aio.EOF

    async def write(self, message: pb.ExecuteStreamResponse) -> None:
        await self.reads.wait()
        self.written.append(message)

    def codes(self) -> dict[str, int]:
        """What was answered: the errors' codes, 0 for results."""
        return {each.id: each.error.code for message in self.written for each in message.outcomes}


class Served:
    """A stream in front of a dispatcher without a worker. jobs: all that were made."""

    def __init__(self, call: Call, capacity: int = 1024) -> None:
        self.dispatcher = Dispatcher(slots=1, capacity=capacity, metrics=Metrics())
        self.dispatcher.add("python")
        self.jobs: list[Job] = []
        self.stream = ExecutionStream(self._job, self.dispatcher, call)  # type: ignore[arg-type]
        self.over = asyncio.create_task(self.stream.run())

    def _job(self, execution: pb.Execution, finished: Callable[[Outcome], None]) -> Job:
        if execution.language != "python":
            raise RequestError(StatusCode.NOT_FOUND, "not served")
        job = Job("python", "client", {}, len(execution.solution), finished)
        self.jobs.append(job)
        return job

    @property
    def given(self) -> list[Job]:
        """The jobs that the dispatcher has got."""
        return [job for job in self.jobs if job.queued_at]

    def finish(self, jobs: Iterable[Job], stdout: bytes = b"") -> None:
        usage = Usage(0.1, 0.1, 4096)
        passed = Result(
            "PASSED", "TEST", "", 1, 0, None, "separated", usage, stdout, b"", len(stdout), 0
        )
        for job in jobs:
            self.dispatcher.cancel(job)  # as if a worker had taken it
            job.finished(passed)


def message(count: int, *, size: int = 1, first: int = 0) -> pb.ExecuteStreamRequest:
    return pb.ExecuteStreamRequest(
        executions=[
            pb.Execution(id=str(i), language="python", solution="x" * size)
            for i in range(first, first + count)
        ]
    )


async def settled() -> None:
    """Returns when nothing is left to do but to wait."""
    for _ in range(50):
        await asyncio.sleep(0)


def run(scenario: Coroutine[object, object, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def test_of_a_large_message_no_more_is_given_on_than_may_be_outstanding() -> None:
    async def scenario() -> None:
        call = Call(message(1024), message(5, first=2000))
        served = Served(call)
        await settled()
        assert len(served.given) == _SHARE
        served.finish(served.given)
        await settled()  # the client does not read: what is finished counts still
        assert len(served.given) == _SHARE
        call.reads.set()
        finished = _SHARE
        while finished < 1029:
            await settled()
            given = served.given
            assert finished < len(given) <= finished + _SHARE
            served.finish(given[finished:])
            finished = len(given)
        await served.over
        assert sorted(call.codes()) == sorted(job_id(i) for i in range(1029))
        assert set(call.codes().values()) == {0}

    def job_id(index: int) -> str:
        return str(index if index < 1024 else 2000 + index - 1024)

    run(scenario())


def test_the_rest_of_a_message_is_bounded_in_bytes_over_all_streams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatcher, "_WAITING_BYTES", 100)

    async def scenario() -> None:
        call = Call(
            message(3, size=60), message(3, size=40, first=3), message(1, size=500, first=6)
        )
        call.reads.set()
        served = Served(call)
        await settled()
        # One is given on whatever the others would hold; two of 40 bytes are held for a moment.
        assert call.codes() == {"1": 8, "2": 8}
        assert [job.size_bytes for job in served.given] == [60, 40, 40, 40, 500]
        served.finish(served.given)
        await served.over
        assert call.codes() == {"1": 8, "2": 8, "0": 0, "3": 0, "4": 0, "5": 0, "6": 0}

    run(scenario())


def test_a_stream_that_ends_holds_nothing_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "_WAITING_BYTES", 1000)

    async def scenario() -> None:
        call = Call(message(1000))
        served = Served(call)
        await settled()
        assert len(served.given) == _SHARE
        with pytest.raises(RequestError, match="984 bytes wait for room and the bound is 1000"):
            served.dispatcher.hold([served.jobs[0]] * 17)
        served.over.cancel()
        await asyncio.wait([served.over])
        served.dispatcher.hold([served.jobs[0]] * 1000)

    run(scenario())


def test_outcomes_that_the_client_needs_to_go_on_wait_for_no_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stream, "_GATHER_S", 3600.0)

    async def scenario() -> None:
        call = Call(message(15), ends=False)
        call.reads.set()
        served = Served(call)
        await settled()
        written = []
        for upto in (1, 5, 14, 15):
            served.finish([job for job in served.jobs[:upto] if not job.cancelled])
            await settled()
            written.append([len(each.outcomes) for each in call.written])
        # Two that are left keep the one slot busy, one does not.
        assert written == [[], [], [14], [14, 1]]
        served.over.cancel()
        await asyncio.wait([served.over])

    run(scenario())


def test_outcomes_that_wait_for_others_do_not_wait_long() -> None:
    async def scenario() -> None:
        call = Call(message(15), ends=False)
        call.reads.set()
        served = Served(call)
        for upto in (2, 5):
            await settled()
            served.finish([job for job in served.jobs[:upto] if not job.cancelled])
            while len(call.codes()) < upto:
                await asyncio.sleep(0.001)
        assert [len(each.outcomes) for each in call.written] == [2, 3]
        served.over.cancel()
        await asyncio.wait([served.over])

    run(scenario())


@pytest.mark.parametrize(("language", "count", "most"), [("cobol", 300, 128), ("python", 16, 15)])
def test_a_message_of_outcomes_is_bounded_in_number_and_bytes(
    language: str, count: int, most: int
) -> None:
    async def scenario() -> None:
        executions = [pb.Execution(id=str(i), language=language) for i in range(count)]
        call = Call(pb.ExecuteStreamRequest(executions=executions))
        served = Served(call)
        await settled()
        served.finish(served.given, stdout=b"x" * (64 << 10) + b"y" * (16 << 10))
        await settled()
        call.reads.set()
        await served.over
        assert sorted(call.codes(), key=int) == [str(i) for i in range(count)]
        sizes = [len(each.outcomes) for each in call.written]
        assert max(sizes) <= most
        assert len(sizes) == -(-count // most)
        assert max(each.ByteSize() for each in call.written) < 2 << 20

    run(scenario())


@pytest.mark.parametrize("count", [0, 1025])
def test_a_message_of_none_or_too_many_ends_the_stream(count: int) -> None:
    async def scenario() -> None:
        served = Served(Call(message(count)))
        with pytest.raises(
            RequestError, match=rf"len\(executions\)={count} is outside \[1, 1024\]"
        ):
            await served.over
        assert not served.jobs

    run(scenario())


def test_a_name_may_stand_in_a_message_once() -> None:
    async def scenario() -> None:
        asked = message(2)
        asked.executions[1].id = "0"
        call = Call(asked)
        call.reads.set()
        served = Served(call)
        await settled()
        assert call.codes() == {"0": StatusCode.INVALID_ARGUMENT.value[0]}
        served.finish(served.jobs)
        await served.over
        assert [each.outcomes[0].WhichOneof("outcome") for each in call.written] == [
            "error",
            "result",
        ]

    run(scenario())


@pytest.mark.parametrize("capacity", [3, 1024], ids=["full queue", "large message"])
def test_a_stream_that_stops_ends_when_what_was_given_on_is_answered(capacity: int) -> None:
    async def scenario() -> None:
        call = Call(message(40))
        call.reads.set()
        served = Served(call, capacity)
        await settled()
        given = served.given
        assert len(given) == min(capacity, _SHARE)
        served.stream.stop()
        await settled()
        assert not served.over.done()
        served.finish(given)
        with pytest.raises(RequestError, match="the server is stopping"):
            await served.over
        assert sorted(call.codes()) == sorted(str(i) for i in range(len(given)))

    run(scenario())
