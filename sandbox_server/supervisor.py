"""Keeps one worker of one language running."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from sandbox_server.dispatcher import Dispatcher
from sandbox_server.errors import GatewayError, StartupError, WorkerFailed, WorkerRefused
from sandbox_server.evidence import Ready
from sandbox_server.languages import Language
from sandbox_server.launcher import Launcher
from sandbox_server.link import WorkerLink
from sandbox_server.metrics import Metrics

_log = logging.getLogger("plum-sandbox")

_BACK_OFF_S = (0.05, 5.0)
#: A worker that lived this long was well; the next is started without delay. One that did not
#: had come up nevertheless, so waiting long for its successor would help nobody.
_WELL_AFTER_S = 1.0
_MOST_AFTER_LOSS_S = 0.4


class Supervisor:
    """Starts a worker, replaces it with back-off when it is lost, and ends it.

    on_change: called whenever a worker has come or gone.
    """

    def __init__(
        self,
        launcher: Launcher,
        language: Language,
        dispatcher: Dispatcher,
        metrics: Metrics,
        on_change: Callable[[], None],
    ) -> None:
        self.language = language
        self._launcher = launcher
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._on_change = on_change
        self._link: WorkerLink | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._last_ready: Ready | None = None

    @property
    def up(self) -> bool:
        """Whether there is a worker now."""
        return self._link is not None

    @property
    def ready(self) -> Ready | None:
        """What the present worker, or the last one, said of itself; None before the first."""
        return self._last_ready

    async def start(self) -> None:
        """Starts the first worker and then keeps one running until `stop`.

        Raises:
            StartupError: it refused or did not come up.
        """
        try:
            await self._begin()
        except (WorkerRefused, WorkerFailed) as e:
            raise StartupError(f"language {self.language.name}: {e}") from e
        self.keep()

    def keep(self) -> None:
        """Keeps a worker running from now on, whether there is one yet or not."""
        self._keeping = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Ends the worker. What it was doing is answered as lost."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        await self._end()

    async def _begin(self) -> None:
        link = await self._launcher.start(self.language)
        if link.ready.language != self.language.name:
            await link.close()
            raise WorkerFailed(f"worker serves {link.ready.language!r}, not {self.language.name!r}")
        self._link = link
        self._last_ready = link.ready
        self._dispatcher.attach(self.language.name, link)
        self._on_change()

    async def _end(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            self._dispatcher.detach(self.language.name)
            await link.close()
            self._on_change()

    async def _keep(self) -> None:
        least, most = _BACK_OFF_S
        delay = least
        loop = asyncio.get_running_loop()
        began = loop.time()
        while True:
            if self._link is not None:
                reason = await self._link.lost
                _log.error("worker %s: %s; it is replaced", self.language.name, reason)
                self._metrics.worker_lost(self.language.name)
                await self._end()
                well = loop.time() - began >= _WELL_AFTER_S
                delay = least if well else min(_MOST_AFTER_LOSS_S, 2 * delay)
            await asyncio.sleep(delay)
            began = loop.time()
            try:
                await self._begin()
            except (GatewayError, OSError) as e:
                delay = min(most, 2 * delay)
                _log.error("worker %s: %s; next try in %.1f s", self.language.name, e, delay)
