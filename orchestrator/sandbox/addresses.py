"""What an address of a sandbox says of the servers behind it."""

from __future__ import annotations

import socket


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
