"""Admission and dispatch: a bounded queue, fair between clients, in front of the slots.

Jobs wait in lanes, one per language and client; each language's lanes take turns,
and so do the languages. Where a worker compiles a candidate once for several suites, those
that follow one another in a lane are given to it together, for one slot. Waiting counts
against nobody's limits. Everything here
runs on the event loop's thread and nothing of it awaits but `admit`.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from grpc import StatusCode

from sandbox_server.errors import RequestError, not_served, unavailable
from sandbox_server.evidence import Checked, Result
from sandbox_server.link import Answer, Failed, Lost, WorkerLink
from sandbox_server.metrics import Metrics
from sandbox_server.worker.protocol import ProtocolError

#: Times a job is carried out again after its worker was lost or failed it.
_MORE_TRIES = 2
#: Sources that may wait in the queue, all jobs together; one job more than fits is let in
#: when the queue is empty.
_QUEUE_BYTES = 256 << 20
#: Sources of those who wait for room, all streams together: each could hold a message's.
_WAITING_BYTES = 256 << 20
#: Sources of jobs that go to a worker together, unless a single one has more.
_TOGETHER_BYTES = 16 << 20
_RETRY_DELAY_S = (0.1, 30.0)
_SMOOTHING = 0.05

Outcome = Result | tuple[Checked, ...] | RequestError


@dataclass(eq=False, slots=True)
class Job:
    """One request on its way to a worker and back.

    request: the protocol's message, without `seq`.
    size_bytes: of its sources.
    finished: called once with the outcome, unless the job is cancelled.
    """

    language: str
    client: str
    request: dict[str, Any]
    size_bytes: int
    finished: Callable[[Outcome], None]
    tries: int = 0
    link: WorkerLink | None = None
    seq: int = 0
    place: int = 0
    cancelled: bool = False
    queued_at: float = 0.0
    started_at: float = 0.0


_Lane = OrderedDict[Job, None]


class Dispatcher:
    """Hands jobs to workers.

    slots: jobs that run at one time, over all languages; those that go together are one.
    capacity: jobs that may wait.
    """

    def __init__(self, slots: int, capacity: int, metrics: Metrics) -> None:
        self.slots = slots
        self.capacity = capacity
        self._metrics = metrics
        self._lanes: OrderedDict[str, OrderedDict[str, _Lane]] = OrderedDict()
        self._links: dict[str, WorkerLink] = {}
        self._queued = 0
        self._queued_bytes = 0
        self._running = 0
        self._room: deque[tuple[asyncio.Future[None], Job]] = deque()
        self._held_bytes = 0
        self._usual_s = 0.05
        self._pump_is_due = False
        metrics.watch(lambda: self._queued, lambda: self._running)

    @property
    def most_together(self) -> int:
        """How many jobs any worker is given together for one slot."""
        return max((link.ready.tests for link in self._links.values()), default=1)

    def add(self, language: str) -> None:
        """Serves `language` from now on; its jobs wait for a worker."""
        self._lanes[language] = OrderedDict()

    def remove(self, language: str) -> None:
        """Serves `language` no longer. It has no worker; what waits for one is told so."""
        self.detach(language)
        lost = [job for lane in self._lanes.pop(language).values() for job in lane]
        for job in lost:
            self._leave_queue(job)
        waiting = [(turn, job) for turn, job in self._room if job.language == language]
        for turn, job in waiting:
            if not turn.done():
                turn.set_result(None)
                lost.append(job)
                self._room.remove((turn, job))
        for job in lost:
            job.finished(unavailable(f"the worker of {language} has gone"))
        self._let_in()
        self._pump()

    def attach(self, language: str, link: WorkerLink) -> None:
        """From now on `link` does the work of `language`."""
        self._links[language] = link
        self._pump()

    def detach(self, language: str) -> None:
        """The worker of `language` is gone; its jobs wait for the next."""
        self._links.pop(language, None)

    def submit(self, job: Job) -> None:
        """Queues `job`, or runs it at once.

        Raises:
            RequestError: NOT_FOUND for a language that is not served, RESOURCE_EXHAUSTED for a
                full queue.
        """
        self._require_served(job.language)
        if self._pump_is_due:
            self._pump()
        if self._room or not self._fits(job):
            raise self._full(job, f"{self._queued} wait and the bound is {self.capacity}")
        self._enqueue(job)
        self._pump()

    async def admit(self, job: Job) -> None:
        """Queues `job` as soon as there is room, in the order of asking.

        Raises:
            RequestError: NOT_FOUND for a language that is not served, RESOURCE_EXHAUSTED where
                those who wait for room hold too much already.
        """
        self._require_served(job.language)
        if self._room or not self._fits(job):
            self._require_waiting(job, job.size_bytes)
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._room.append((turn, job))
            try:
                await turn  # resolved by _let_in, which has queued the job then
            except asyncio.CancelledError:
                if turn.cancelled():
                    self._room.remove((turn, job))
                else:
                    self.cancel(job)
                raise
            return
        self._enqueue(job)
        if not self._pump_is_due:
            # Only when all of a message are here is it known what goes together.
            self._pump_is_due = True
            asyncio.get_running_loop().call_soon(self._pump)

    def hold(self, jobs: Sequence[Job]) -> None:
        """Counts jobs that a stream keeps for later among those that wait for room.

        Raises:
            RequestError: RESOURCE_EXHAUSTED where those hold too much already.
        """
        if jobs:
            size_bytes = sum(job.size_bytes for job in jobs)
            self._require_waiting(jobs[0], size_bytes)
            self._held_bytes += size_bytes

    def let_go(self, jobs: Sequence[Job]) -> None:
        """The stream keeps these jobs no longer."""
        self._held_bytes -= sum(job.size_bytes for job in jobs)

    def cancel(self, job: Job) -> None:
        """Forgets `job`: nothing more is heard of it. Where it runs already, it is killed."""
        if job.cancelled:
            return
        job.cancelled = True
        if job.link is not None:
            job.link.cancel(job.seq, job.place)
            return
        lanes = self._lanes.get(job.language, OrderedDict())
        lane = lanes.get(job.client)
        if lane is not None and job in lane:
            del lane[job]
            if not lane:
                del lanes[job.client]
            self._leave_queue(job)
            self._let_in()
            self._pump()

    def _full(self, job: Job, why: str) -> RequestError:
        self._metrics.error(job.language, StatusCode.RESOURCE_EXHAUSTED.name)
        message = f"the queue is full: {why}"
        return RequestError(StatusCode.RESOURCE_EXHAUSTED, message, self._retry_delay_s())

    def _require_waiting(self, job: Job, size_bytes: int) -> None:
        waiting = self._held_bytes + sum(other.size_bytes for _, other in self._room)
        if waiting + size_bytes > _WAITING_BYTES:
            raise self._full(
                job, f"{waiting} bytes wait for room and the bound is {_WAITING_BYTES}"
            )

    def _require_served(self, language: str) -> None:
        if language not in self._lanes:
            raise not_served(language, self._lanes)

    def _fits(self, job: Job) -> bool:
        if self._queued >= self.capacity:
            return False
        return self._queued == 0 or self._queued_bytes + job.size_bytes <= _QUEUE_BYTES

    def _enqueue(self, job: Job) -> None:
        job.queued_at = time.monotonic()
        self._queued += 1
        self._queued_bytes += job.size_bytes
        lanes = self._lanes[job.language]
        lane = lanes.get(job.client)
        if lane is None:
            lane = lanes[job.client] = OrderedDict()
        lane[job] = None

    def _leave_queue(self, job: Job) -> None:
        self._queued -= 1
        self._queued_bytes -= job.size_bytes

    def _let_in(self) -> None:
        """Queues those who wait for room, as far as there is room."""
        while self._room:
            turn, job = self._room[0]
            if not turn.done():  # cancelled, and about to leave by itself
                if not self._fits(job):
                    return
                turn.set_result(None)
                self._enqueue(job)
            self._room.popleft()

    def _pump(self) -> None:
        """Starts jobs while slots are free, one language and one client after the other."""
        self._pump_is_due = False
        idle = 0
        while self._running < self.slots and idle < len(self._lanes):
            language, lanes = next(iter(self._lanes.items()))
            self._lanes.move_to_end(language)
            link = self._links.get(language)
            if not lanes or link is None or not link.has_room:
                idle += 1
                continue
            idle = 0
            client, lane = lanes.popitem(last=False)
            jobs = _first_together(lane, link.ready.tests)
            if lane:
                lanes[client] = lane
            for job in jobs:
                self._leave_queue(job)
            self._start(jobs, link)
            self._let_in()

    def _start(self, jobs: Sequence[Job], link: WorkerLink) -> None:
        request = jobs[0].request
        if len(jobs) > 1:
            request = request | {"tests": [test for job in jobs for test in job.request["tests"]]}
        try:
            seq = link.send(request, lambda place, answer: self._answered(jobs, place, answer))
        except ProtocolError as e:
            for job in jobs:
                job.finished(
                    RequestError(StatusCode.INVALID_ARGUMENT, f"request is too large: {e}")
                )
            return
        now = time.monotonic()
        for place, job in enumerate(jobs):
            job.link, job.seq, job.place = link, seq, place
            job.started_at = now
            job.tries += 1
        self._running += 1

    def _answered(self, jobs: Sequence[Job], place: int, answer: Answer) -> None:
        job = jobs[place]
        last = place + 1 == len(jobs)
        if last:
            self._running -= 1
        job.link = None
        now = time.monotonic()
        if not last:
            jobs[place + 1].started_at = now
        if not job.cancelled:
            self._metrics.timed(job.started_at - job.queued_at, now - job.started_at)
            self._usual_s += _SMOOTHING * (now - job.started_at - self._usual_s)
            self._settle(job, answer)
        self._pump()

    def _settle(self, job: Job, answer: Answer) -> None:
        match answer:
            case Result():
                self._metrics.verdict(job.language, answer.verdict)
                job.finished(answer)
            case tuple():
                job.finished(answer)
            case Failed() | Lost():
                if job.tries <= _MORE_TRIES:
                    self._put_back(job)
                    return
                self._metrics.error(job.language, StatusCode.UNAVAILABLE.name)
                job.finished(unavailable(f"given up after {job.tries} tries: {answer.message}"))
            case _:
                assert_never(answer)

    def _put_back(self, job: Job) -> None:
        """Queues a job again, before the others of its client and without asking for room."""
        self._queued += 1
        self._queued_bytes += job.size_bytes
        lanes = self._lanes[job.language]
        lane = lanes.setdefault(job.client, OrderedDict())
        lane[job] = None
        lane.move_to_end(job, last=False)
        lanes.move_to_end(job.client, last=False)

    def _retry_delay_s(self) -> float:
        """How long the queue will take, at the pace of late."""
        least, most = _RETRY_DELAY_S
        return min(most, max(least, self._queued * self._usual_s / self.slots))


def _first_together(lane: _Lane, most: int) -> list[Job]:
    """Takes the first job out of `lane`, and those right behind it that go with it."""
    first, _ = lane.popitem(last=False)
    jobs, size_bytes = [first], first.size_bytes
    while len(jobs) < most and lane:
        other = next(iter(lane))
        size_bytes += other.size_bytes
        if size_bytes > _TOGETHER_BYTES or not _same_candidate(first, other):
            break
        del lane[other]
        jobs.append(other)
    return jobs


def _same_candidate(job: Job, other: Job) -> bool:
    one, two = job.request, other.request
    alike = one["op"] == two["op"] == "execute" and one["solution"] == two["solution"]
    alike = alike and one.get("hash_seed") == two.get("hash_seed")
    return bool(alike and one["limits"] == two["limits"])
