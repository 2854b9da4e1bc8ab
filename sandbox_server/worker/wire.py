"""One end of a stream of frames in an event loop, without a task for each of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from sandbox_server.worker import protocol


class Wire(asyncio.Protocol):
    """Calls `taken` with the body of each frame, and `ended` once, when no more will come.

    ended: gets what was wrong with the stream, or None where the other side closed it.
    """

    def __init__(
        self,
        taken: Callable[[bytes], None],
        ended: Callable[[protocol.ProtocolError | None], None],
    ) -> None:
        self._taken = taken
        self._ended = ended
        self._frames = protocol.Frames()
        self._broken: protocol.ProtocolError | None = None
        self._transport: asyncio.Transport

    @classmethod
    async def open(
        cls,
        sock: socket.socket,
        taken: Callable[[bytes], None],
        ended: Callable[[protocol.ProtocolError | None], None],
    ) -> Wire:
        """A wire over a connected stream socket, which is its own from now on."""
        loop = asyncio.get_running_loop()
        _, wire = await loop.create_connection(lambda: cls(taken, ended), sock=sock)
        return wire

    def send(self, frame: bytes) -> None:
        """Sends a frame as soon as the other side takes it."""
        self._transport.write(frame)

    def close(self) -> None:
        """Closes the stream when all is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Closes the stream at once."""
        self._transport.abort()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._frames.cut(data):
                self._taken(body)
        except protocol.ProtocolError as e:
            self._broken = e
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(self._broken)
