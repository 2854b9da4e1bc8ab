"""Many executions over a few streams: each is answered once, whatever happens to servers.

All bookkeeping runs in the caller's thread, which also pulls the input: nothing
here needs a lock, and an input that is tied to its thread (a database cursor) works.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from queue import Empty, SimpleQueue
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

#: New executions are taken when a server has answered a fourth of its part, so that one message
#: can ask for several; it has the rest to go on with.
_REFILLED_IN = 4

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

    in_flight: executions that are on their way at one time.
    retry_s: how long an execution is tried again, and how long no server at all may be there.
    """

    def __init__(
        self, lanes: Sequence[Lane], metadata: Metadata, in_flight: int, retry_s: float
    ) -> None:
        self._lanes = [_LaneState(lane) for lane in lanes]
        self._metadata = metadata
        self._in_flight = in_flight
        self._per_lane = -(-in_flight // len(lanes))
        self._retry_s = retry_s
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._retired: set[Stream] = set()
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
                room = self._in_flight - unanswered if self._wants_more() else 0
                for execution in itertools.islice(source, room):
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
            for stream in self._streams():
                stream.cancel()

    def _streams(self) -> list[Stream]:
        return [state.stream for state in self._lanes if state.stream] + list(self._retired)

    def _wants_more(self) -> bool:
        """Whether some server has room for several, whatever the others do."""
        enough = self._per_lane - self._per_lane // _REFILLED_IN
        return any(
            state.stream is None or len(state.stream.outstanding) < enough for state in self._lanes
        )

    def _accept(self, execution: Execution) -> None:
        try:
            convert.check_execution(execution)
        except ValueError as e:
            self._fail(execution, StatusCode.INVALID_ARGUMENT, str(e))
        else:
            self._longest_wall_s = max(self._longest_wall_s, execution.limits.wall_time_s or 0.0)
            # A name of our own: the caller's may repeat, or be longer than the wire allows.
            self._pending.append(Item(str(next(self._names)), execution))

    def _fail(self, execution: Execution, code: StatusCode, message: str) -> None:
        self._done.append(ExecutionError(execution.id, code.name, message))

    def _assign(self) -> None:
        """Opens the streams that are needed and hands pending items to the least loaded."""
        if not self._pending:
            return
        now = time.monotonic()
        if self._down_since is None and not any(stream.up for stream in self._streams()):
            self._down_since = now
        ready: list[Stream] = []
        for state in self._lanes:
            stream = state.stream
            if stream is not None and state.lane.replicated and _is_old(stream, now):
                stream.finish()
                self._retired.add(stream)
                stream = state.stream = None
            if stream is None and now >= state.retry_at:
                stream = state.stream = Stream(state.lane.stub, self._metadata, self._events)
            if stream is not None:
                ready.append(stream)
        if ready:
            self._share_out(ready)

    def _share_out(self, streams: Sequence[Stream]) -> None:
        """Gives pending items to `streams`: those of one candidate that follow one another
        together, and each such group to the least loaded."""
        while self._pending:
            stream = max(streams, key=self._room)
            room = self._room(stream)
            if room <= 0:
                break
            solution = self._pending[0].execution.solution
            while room and self._pending and self._pending[0].execution.solution == solution:
                stream.take(self._pending.popleft())
                room -= 1
        for stream in streams:
            stream.send()

    def _room(self, stream: Stream) -> int:
        """How many more items `stream` may get. One is the most until its server has spoken."""
        return (self._per_lane if stream.up else 1) - len(stream.outstanding)

    def _wait(self) -> None:
        """Waits for events, or until something has to be done without one."""
        try:
            event = self._events.get(timeout=self._next_timeout())
            self._handle(event)
            while True:
                self._handle(self._events.get_nowait())
        except Empty:
            pass
        self._give_up_mute()
        if self._delayed or self._down_since is not None:
            self._look_at_clock()

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
            due += [state.retry_at for state in self._lanes if state.stream is None]
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
        for outcome in event.response.outcomes:
            item = event.stream.outstanding.pop(outcome.id, None)
            if item is None:
                continue  # an answer to nothing we asked decides nothing
            for state in self._lanes:
                if state.stream is event.stream:
                    state.delay_s = _BACK_OFF_S[0]
            self._settle(item, outcome)

    def _settle(self, item: Item, outcome: convert.WireOutcome) -> None:
        name = item.execution.id
        if outcome.WhichOneof("outcome") == "result":
            try:
                self._done.append(convert.execution_result(name, outcome.result))
            except ValueError as e:
                self._fail(item.execution, StatusCode.INTERNAL, str(e))
            return
        code, message, delay_s = convert.error_of(outcome.error)
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
        self._retired.discard(stream)
        code = None
        if error is not None:
            code, details = status_of(error)
            if stream.mute_for_s is not None:
                code, details = StatusCode.UNAVAILABLE, f"silent for {stream.mute_for_s:.0f} s"
            self._last_error = f"{code.name}: {details}"
        for state in self._lanes:
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
