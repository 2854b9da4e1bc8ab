"""One ExecuteStream call as its client sees it: two threads that feed a queue of events."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import TypeAlias

import grpc

from orchestrator.domain import Execution
from orchestrator.sandbox.convert import StreamRequest, StreamResponse, Stub, stream_request

#: What one message may hold, unless a single execution is larger.
_TOGETHER = 256
_CHARACTERS = 256 << 10


@dataclass(eq=False, slots=True)
class Item:
    """An execution that is not answered yet.

    name: on the wire.
    losses: times a server or worker lost it.
    """

    name: str
    execution: Execution
    losses: int = 0
    failed_at: float | None = None


@dataclass(frozen=True)
class Opened:
    """The server has accepted the stream."""

    stream: Stream


@dataclass(frozen=True)
class Answered:
    """The server has answered some items."""

    stream: Stream
    response: StreamResponse


@dataclass(frozen=True)
class Ended:
    """The stream is over; error is None where both sides had finished."""

    stream: Stream
    error: grpc.RpcError | None


Event: TypeAlias = Opened | Answered | Ended
Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]


@dataclass(eq=False)
class Stream:
    """An open call. Everything but the two threads' work happens in the caller's thread."""

    stub: Stub
    metadata: Metadata
    events: SimpleQueue[Event]
    outstanding: dict[str, Item] = field(default_factory=dict)
    up: bool = False
    mute_for_s: float | None = None  # given up, for its server has said nothing for so long

    def __post_init__(self) -> None:
        self.began_at = self.heard_at = time.monotonic()
        self._unsent: list[Item] = []
        self._requests: SimpleQueue[StreamRequest | None] = SimpleQueue()
        self._call = self.stub.ExecuteStream(self._sent(), metadata=self.metadata)
        threading.Thread(target=self._read, name="plum-sandbox-stream", daemon=True).start()

    def take(self, item: Item) -> None:
        """Makes one execution outstanding; `send` asks for it."""
        if not self.outstanding:
            self.heard_at = time.monotonic()  # until now there was nothing to say
        self.outstanding[item.name] = item
        self._unsent.append(item)

    def send(self) -> None:
        """Asks for what was taken, in as few messages as may be."""
        message: list[tuple[str, Execution]] = []
        characters = 0
        for item in self._unsent:
            size = len(item.execution.solution) + len(item.execution.test)
            if message and (len(message) == _TOGETHER or characters + size > _CHARACTERS):
                self._requests.put(stream_request(message))
                message, characters = [], 0
            message.append((item.name, item.execution))
            characters += size
        if message:
            self._requests.put(stream_request(message))
        self._unsent.clear()

    def finish(self) -> None:
        """Sends no more; the stream ends when everything outstanding is answered."""
        self._requests.put(None)

    def cancel(self) -> None:
        """Gives up what is outstanding; the server kills it."""
        self._call.cancel()
        self._requests.put(None)  # or grpc's thread would wait for requests for ever

    def give_up(self, mute_for_s: float) -> None:
        """Ends it as one whose server is mute."""
        self.mute_for_s = mute_for_s
        self.cancel()

    def _sent(self) -> Iterator[StreamRequest]:
        while (request := self._requests.get()) is not None:
            yield request

    def _read(self) -> None:
        error: grpc.RpcError | None = None
        try:
            self._call.initial_metadata()
            # A call that nobody has taken has metadata too, empty, and ends with it.
            if self._call.is_active():
                self.events.put(Opened(self))
            for response in self._call:
                self.events.put(Answered(self, response))
        except grpc.RpcError as e:
            error = e
        self._requests.put(None)
        self.events.put(Ended(self, error))


def status_of(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    """Status and explanation of a failed call."""
    # Every error of a call is also a grpc.Call, which the type of the exception does not say.
    if not hasattr(error, "code"):
        return grpc.StatusCode.UNKNOWN, str(error)
    return error.code(), str(error.details())
