"""One ExecuteStream call: reads while it may, writes whatever is done.

Two coroutines, whatever the number of executions. What is outstanding, taken
but not yet written back, is bounded: a client that sends without reading is
read no further, and costs others nothing but what it had taken up by then.
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

from sandbox_server.convert import ID_BYTES, error_message, result_message
from sandbox_server.dispatcher import Dispatcher, Job, Outcome
from sandbox_server.errors import RequestError, unavailable
from sandbox_server.evidence import Result
from sandbox_server.undecodable import Undecodable

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
MakeJob: TypeAlias = Callable[[pb.Execution, Callable[[Outcome], None]], Job]

#: Executions of one stream that may be outstanding: for each slot one that runs and three to
#: follow it, which is enough that no slot waits for the client.
_PER_SLOT = 4
_LEAST_SHARE = 16


class ExecutionStream:
    """The two sides of one call."""

    def __init__(self, make_job: MakeJob, dispatcher: Dispatcher, context: Context) -> None:
        self._make_job = make_job
        self._dispatcher = dispatcher
        self._context = context
        self._share = max(_LEAST_SHARE, _PER_SLOT * dispatcher.slots)
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
            RequestError: an item was not of the protocol, or the server stops.
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
            while self._outstanding >= self._share:
                self._slack.clear()
                await self._slack.wait()
            request = await self._context.read()
            if request is grpc.aio.EOF:
                return
            if isinstance(request, Undecodable):
                raise request.error
            await self._take(request.execution)

    async def _take(self, execution: pb.Execution) -> None:
        name = execution.id
        self._outstanding += 1
        try:
            if name in self._jobs:
                raise RequestError(
                    StatusCode.INVALID_ARGUMENT,
                    f"execution.id={name!r} is in flight on this stream already",
                )
            job = self._make_job(execution, partial(self._finished, name))
        except RequestError as e:
            self._answer(name[:ID_BYTES], e)
            return
        self._jobs[name] = job
        try:
            await self._dispatcher.admit(job)
        except RequestError as e:
            self._finished(name, e)

    def _finished(self, name: str, outcome: Outcome) -> None:
        del self._jobs[name]
        self._answer(name, outcome)

    def _answer(self, name: str, outcome: Outcome) -> None:
        self._outbox.append((name, outcome))
        self._wake.set()

    async def _write(self) -> None:
        while not self._broken and (self._outstanding or not self._ended):
            if not self._outbox:
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._context.write(_response(*self._outbox.popleft()))
            self._outstanding -= 1
            self._slack.set()


def _response(name: str, outcome: Outcome) -> pb.ExecuteStreamResponse:
    if isinstance(outcome, Result):
        return pb.ExecuteStreamResponse(id=name, result=result_message(name, outcome))
    if isinstance(outcome, RequestError):
        return pb.ExecuteStreamResponse(id=name, error=error_message(outcome))
    raise TypeError(f"an execution was answered with {type(outcome).__name__}")
