"""Launcher `attached`: workers that somebody else runs, found by their sockets in one folder.

Made for containers beside the gateway's (the sidecars of a pod) that share a volume in
memory. A worker listens as `<language>.sock` while it has no gateway, takes the socket away
when one has connected, and is back with a new one when that gateway has gone.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from sandbox_server.errors import StartupError
from sandbox_server.languages import Language
from sandbox_server.link import WorkerLink

_SUFFIX = ".sock"
_LOOK_EVERY_S = 0.1


class AttachedLauncher:
    """Workers that listen in `folder`.

    Raises:
        StartupError: there is no such folder.
    """

    name = "attached"

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise StartupError(f"--worker-dir {folder}: no such folder")
        self._folder = folder

    def present(self) -> list[Language]:
        """The languages whose workers wait for a gateway now, by name."""
        sockets = sorted(path for path in self._folder.glob("*" + _SUFFIX) if path.is_socket())
        return [Language(path.name.removesuffix(_SUFFIX), self._folder) for path in sockets]

    async def start(self, language: Language) -> WorkerLink:
        """See `Launcher.start`. Waits for as long as no worker listens."""
        return await WorkerLink.open(await self._connect(language.name), _nothing)

    async def _connect(self, name: str) -> socket.socket:
        loop = asyncio.get_running_loop()
        while True:
            connection = socket.socket(socket.AF_UNIX)
            connection.setblocking(False)
            try:
                await loop.sock_connect(connection, str(self._folder / (name + _SUFFIX)))
                return connection
            except (FileNotFoundError, ConnectionRefusedError, BlockingIOError):
                connection.close()  # not there, or left by one that was killed
            except BaseException:
                connection.close()
                raise
            await asyncio.sleep(_LOOK_EVERY_S)


async def _nothing() -> None:
    """A worker sees for itself that its line is closed."""
