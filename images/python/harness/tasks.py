"""Awaiting across the two processes.

Whoever awaits an object of the other side asks it to make a task of it, then
lets it work a little at a time until the task is done. Each side keeps its own
event loop, so `asyncio.sleep`, queues and `gather` work on either. asyncio itself is imported when
it is used: it is a third of what a fork would have to copy.
"""

from __future__ import annotations

import weakref
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio

    from .peer import Peer

#: Longest time that one `pump` lets a loop wait for something to happen.
_PUMP_S = 0.005


class Tasks:
    """Tasks that this side runs for the other, and those that it drives there."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._tasks: dict[int, asyncio.Future[Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._driving = 0
        self._last = 0
        self._drivers: weakref.WeakKeyDictionary[Any, Iterator[Any]] = weakref.WeakKeyDictionary()

    def drive(self, awaitable: Any) -> Generator[None, Any, Any]:
        """What ``await`` iterates over: yields until the other side's task is done."""
        number = self._peer.request("spawn", awaitable)
        self._driving += 1
        try:
            while not self._peer.request("pump", number):
                yield
        except BaseException:
            self._peer.request("cancel", number)
            raise
        finally:
            self._driving -= 1
        result: Any = self._peer.request("result", number)
        return result

    def driver(self, awaitable: Any) -> Any:
        """The one running `drive` of a coroutine that is driven by ``send``."""
        found = self._drivers.get(awaitable)
        if found is None:
            found = self._drivers[awaitable] = self.drive(awaitable)
        return found

    def spawn(self, awaitable: Any) -> int:
        """Makes a task of it in this side's loop; returns its number."""
        import asyncio

        loop = asyncio._get_running_loop()
        if loop is None:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
            loop = self._loop
        self._last += 1
        number = self._last
        self._tasks[number] = loop.create_task(_run(awaitable))
        return number

    def pump(self, number: int) -> bool:
        """Works on the task for a moment; whether it is done."""
        import asyncio

        task = self._tasks[number]
        if not task.done() and asyncio._get_running_loop() is None and self._loop is not None:
            # While this side waits for the other in turn, waiting here would hold both up.
            step = asyncio.sleep(0) if self._driving else asyncio.wait([task], timeout=_PUMP_S)
            self._loop.run_until_complete(step)
        return task.done()

    def result(self, number: int) -> Any:
        """What the finished task returned or raised."""
        return self._tasks.pop(number).result()

    def cancel(self, number: int) -> None:
        """Cancels the task and lets it end."""
        import asyncio

        task = self._tasks.pop(number, None)
        if task is not None and not task.done():
            task.cancel()
            if asyncio._get_running_loop() is None and self._loop is not None:
                self._loop.run_until_complete(asyncio.wait([task], timeout=_PUMP_S))


async def _run(awaitable: Any) -> Any:
    return await awaitable
