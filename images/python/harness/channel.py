"""Frames between judge and candidate: a four-byte length, then that many bytes.

The judge's side pins the process it talks to. The kernel stamps every chunk on
a Unix socket with its sender's process id, so a child that the candidate
forked cannot answer in its parent's place.
"""

from __future__ import annotations

import os
import struct

# Below the standard library's, which makes half a megabyte of enum members: a lean jail has none.
from _socket import CMSG_SPACE, MSG_CTRUNC, SCM_CREDENTIALS, SOL_SOCKET
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

#: No frame is longer, in either direction.
MAX_FRAME_BYTES = 256 << 20

_LENGTH = struct.Struct("<I")
_CREDENTIALS = struct.Struct("3i")
_CHUNK = 1 << 13
_ANCILLARY_BYTES = CMSG_SPACE(_CREDENTIALS.size)


class ChannelClosed(Exception):
    """The other side is gone."""


class ProtocolBreach(Exception):
    """The other side sent what its harness never sends."""


class Channel:
    """One end of a connected stream socket, known by its descriptor only.

    A socket object would cost a freshly forked process thirty pages.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._buffer = bytearray()

    def send(self, body: bytes) -> None:
        """Sends one frame.

        Raises:
            ChannelClosed: the other side is gone.
            ProtocolBreach: the frame would be longer than MAX_FRAME_BYTES.
        """
        if len(body) > MAX_FRAME_BYTES:
            raise ProtocolBreach(f"frame of {len(body)} bytes is outside [0, {MAX_FRAME_BYTES}]")
        self.send_together([body])

    def send_together(self, bodies: Iterable[bytes]) -> None:
        """Sends a frame for each at once: the kernel counts every write as if it were a page.

        Raises:
            ChannelClosed: the other side is gone.
        """
        try:
            self._write(b"".join([_LENGTH.pack(len(body)) + body for body in bodies]))
        except OSError as e:
            raise ChannelClosed(str(e)) from None

    def receive(self) -> bytes:
        """The next frame.

        Raises:
            ChannelClosed: the other side is gone, or `deadline` passed.
            ProtocolBreach: too long, or another process than the first wrote it.
        """
        self._fill(_LENGTH.size)
        length: int = _LENGTH.unpack_from(self._buffer)[0]
        if length > MAX_FRAME_BYTES:
            raise ProtocolBreach(f"frame of {length} bytes is outside [0, {MAX_FRAME_BYTES}]")
        end = _LENGTH.size + length
        self._fill(end)
        body = bytes(self._buffer[_LENGTH.size : end])
        del self._buffer[:end]
        return body

    def receive_now(self, max_bytes: int) -> Iterator[bytes]:
        """Reads once and gives the frames that are complete, none longer than `max_bytes`.

        Raises:
            ChannelClosed: the other side is gone.
            ProtocolBreach: as `receive`.
        """
        chunk = self._read(_CHUNK)
        if not chunk:
            raise ChannelClosed("end of stream")
        self._buffer += chunk
        while len(self._buffer) >= _LENGTH.size:
            length: int = _LENGTH.unpack_from(self._buffer)[0]
            if length > max_bytes:
                raise ProtocolBreach(f"frame of {length} bytes is outside [0, {max_bytes}]")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            body = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield body

    def fileno(self) -> int:
        """The descriptor, for those who wait for several."""
        return self._fd

    def close(self) -> None:
        """Closes this process' end."""
        os.close(self._fd)

    def _fill(self, size: int) -> None:
        while len(self._buffer) < size:
            want = max(_CHUNK, min(size - len(self._buffer), 1 << 20))
            chunk = self._read(want)
            if not chunk:
                raise ChannelClosed("end of stream")
            self._buffer += chunk

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def _read(self, size: int) -> bytes:
        try:
            return os.read(self._fd, size)
        except OSError as e:
            raise ChannelClosed(str(e)) from None


class PinnedChannel(Channel):
    """The judge's end: takes nothing from another process than the one that spoke first."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__(sock.fileno())
        self._sock = sock
        self._sender: int | None = None

    def deadline(self, seconds: float | None) -> None:
        """Lets `receive` give up after `seconds` without a byte; None waits for ever."""
        self._sock.settimeout(seconds)

    def close(self) -> None:
        """Closes this process' end."""
        self._sock.close()

    def _write(self, data: bytes) -> None:
        self._sock.sendall(data)

    def _read(self, size: int) -> bytes:
        try:
            chunk, ancillary, flags, _ = self._sock.recvmsg(size, _ANCILLARY_BYTES)
        except OSError as e:
            raise ChannelClosed(str(e)) from None
        if not chunk:
            return b""
        self._check_sender(ancillary, flags)
        return chunk

    def _check_sender(self, ancillary: list[tuple[int, int, bytes]], flags: int) -> None:
        pids = [
            _CREDENTIALS.unpack(data)[0]
            for level, kind, data in ancillary
            if level == SOL_SOCKET and kind == SCM_CREDENTIALS
        ]
        if flags & MSG_CTRUNC or len(pids) != 1:
            raise ProtocolBreach("a message came without its sender's credentials")
        if self._sender is None:
            self._sender = pids[0]
        elif self._sender != pids[0]:
            raise ProtocolBreach("another process answered in the candidate's place")


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets; the first stamps what it receives with its sender."""
    import socket

    judge, candidate = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    judge.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return judge, candidate
