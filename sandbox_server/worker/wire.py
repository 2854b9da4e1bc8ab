"""One end of a stream of frames in an event loop, without a task for each of them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from sandbox_server.worker import protocol

#: Read at once. The buffer stays: the loop would make a new one for each message, of four times
#: that, and have the kernel take back what it does not fill.
_READ_BYTES = 64 << 10


class Wire(asyncio.BufferedProtocol):
    """Calls `taken` with the body of each frame, and `ended` once, when no more will come.

    taken: may raise ProtocolError, which ends the stream.
    ended: gets what was wrong (ProtocolError or OSError), or None where the other side closed it.
    """

    def __init__(
        self,
        taken: Callable[[bytes], None],
        ended: Callable[[Exception | None], None],
    ) -> None:
        self._taken = taken
        self._ended = ended
        self._frames = protocol.Frames()
        self._buffer = memoryview(bytearray(_READ_BYTES))
        self._broken: Exception | None = None
        self._transport: asyncio.Transport

    @classmethod
    async def open(
        cls,
        sock: socket.socket,
        taken: Callable[[bytes], None],
        ended: Callable[[Exception | None], None],
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

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        try:
            for body in self._frames.cut(self._buffer[:nbytes]):
                if self._transport.is_closing():
                    return
                self._taken(body)
        except protocol.ProtocolError as e:
            self._broken = e
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(self._broken or exc)
