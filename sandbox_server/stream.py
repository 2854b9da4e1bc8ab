"""One ExecuteStream call: reads while it may, writes whatever is done.

Two coroutines, whatever the number of executions. What is outstanding, given to
the dispatcher but not yet written back, is bounded: of a client that sends without
reading nothing more is taken up, and it costs others nothing but what was by then.
A message may hold more than that. The rest of it waits here as sources, which are
bounded over all streams, and no other message is read before its last one is given on.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import grpc
from grpc import StatusCode
from plum.sandbox.v1 import sandbox_pb2 as pb

from sandbox_server.convert import ID_BYTES, check_stream_request, outcome_message
from sandbox_server.dispatcher import Dispatcher, Job, Outcome
from sandbox_server.errors import RequestError, unavailable
from sandbox_server.undecodable import Undecodable

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
MakeJob: TypeAlias = Callable[[pb.Execution, Callable[[Outcome], None]], Job]

#: Executions of one stream that may be outstanding: for each slot one that runs and three to
#: follow it, which is enough that no slot waits for the client; where some are carried out
#: together, that many and as many to follow them.
_PER_SLOT = 4
_LEAST_SHARE = 16

#: What one message of ours may hold: so many outcomes, and no further one after so many bytes.
#: Clients that set no bound of their own take 4 MiB.
_TOGETHER = 128
_TOGETHER_BYTES = 1 << 20
#: How long an outcome waits for others to go with it, where the client has no need of it yet: it
#: has asked for more than the slots can do meanwhile.
_GATHER_S = 0.02


class ExecutionStream:
    """The two sides of one call."""

    def __init__(self, make_job: MakeJob, dispatcher: Dispatcher, context: Context) -> None:
        self._make_job = make_job
        self._dispatcher = dispatcher
        self._context = context
        self._share = max(
            _LEAST_SHARE, max(_PER_SLOT, 2 * dispatcher.most_together) * dispatcher.slots
        )
        self._outstanding = 0
        self._jobs: dict[str, Job] = {}
        self._outbox: deque[tuple[str, Outcome]] = deque()
        self._wake = asyncio.Event()
        self._slack = asyncio.Event()
        self._ended = False
        self._broken = False
        self._stopping = False
        self._reader: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Serves the stream to its end.

        Raises:
            RequestError: a message was not of the protocol, or the server stops.
        """
        # Before anything is answered: the client learns that it has been let in.
        await self._context.send_initial_metadata(())
        reader = self._reader = asyncio.create_task(self._read())
        reader.add_done_callback(self._reading_ended)
        try:
            await self._write()
            if self._stopping:
                raise unavailable("the server is stopping")
            if not reader.cancelled():
                reader.result()
        finally:
            reader.cancel()
            await asyncio.wait([reader])
            for job in self._jobs.values():
                self._dispatcher.cancel(job)

    def stop(self) -> None:
        """Reads nothing more; the stream ends when what was taken is answered."""
        self._stopping = True
        if self._reader is not None:
            self._reader.cancel()

    def _reading_ended(self, reader: asyncio.Task[None]) -> None:
        self._ended = True
        if not reader.cancelled() and reader.exception() is not None:
            # Whom to answer is unknown: the call as a whole ends with that error.
            self._broken = True
        self._wake.set()

    async def _read(self) -> None:
        while True:
            await self._slack_for_one()
            request = await self._context.read()
            if request is grpc.aio.EOF:
                return
            if isinstance(request, Undecodable):
                raise request.error
            jobs = self._jobs_of(request)
            del request  # or its sources would stay until the next message is there
            await self._hand_over(jobs)

    async def _slack_for_one(self) -> None:
        while self._outstanding >= self._share:
            self._slack.clear()
            await self._slack.wait()

    def _jobs_of(self, request: pb.ExecuteStreamRequest) -> list[Job]:
        """The jobs of a message; what cannot be one is answered."""
        check_stream_request(request)
        jobs = []
        for execution in request.executions:
            name = execution.id
            try:
                if name in self._jobs:
                    raise RequestError(
                        StatusCode.INVALID_ARGUMENT,
                        f"execution.id={name!r} is in flight on this stream already",
                    )
                job = self._make_job(execution, partial(self._finished, name))
            except RequestError as e:
                self._outstanding += 1
                self._answer(name[:ID_BYTES], e)
            else:
                self._jobs[name] = job
                jobs.append(job)
        return jobs

    async def _hand_over(self, jobs: list[Job]) -> None:
        """Gives jobs to the dispatcher, as what is outstanding allows.

        Whatever there is room for, the first has its turn. The others are held by this stream
        until then, which costs memory that all streams have together.
        """
        rest = deque(jobs[1:])
        try:
            self._dispatcher.hold(rest)
        except RequestError as e:
            for job in rest:
                self._outstanding += 1
                job.finished(e)
            rest.clear()
        try:
            for job in jobs[:1]:
                await self._admit(job)
            while rest:
                await self._slack_for_one()
                job = rest.popleft()
                self._dispatcher.let_go([job])
                await self._admit(job)
        finally:
            self._dispatcher.let_go(rest)

    async def _admit(self, job: Job) -> None:
        self._outstanding += 1
        try:
            await self._dispatcher.admit(job)
        except RequestError as e:
            job.finished(e)
        except asyncio.CancelledError:
            if job in self._jobs.values():  # it has no outcome, and will have none
                self._outstanding -= 1
            raise

    def _finished(self, name: str, outcome: Outcome) -> None:
        del self._jobs[name]
        self._answer(name, outcome)

    def _answer(self, name: str, outcome: Outcome) -> None:
        self._outbox.append((name, outcome))
        if len(self._outbox) == _TOGETHER or not self._keeps_slots_busy():
            self._wake.set()
        elif len(self._outbox) == 1:
            asyncio.get_running_loop().call_later(_GATHER_S, self._wake.set)

    def _keeps_slots_busy(self) -> bool:
        """Whether enough is under way for every slot to have one more after what it works on."""
        return self._outstanding - len(self._outbox) >= 2 * self._dispatcher.slots

    async def _write(self) -> None:
        while not self._broken and (self._outstanding or not self._ended):
            await self._wake.wait()
            self._wake.clear()
            if not self._outbox:
                continue
            response = self._packed()
            if self._outbox:
                self._wake.set()
            await self._context.write(response)
            self._outstanding -= len(response.outcomes)
            self._slack.set()

    def _packed(self) -> pb.ExecuteStreamResponse:
        """What is in the outbox at this moment, as far as one message goes."""
        response = pb.ExecuteStreamResponse()
        size_bytes = 0
        while self._outbox and len(response.outcomes) < _TOGETHER and size_bytes < _TOGETHER_BYTES:
            outcome = outcome_message(*self._outbox.popleft())
            size_bytes += outcome.ByteSize()
            response.outcomes.append(outcome)
        return response
