"""How the gateway gets its workers."""

from __future__ import annotations

from typing import Protocol

from sandbox_server.languages import Language
from sandbox_server.link import WorkerLink


class Launcher(Protocol):
    """Starts workers. Closing the link it returns ends the worker."""

    #: As GetServerInfo tells it: "process", "docker" or "attached".
    name: str

    async def start(self, language: Language) -> WorkerLink:
        """A worker of `language` that has reported for service.

        Raises:
            WorkerRefused: it may not serve here.
            WorkerFailed: it did not come up.
        """
