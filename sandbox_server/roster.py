"""The languages that are served: a fixed list, or whatever workers come and go."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence

from sandbox_server.dispatcher import Dispatcher
from sandbox_server.errors import StartupError
from sandbox_server.evidence import Ready
from sandbox_server.languages import Language
from sandbox_server.supervisor import Supervisor

_log = logging.getLogger("plum-sandbox")

_LOOK_EVERY_S = 0.2
#: A worker that is replaced is away for a moment. One that is away for longer has gone, and its
#: language with it: what waits for it is told so.
_GONE_AFTER_S = 30.0


class Roster:
    """One supervisor for each served language.

    make: a supervisor of a language.
    present: the languages whose workers could be had now; None where the list is fixed.
    on_change: called when a language has gone.
    may_lack: go without the languages whose worker does not come up at the start.
    """

    def __init__(
        self,
        make: Callable[[Language], Supervisor],
        dispatcher: Dispatcher,
        present: Callable[[], Iterable[Language]] | None,
        on_change: Callable[[], None],
        *,
        may_lack: bool,
    ) -> None:
        self._make = make
        self._dispatcher = dispatcher
        self._present = present
        self._on_change = on_change
        self._may_lack = may_lack
        self._supervisors: dict[str, Supervisor] = {}
        self._missing_since: dict[str, float] = {}
        self._watching: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether there is a worker of every language, and at least one language."""
        keepers = self._supervisors.values()
        return bool(keepers) and all(keeper.up for keeper in keepers)

    @property
    def languages(self) -> list[str]:
        """The languages that are served now."""
        return list(self._supervisors)

    def ready(self) -> dict[str, Ready]:
        """What the worker of each language says of itself."""
        found = {name: keeper.ready for name, keeper in self._supervisors.items()}
        return {name: ready for name, ready in found.items() if ready is not None}

    async def start(self, languages: Sequence[Language]) -> None:
        """Starts the workers of `languages`, then looks for others where the list is not fixed.

        Raises:
            StartupError: one refused or did not come up and may not be lacking, or none did.
        """
        keepers = [self._add(language) for language in languages]
        outcomes = await asyncio.gather(*(k.start() for k in keepers), return_exceptions=True)
        reasons = []
        for keeper, outcome in zip(keepers, outcomes, strict=True):
            if outcome is None:
                continue
            if not self._may_lack or not isinstance(outcome, StartupError):
                raise outcome
            _log.warning("not served: %s", outcome)
            reasons.append(str(outcome))
            del self._supervisors[keeper.language.name]
            self._dispatcher.remove(keeper.language.name)
        if languages and not self._supervisors:
            raise StartupError(f"no language can be served: {'; '.join(reasons)}")
        if self._present is not None:
            self._watching = asyncio.create_task(self._watch(self._present))

    async def stop(self) -> None:
        """Ends every worker."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        await asyncio.gather(*(keeper.stop() for keeper in self._supervisors.values()))

    def _add(self, language: Language) -> Supervisor:
        self._dispatcher.add(language.name)
        keeper = self._supervisors[language.name] = self._make(language)
        return keeper

    async def _watch(self, present: Callable[[], Iterable[Language]]) -> None:
        while True:
            found = {language.name: language for language in present()}
            for name, language in found.items():
                if name not in self._supervisors:
                    _log.info("worker %s: found", name)
                    self._add(language).keep()
            for name in self._gone(found):
                _log.error("worker %s: gone; the language is no longer served", name)
                await self._supervisors.pop(name).stop()
                self._dispatcher.remove(name)
                self._on_change()
            await asyncio.sleep(_LOOK_EVERY_S)

    def _gone(self, found: Iterable[str]) -> list[str]:
        """The languages that have had no worker for too long."""
        now = asyncio.get_running_loop().time()
        missing = {n for n, keeper in self._supervisors.items() if not keeper.up} - set(found)
        self._missing_since = {n: self._missing_since.get(n, now) for n in missing}
        return [n for n, since in self._missing_since.items() if now - since >= _GONE_AFTER_S]
