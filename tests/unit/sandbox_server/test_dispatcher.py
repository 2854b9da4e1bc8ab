"""Executions of one candidate go to a worker together, and each still has an outcome of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from sandbox_server.dispatcher import Dispatcher, Job, Outcome
from sandbox_server.errors import RequestError
from sandbox_server.evidence import Result
from sandbox_server.link import WorkerLink
from sandbox_server.metrics import Metrics
from sandbox_server.worker import protocol
from tests.integration.scripted_worker import LIMITS, result

_DEADLINE_S = 60


class Peer:
    """The worker's end of a line: what came, and what is answered."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._frames = protocol.Frames()
        self._come: list[dict[str, Any]] = []

    async def say(self, **message: Any) -> None:
        data = protocol.encode(message)
        await asyncio.get_running_loop().sock_sendall(self._connection, data)

    async def ready(self, slots: int, tests: int) -> None:
        layers = [{"name": "none", "in_force": False, "detail": "runs nothing"}]
        limits = vars(LIMITS)
        said = {"language": "toy", "version": "1", "default_limits": limits, "isolation": layers}
        await self.say(op="ready", slots=slots, tests=tests, **said)

    async def next(self) -> dict[str, Any]:
        while not self._come:
            data = await asyncio.get_running_loop().sock_recv(self._connection, 1 << 16)
            assert data
            self._come += map(protocol.decode, self._frames.cut(data))
        return self._come.pop(0)

    async def passes(self, request: dict[str, Any]) -> None:
        """Answers each test with a pass that shows which it was."""
        for test in request["tests"]:
            await self.say(op="result", seq=request["seq"], result=result(stdout=test))

    def close(self) -> None:
        self._connection.close()


async def line(slots: int, tests: int) -> tuple[WorkerLink, Peer]:
    """A worker that is ready, and its end of the line."""
    ours, theirs = socket.socketpair()
    peer = Peer(theirs)

    async def release() -> None:
        peer.close()

    opened, _ = await asyncio.gather(WorkerLink.open(ours, release), peer.ready(slots, tests))
    return opened, peer


