"""What an address of a sandbox says of the servers behind it."""

from __future__ import annotations

import socket

_LAST_PORT = 65535


def address_problem(address: str) -> str | None:
    """Why `address` cannot be that of a server; None where it can."""
    _, _, port = address.rpartition(":")
    # gRPC would take another port for one that is missing or too large.
    if is_single(address) or (port.isdecimal() and 1 <= int(port) <= _LAST_PORT):
        return None
    return f"is neither unix:/path nor host:port with a port within [1, {_LAST_PORT}]"


def is_single(address: str) -> bool:
    """Whether there can be only one server behind `address`."""
    return address.startswith("unix:")


def servers_behind(address: str) -> int:
    """How many servers `address` stands for at this moment; 1 where that cannot be told.

    address: `host:port`, `dns:///host:port`, `dns://server/host:port`, `ipv4:` or `ipv6:` with
        a list, or `unix:/path`.
    """
    if is_single(address):
        return 1
    if address.startswith(("ipv4:", "ipv6:")):
        return address.count(",") + 1
    host = address.removeprefix("dns:").rpartition("/")[2].rpartition(":")[0].strip("[]")
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return 1  # the connection will say what is wrong with the name
    return len({place[0] for *_, place in found}) or 1
