"""Small messages with descriptors between the processes of a worker, over SOCK_SEQPACKET.

Each side trusts the other: a jail's first process says nothing here once there was a candidate.
"""

from __future__ import annotations

import array
import marshal

# Below the standard library's, which makes half a megabyte of enum members for every jail to copy.
from _socket import CMSG_SPACE, SCM_RIGHTS, SOL_SOCKET, SocketType
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

_MAX_BYTES = 1 << 16
_MAX_FDS = 32
_FD_BYTES = array.array("i").itemsize
_ROOM = CMSG_SPACE(_MAX_FDS * _FD_BYTES)


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected sockets that keep the bounds of messages."""
    import socket

    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_CLOEXEC)


def send(sock: SocketType, message: dict[str, Any], fds: Sequence[int] = ()) -> None:
    """Sends `message`, which is made of plain values, and duplicates of `fds`.

    Raises:
        OSError: the other end is gone.
    """
    send_bytes(sock, marshal.dumps(message), fds)


def send_bytes(sock: SocketType, data: bytes, fds: Sequence[int]) -> None:
    """Sends `data` as one message, and duplicates of `fds`.

    Raises:
        OSError: the other end is gone.
    """
    ancillary = [(SOL_SOCKET, SCM_RIGHTS, array.array("i", fds))] if fds else []
    sock.sendmsg([data], ancillary)


def receive(sock: SocketType) -> tuple[dict[str, Any], list[int]] | None:
    """The next message and its descriptors, or None where the other end is gone."""
    data, fds = receive_bytes(sock)
    return (marshal.loads(data), fds) if data else None


def receive_bytes(sock: SocketType) -> tuple[bytes, list[int]]:
    """The next message and its descriptors; empty where the other end is gone."""
    data, ancillary, _, _ = sock.recvmsg(_MAX_BYTES, _ROOM)
    fds: list[int] = []
    for level, kind, payload in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            fds.extend(memoryview(payload)[: len(payload) // _FD_BYTES * _FD_BYTES].cast("i"))
    return data, fds
