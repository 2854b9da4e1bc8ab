"""The addresses that a server listens on."""

from __future__ import annotations

import os
import socket

import grpc

from sandbox_server.errors import StartupError

_UNIX = "unix:"
_LAST_PORT = 65535


def listen(
    server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None
) -> str:
    """Has `server` listen on `host:port` (port 0: any) or `unix:/path`; returns it, port filled in.

    credentials: of TLS, which is not spoken on a Unix socket; None: nowhere.

    Raises:
        StartupError: the address is none, or cannot be had.
    """
    host, _, port_text = address.rpartition(":")
    # gRPC would take another port for one that is missing or too large.
    if not address.startswith(_UNIX) and not (
        host and port_text.isdecimal() and int(port_text) <= _LAST_PORT
    ):
        raise StartupError(
            f"cannot listen on {address}: not host:port, port within [0, {_LAST_PORT}]"
        )
    try:
        if credentials is None or address.startswith(_UNIX):
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, credentials)
    except RuntimeError as e:
        raise StartupError(f"cannot listen on {address}: {_reason(address) or e}") from e
    return address if address.startswith(_UNIX) else f"{host}:{port}"


def _reason(address: str) -> str | None:
    """What the system says of an address that gRPC could not have; it logs that, and says less."""
    host, _, port = address.rpartition(":")
    path = address.removeprefix(_UNIX)
    try:
        if address.startswith(_UNIX):
            with socket.socket(socket.AF_UNIX) as tried:
                tried.bind(path)
            os.unlink(path)  # ours, as it was not there
        else:
            family, *_, place = socket.getaddrinfo(
                host.strip("[]"), int(port), type=socket.SOCK_STREAM
            )[0]
            with socket.socket(family) as tried:
                tried.bind(place)
    except OSError as e:
        return e.strerror or str(e)
    return None
