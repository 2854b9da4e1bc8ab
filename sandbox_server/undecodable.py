"""Decoding of requests that keeps what cannot be decoded, so that the caller is told why."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from google.protobuf.message import DecodeError, Message
from grpc import StatusCode

from sandbox_server.errors import RequestError

M = TypeVar("M", bound=Message)


class Undecodable:
    """Stands in for a request that is not what the protocol says."""

    def __init__(self, kind: str, reason: str) -> None:
        self.error = RequestError(
            StatusCode.INVALID_ARGUMENT,
            f"the request is not a {kind} (damaged, or text that is not UTF-8): {reason}",
        )


def decoder(kind: type[M]) -> Callable[[bytes], M | Undecodable]:
    """Decodes messages of `kind`; never raises.

    grpc would answer an exception here with an INTERNAL that says nothing.
    """

    def decode(data: bytes) -> M | Undecodable:
        try:
            return kind.FromString(data)
        except DecodeError as e:
            return Undecodable(kind.DESCRIPTOR.full_name, str(e))

    return decode
