"""Many executions over a few streams: each is answered once, whatever happens to servers.

Everything runs in the caller's thread: the bookkeeping, which also pulls the input, and in
between, while there is nothing to do but wait, the event loop of the streams. So nothing here
needs a lock, an input that is tied to its thread (a database cursor) works, and no time goes
into handing a message from one thread to the other, which costs more than the message.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import math
import random
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import assert_never

from grpc import StatusCode

from orchestrator.domain import Execution, ExecutionError, ExecutionResult
from orchestrator.errors import SandboxError
from orchestrator.sandbox import convert
from orchestrator.sandbox.stream import (
    Answered,
    Ended,
    Event,
    Item,
    Metadata,
    Opened,
    Stream,
    status_of,
)

Outcome = ExecutionResult | ExecutionError

_BACK_OFF_S = (0.1, 5.0)
#: Times an execution may be lost before it is blamed itself.
_MOST_LOSSES = 10
#: A stream to a server that may have replicas is replaced after this long, so that new
#: replicas get their part.
_STREAM_AGE_S = 30.0

#: A server accepts a stream before it executes anything; one that has not after this long is
#: as good as none.
_OPENING_S = 10.0
#: A server that has executions and answers none of them for this long, and the longest wall
#: time limit that was asked for, is as good as none too.
_MUTE_S = 300.0

#: What a stream may end with that another try cannot mend.
_FATAL = frozenset(
    {
        StatusCode.UNAUTHENTICATED,
        StatusCode.PERMISSION_DENIED,
        StatusCode.UNIMPLEMENTED,
        StatusCode.INVALID_ARGUMENT,
    }
)
_RETRIED = frozenset({StatusCode.UNAVAILABLE, StatusCode.RESOURCE_EXHAUSTED, StatusCode.ABORTED})


@dataclass(frozen=True)
class Lane:
    """A place for one stream at a time. replicated: its address may stand for several servers."""

    stub: convert.Stub
    address: str
    replicated: bool


@dataclass(eq=False)
class _LaneState:
    lane: Lane
    stream: Stream | None = None
    retry_at: float = 0.0
    delay_s: float = _BACK_OFF_S[0]


class Batch:
    """One call of `execute_many`.

    loop: of the lanes' stubs; it runs while an outcome is waited for.
    in_flight: executions that are on their way at one time.
    retry_s: how long an execution is tried again, and how long no server at all may be there.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        lanes: Sequence[Lane],
        metadata: Metadata,
        *,
        in_flight: int,
        retry_s: float,
    ) -> None:
        self._loop = loop
        self._lanes = [_LaneState(lane) for lane in lanes]
        self._metadata = metadata
        self._in_flight = in_flight
        self._per_address = -(-in_flight // len({lane.address for lane in lanes}))
        self._retry_s = retry_s
        self._events: deque[Event] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._places: dict[Stream, _LaneState] = {}
        self._retired: set[Stream] = set()
        #: Addresses that took executions and then said nothing, until they answer again.
        self._doubted: set[str] = set()
        self._names = itertools.count()
        self._pending: deque[Item] = deque()
        self._delayed: list[tuple[float, int, Item]] = []
        self._done: deque[Outcome] = deque()
        #: Since when work waits and no stream is up.
        self._down_since: float | None = None
        self._last_error = "not connected yet"
        self._longest_wall_s = 0.0

    def outcomes(self, executions: Iterable[Execution | None]) -> Iterator[Outcome]:
        """The outcomes, in any order.

        executions: None says that there is nothing to do before another outcome is taken; where
            none is on its way, it is the end.

        Raises:
            SandboxError: a server refuses us altogether (no token, no such service).
        """
        source = iter(executions)
        unanswered = 0
        try:
            while True:
                for execution in itertools.islice(source, self._in_flight - unanswered):
                    if execution is None:
                        break
                    unanswered += 1
                    self._accept(execution)
                if not unanswered:
                    return
                self._assign()
                if not self._done:
                    self._wait()
                while self._done:
                    unanswered -= 1
                    yield self._done.popleft()
        finally:
            self._cancel()

    def _cancel(self) -> None:
        tasks = [stream.task for stream in self._streams()]
        if not tasks or self._loop.is_closed():
            return
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.wait(tasks))

    def _streams(self) -> list[Stream]:
        return [state.stream for state in self._lanes if state.stream] + list(self._retired)

    def _accept(self, execution: Execution) -> None:
        try:
            # Names of our own: the caller's may repeat, or be longer than the wire allows.
            request = convert.stream_request(str(next(self._names)), execution)
        except ValueError as e:
            self._fail(execution, StatusCode.INVALID_ARGUMENT, str(e))
        else:
            self._longest_wall_s = max(self._longest_wall_s, execution.limits.wall_time_s or 0.0)
            self._pending.append(Item(execution, request))

    def _fail(self, execution: Execution, code: StatusCode, message: str) -> None:
        self._done.append(ExecutionError(execution.id, code.name, message))

    def _assign(self) -> None:
        """Opens the streams that are needed and hands pending items to the least loaded."""
        if not self._pending:
            return
        now = time.monotonic()
        if self._down_since is None and not any(stream.up for stream in self._streams()):
            self._down_since = now
        self._open_streams(now)
        up = self._streams_up()
        # An item goes along with an address' first stream, for a server may say nothing before
        # it has one: but only what those that are up have no room for. A further stream gets
        # none before it is up, as a server may accept fewer than there are.
        streams = [state.stream for state in self._lanes if state.stream]
        tried = {s: 1 - len(s.outstanding) for s in streams if not up[self._address(s)]}
        tried |= self._probes(streams)
        shares = {address: -(-self._per_address // max(1, n)) for address, n in up.items()}
        fit = {
            s: shares[self._address(s)] - len(s.outstanding)
            for s in streams
            if s.up and self._address(s) not in self._doubted
        }
        for room in (fit, tried):
            while self._pending and room:
                stream = max(room, key=room.__getitem__)
                if room[stream] <= 0:
                    break
                room[stream] -= 1
                stream.send(self._pending.popleft())

    def _probes(self, streams: Sequence[Stream]) -> dict[Stream, int]:
        """Where a doubted address gets one execution at a time, to show whether it answers now."""
        probes: dict[Stream, int] = {}
        for address in self._doubted:
            there = [s for s in streams if self._address(s) == address]
            if not any(s.outstanding for s in there):
                probes |= dict.fromkeys([s for s in there if s.up][:1], 1)
        return probes

    def _address(self, stream: Stream) -> str:
        return self._places[stream].lane.address

    def _open_streams(self, now: float) -> None:
        """Opens what is due, and lets streams end that are old."""
        up = self._streams_up()
        for state in self._lanes:
            stream, address = state.stream, state.lane.address
            if stream is not None and state.lane.replicated and _is_old(stream, now):
                stream.finish()
                self._retired.add(stream)
                stream = state.stream = None
            if stream is None and now >= state.retry_at and up.get(address, 1):
                stream = state.stream = Stream(
                    state.lane.stub, self._metadata, self._loop, self._tell
                )
                self._places[stream] = state
                up.setdefault(address, 0)

    def _streams_up(self) -> dict[str, int]:
        """How many streams are up at each address that has any, up or not.

        At 0 it gets no other: the first one shows whether a server is there.
        """
        up: dict[str, int] = {}
        for state in self._lanes:
            if state.stream is not None:
                up[state.lane.address] = up.get(state.lane.address, 0) + state.stream.up
        return up

    def _wait(self) -> None:
        """Waits for events, or until something has to be done without one."""
        if not self._events:  # the loop may have run for another call of the client
            self._run_until_told(self._next_timeout())
        while self._events:
            self._handle(self._events.popleft())
        self._give_up_mute()
        if self._delayed or self._down_since is not None:
            self._look_at_clock()

    def _run_until_told(self, timeout_s: float | None) -> None:
        waiter = self._waiter = self._loop.create_future()
        timer = None if timeout_s is None else self._loop.call_later(timeout_s, self._wake)
        self._loop.run_until_complete(waiter)
        if timer is not None:
            timer.cancel()

    def _tell(self, event: Event) -> None:
        self._events.append(event)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _handle(self, event: Event) -> None:
        match event:
            case Opened():
                event.stream.up = True
                event.stream.heard_at = time.monotonic()
                self._down_since = None
            case Answered():
                event.stream.heard_at = time.monotonic()
                self._answered(event)
            case Ended():
                self._ended(event)
            case _:
                assert_never(event)

    def _give_up_mute(self) -> None:
        """Ends the streams whose servers say nothing; what was sent is sent again."""
        now = time.monotonic()
        for stream in self._streams():
            if now >= self._mute_at(stream):
                stream.give_up(now - stream.heard_at)

    def _mute_at(self, stream: Stream) -> float:
        """When `stream` counts as mute, if nothing is heard until then."""
        if stream.mute_for_s is not None:
            return math.inf  # it is being given up
        if not stream.up:
            return stream.began_at + _OPENING_S
        return stream.heard_at + _MUTE_S + self._longest_wall_s if stream.outstanding else math.inf

    def _next_timeout(self) -> float | None:
        due = [self._delayed[0][0]] if self._delayed else []
        due += [self._mute_at(stream) for stream in self._streams()]
        if self._pending:
            up = self._streams_up()
            due += [
                state.retry_at
                for state in self._lanes
                if state.stream is None and up.get(state.lane.address, 1)
            ]
        if self._down_since is not None and not self._connecting():
            due.append(self._down_since + self._retry_s)
        soonest = min(due, default=math.inf)
        return None if soonest == math.inf else max(0.0, soonest - time.monotonic())

    def _connecting(self) -> bool:
        return any(state.stream is not None for state in self._lanes)

    def _look_at_clock(self) -> None:
        now = time.monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            self._pending.append(heapq.heappop(self._delayed)[2])
        if self._down_since is None or now - self._down_since < self._retry_s:
            return
        if self._connecting() and now - self._down_since < self._retry_s + _OPENING_S:
            return  # soon it is known whether somebody is there
        # Nobody is there, and has not been for long: whatever comes fails at once until
        # somebody is there again.
        waiting = [*self._pending, *(item for _, _, item in self._delayed)]
        self._pending.clear()
        self._delayed.clear()
        message = f"no sandbox answered for {self._retry_s:.0f} s: {self._last_error}"
        for item in waiting:
            self._fail(item.execution, StatusCode.UNAVAILABLE, message)

    def _answered(self, event: Answered) -> None:
        response = event.response
        item = event.stream.outstanding.pop(response.id, None)
        if item is None:
            return  # an answer to nothing we asked decides nothing
        self._places[event.stream].delay_s = _BACK_OFF_S[0]
        self._doubted.discard(self._address(event.stream))
        name = item.execution.id
        if response.WhichOneof("outcome") == "result":
            try:
                self._done.append(convert.execution_result(name, response.result))
            except ValueError as e:
                self._fail(item.execution, StatusCode.INTERNAL, str(e))
            return
        code, message, delay_s = convert.error_of(response.error)
        if code not in _RETRIED:
            self._fail(item.execution, code, message)
            return
        if code is not StatusCode.RESOURCE_EXHAUSTED:
            item.losses += 1
        self._retry(item, code, message, max(delay_s, _jittered(_BACK_OFF_S[0])))

    def _retry(self, item: Item, code: StatusCode, message: str, delay_s: float) -> None:
        now = time.monotonic()
        if item.failed_at is None:
            item.failed_at = now
        if item.losses > _MOST_LOSSES or now + delay_s - item.failed_at > self._retry_s:
            self._fail(item.execution, code, message)
            return
        heapq.heappush(self._delayed, (now + delay_s, next(self._names), item))

    def _ended(self, event: Ended) -> None:
        stream, error = event.stream, event.error
        stream.task.result()  # nothing, or a defect of ours, which must not look like a lost server
        state = self._places.pop(stream)
        self._retired.discard(stream)
        code = None
        if stream.mute_for_s is not None:
            self._last_error = f"UNAVAILABLE: silent for {stream.mute_for_s:.0f} s"
            if stream.up:
                self._doubted.add(state.lane.address)
        elif error is not None:
            code, details = status_of(error)
            self._last_error = f"{code.name}: {details}"
        if state.stream is stream:
            if code in _FATAL:
                raise SandboxError(f"sandbox {state.lane.address}: {self._last_error}")
            state.stream = None
            state.retry_at = time.monotonic() + _jittered(state.delay_s)
            state.delay_s = min(_BACK_OFF_S[1], 2 * state.delay_s)
        for item in stream.outstanding.values():
            item.losses += stream.up  # a server that was not there has lost nothing
            if item.losses > _MOST_LOSSES:
                self._fail(item.execution, StatusCode.UNAVAILABLE, self._last_error)
            else:
                self._pending.append(item)
        stream.outstanding.clear()


def _is_old(stream: Stream, now: float) -> bool:
    return stream.up and now - stream.began_at > _STREAM_AGE_S


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)
