"""Small messages with descriptors between the processes of a worker, over SOCK_SEQPACKET."""

from __future__ import annotations

import array
import json
import socket
from collections.abc import Sequence
from typing import Any

_MAX_BYTES = 1 << 16
_MAX_FDS = 32
_FD_BYTES = array.array("i").itemsize
_ROOM = socket.CMSG_SPACE(_MAX_FDS * _FD_BYTES)
_SOL_SOCKET, _SCM_RIGHTS = int(socket.SOL_SOCKET), int(socket.SCM_RIGHTS)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that keep the bounds of messages."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)


def send(sock: socket.socket, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Sends `message` as JSON, and duplicates of `fds`.

    Raises:
        OSError: the other end is gone.
    """
    send_bytes(sock, json.dumps(message).encode(), fds)


def send_bytes(sock: socket.SocketType, data: bytes, fds: Sequence[int]) -> None:
    """Sends `data` as one message, and duplicates of `fds`.

    Raises:
        OSError: the other end is gone.
    """
    ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([data], ancillary)


def receive(sock: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and its descriptors, or None where the other end is gone."""
    data, fds = receive_bytes(sock)
    return (json.loads(data), fds) if data else None


def receive_bytes(sock: socket.SocketType) -> tuple[bytes, list[int]]:
    """The next message and its descriptors; empty where the other end is gone."""
    data, ancillary, _, _ = sock.recvmsg(_MAX_BYTES, _ROOM)
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if level == _SOL_SOCKET and kind == _SCM_RIGHTS:
            fds.extend(memoryview(payload)[: len(payload) // _FD_BYTES * _FD_BYTES].cast("i"))
    return data, fds
