"""The standard streams of a container as a connection to the worker in it.

Used where the container's runtime keeps the host's sockets out, as gVisor does. The
engine sends standard output and error through one connection, each piece with a head
of eight bytes: which of the two it is, three zeros, and its length.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct

_HEAD = struct.Struct(">B3xI")
_STDOUT = 1
_CHUNK_BYTES = 1 << 16
_LAST_BYTES = 1000


class ContainerStream:
    """Copies between `engine`, a connection attached to a container, and a socket of the gateway's.

    worker: the gateway's end; it ends when the container does.
    """

    def __init__(self, engine: socket.socket) -> None:
        self.worker, self._ours = socket.socketpair()
        self._engine = engine
        for end in (engine, self._ours):
            end.setblocking(False)
        self._last = b""
        self._copying = [
            asyncio.create_task(self._from_container()),
            asyncio.create_task(self._to_container()),
        ]
        for task in self._copying:
            task.add_done_callback(lambda _: self._hang_up())

    def last_words(self) -> str:
        """The end of what the container wrote to its standard error."""
        return self._last.decode("utf-8", "replace").strip()

    async def close(self) -> None:
        """Ends the connection to the container."""
        for task in self._copying:
            task.cancel()
        await asyncio.gather(*self._copying, return_exceptions=True)

    def _hang_up(self) -> None:
        self._ours.close()
        self._engine.close()
        for task in self._copying:
            task.cancel()

    async def _from_container(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError, EOFError):
            while True:
                stream, length = _HEAD.unpack(await self._read(_HEAD.size))
                while length:
                    piece = await self._read(min(length, _CHUNK_BYTES))
                    length -= len(piece)
                    if stream == _STDOUT:
                        await loop.sock_sendall(self._ours, piece)
                    else:
                        self._last = (self._last + piece)[-_LAST_BYTES:]

    async def _read(self, size: int) -> bytes:
        """Exactly `size` bytes of the engine's.

        Raises:
            EOFError: the container has ended.
        """
        loop = asyncio.get_running_loop()
        parts = []
        while size:
            part = await loop.sock_recv(self._engine, size)
            if not part:
                raise EOFError
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    async def _to_container(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(self._ours, _CHUNK_BYTES):
                await loop.sock_sendall(self._engine, data)
