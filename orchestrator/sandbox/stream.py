"""One ExecuteStream call as its client sees it: two tasks of an event loop that tell of events."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import grpc

from orchestrator.domain import Execution
from orchestrator.sandbox.convert import StreamRequest, StreamResponse, Stub


@dataclass(eq=False, slots=True)
class Item:
    """An execution that is not answered yet. losses: times a server or worker lost it."""

    execution: Execution
    request: StreamRequest
    losses: int = 0
    failed_at: float | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """The server has accepted the stream."""

    stream: Stream


@dataclass(frozen=True, slots=True)
class Answered:
    """The server has answered one item."""

    stream: Stream
    response: StreamResponse


@dataclass(frozen=True, slots=True)
class Ended:
    """The stream is over; error is None where both sides had finished, or where we gave it up."""

    stream: Stream
    error: grpc.RpcError | None


Event: TypeAlias = Opened | Answered | Ended
Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]


@dataclass(eq=False)
class Stream:
    """An open call. Its tasks go on while `loop` runs; `tell` is called there.

    up: whether the server has accepted it.
    mute_for_s: given up, for its server has said nothing for so long.
    """

    stub: Stub
    metadata: Metadata
    loop: asyncio.AbstractEventLoop
    tell: Callable[[Event], None]
    outstanding: dict[str, Item] = field(default_factory=dict)
    up: bool = False
    mute_for_s: float | None = None

    def __post_init__(self) -> None:
        self.began_at = self.heard_at = time.monotonic()
        self._requests: deque[StreamRequest] = deque()
        self._more = asyncio.Event()
        self._finished = False
        self.task = self.loop.create_task(self._serve())

    def send(self, item: Item) -> None:
        """Asks for one execution."""
        if not self.outstanding:
            self.heard_at = time.monotonic()  # until now there was nothing to say
        self.outstanding[item.request.execution.id] = item
        self._requests.append(item.request)
        self._more.set()

    def finish(self) -> None:
        """Sends no more; the stream ends when everything outstanding is answered."""
        self._finished = True
        self._more.set()

    def cancel(self) -> None:
        """Gives up what is outstanding; the server kills it."""
        self.task.cancel()

    def give_up(self, mute_for_s: float) -> None:
        """Ends it as one whose server is mute."""
        self.mute_for_s = mute_for_s
        self.cancel()

    async def _serve(self) -> None:
        call = self.stub.ExecuteStream(metadata=self.metadata)
        writer = asyncio.create_task(self._write(call))
        error: grpc.RpcError | None = None
        try:
            await self._read(call)
        except grpc.RpcError as e:
            error = e
        except asyncio.CancelledError:
            call.cancel()
        finally:
            writer.cancel()
            self.tell(Ended(self, error))

    async def _read(self, call: Call) -> None:
        await call.initial_metadata()
        # A call that nobody has taken has metadata too, empty, and ends with it.
        if not call.done():
            self.tell(Opened(self))
        async for response in call:
            self.tell(Answered(self, response))

    async def _write(self, call: Call) -> None:
        try:
            while True:
                while self._requests:
                    await call.write(self._requests.popleft())
                if self._finished:
                    await call.done_writing()
                    return
                self._more.clear()
                await self._more.wait()
        except (grpc.RpcError, asyncio.InvalidStateError):
            return  # the call is over; who reads is told why


Call: TypeAlias = "grpc.aio.StreamStreamCall[StreamRequest, StreamResponse]"


def status_of(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    """Status and explanation of a failed call."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return grpc.StatusCode.UNKNOWN, str(error)
    return error.code(), str(error.details())