class Client:
    """Jobs, and what came of each."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.outcomes: dict[str, Outcome] = {}
        self._news = asyncio.Event()

    async def send(
        self, pairs: Sequence[tuple[str, str]], hash_seed: int = 0, **limits: Any
    ) -> list[Job]:
        """Asks for each solution with each suite, as a stream does for one message."""
        jobs = []
        for solution, test in pairs:
            request = {
                "op": "execute",
                "solution": solution,
                "tests": [test],
                "limits": vars(LIMITS) | limits,
                **({"hash_seed": hash_seed} if hash_seed else {}),
            }
            job = Job("toy", "me", request, 2, partial(self._note, f"{solution}{test}"))
            await self._dispatcher.admit(job)
            jobs.append(job)
        return jobs

    def _note(self, name: str, outcome: Outcome) -> None:
        assert name not in self.outcomes
        self.outcomes[name] = outcome
        self._news.set()

    async def all_of(self, count: int) -> dict[str, str]:
        """What was printed in each execution, when there are so many outcomes."""
        while len(self.outcomes) < count:
            self._news.clear()
            await self._news.wait()
        return {
            name: outcome.stdout.decode() if isinstance(outcome, Result) else str(outcome)
            for name, outcome in self.outcomes.items()
        }


def serve(
    scenario: Callable[[Dispatcher, Client, Peer, WorkerLink], Awaitable[None]],
    *,
    slots: int = 1,
    tests: int = 4,
) -> None:
    async def run() -> None:
        dispatcher = Dispatcher(slots, 100, Metrics())
        link, peer = await line(slots, tests)
        dispatcher.add("toy")
        dispatcher.attach("toy", link)
        try:
            async with asyncio.timeout(_DEADLINE_S):
                await scenario(dispatcher, Client(dispatcher), peer, link)
        finally:
            await link.close()

    asyncio.run(run())


def test_those_of_one_candidate_under_other_hash_seeds_go_apart() -> None:
    async def scenario(_: Dispatcher, client: Client, peer: Peer, __: WorkerLink) -> None:
        await client.send([("busy", "0")])
        seen = [await peer.next()]
        await client.send([("a", "1")])
        await client.send([("a", "2"), ("a", "3")], hash_seed=1)
        for _number in range(2):
            await peer.passes(seen[-1])
            seen.append(await peer.next())
        await peer.passes(seen[-1])
        assert [(r["tests"], r.get("hash_seed")) for r in seen[1:]] == [
            (["1"], None),
            (["2", "3"], 1),
        ]
        assert len(await client.all_of(4)) == 4

    serve(scenario)


def test_those_of_one_candidate_that_come_together_go_together() -> None:
    async def scenario(_: Dispatcher, client: Client, peer: Peer, __: WorkerLink) -> None:
        await client.send([("a", "1"), ("a", "2"), ("a", "3"), ("b", "1"), ("a", "4")])
        seen = []
        for _number in range(3):
            request = await peer.next()
            seen.append((request["solution"], request["tests"]))
            await peer.passes(request)
        assert seen == [("a", ["1", "2", "3"]), ("b", ["1"]), ("a", ["4"])]
        found = await client.all_of(5)
        assert found == {"a1": "1", "a2": "2", "a3": "3", "b1": "1", "a4": "4"}

    serve(scenario)


def test_no_more_go_together_than_the_worker_takes_or_under_other_limits() -> None:
    async def scenario(_: Dispatcher, client: Client, peer: Peer, __: WorkerLink) -> None:
        await client.send([("a", str(number)) for number in range(5)])
        await client.send([("a", "x")], processes=7)
        sizes = []
        for _number in range(3):
            request = await peer.next()
            sizes.append((len(request["tests"]), request["limits"]["processes"]))
            await peer.passes(request)
        assert sizes == [(4, 64), (1, 64), (1, 7)]
        await client.all_of(6)

    serve(scenario)


def test_a_worker_that_wants_one_suite_gets_one_in_each_slot() -> None:
    async def scenario(_: Dispatcher, client: Client, peer: Peer, __: WorkerLink) -> None:
        await client.send([("a", "1"), ("a", "2")])
        requests = [await peer.next(), await peer.next()]
        assert [request["tests"] for request in requests] == [["1"], ["2"]]
        for request in reversed(requests):
            await peer.passes(request)
        await client.all_of(2)

    serve(scenario, slots=2, tests=1)


def test_what_a_lost_worker_had_not_answered_goes_to_the_next() -> None:
    async def scenario(
        dispatcher: Dispatcher, client: Client, peer: Peer, link: WorkerLink
    ) -> None:
        await client.send([("a", "1"), ("a", "2"), ("a", "3")])
        request = await peer.next()
        await peer.say(op="result", seq=request["seq"], result=result(stdout="1"))
        await client.all_of(1)
        peer.close()
        await link.lost
        dispatcher.detach("toy")
        other, other_peer = await line(1, 4)
        dispatcher.attach("toy", other)
        again = await other_peer.next()
        assert sorted(again["tests"]) == ["2", "3"]
        await other_peer.passes(again)
        assert await client.all_of(3) == {"a1": "1", "a2": "2", "a3": "3"}
        await other.close()

    serve(scenario)


def test_a_suite_that_failed_is_tried_again_and_the_others_are_not() -> None:
    async def scenario(_: Dispatcher, client: Client, peer: Peer, __: WorkerLink) -> None:
        await client.send([("a", "1"), ("a", "2")])
        request = await peer.next()
        await peer.say(op="failed", seq=request["seq"], message="disk full")
        await peer.say(op="result", seq=request["seq"], result=result(stdout="2"))
        again = await peer.next()
        assert again["tests"] == ["1"]
        await peer.passes(again)
        assert await client.all_of(2) == {"a1": "1", "a2": "2"}

    serve(scenario)


def test_a_cancelled_one_is_taken_back_by_its_place_and_not_heard_of() -> None:
    async def scenario(dispatcher: Dispatcher, client: Client, peer: Peer, _: WorkerLink) -> None:
        jobs = await client.send([("a", "1"), ("a", "2"), ("a", "3")])
        request = await peer.next()
        dispatcher.cancel(jobs[1])
        assert await peer.next() == {"op": "cancel", "seq": request["seq"], "test": 1}
        await peer.say(op="result", seq=request["seq"], result=result(stdout="1"))
        await peer.say(op="failed", seq=request["seq"], message="cancelled")
        await peer.say(op="result", seq=request["seq"], result=result(stdout="3"))
        assert await client.all_of(2) == {"a1": "1", "a3": "3"}
        # The slot is free again.
        await client.send([("b", "1")])
        await peer.passes(await peer.next())
        assert len(await client.all_of(3)) == 3

    serve(scenario)


def test_an_answer_more_than_there_are_suites_gives_the_worker_up() -> None:
    async def scenario(_: Dispatcher, client: Client, peer: Peer, link: WorkerLink) -> None:
        await client.send([("a", "1"), ("a", "2")])
        request = await peer.next()
        await peer.passes(request)
        await peer.say(op="result", seq=request["seq"], result=result(stdout="more"))
        assert "which is not open" in await link.lost
        assert not any(isinstance(o, RequestError) for o in client.outcomes.values())

    serve(scenario)
