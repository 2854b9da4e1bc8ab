"""Errors of the gateway.

::

    GatewayError
    ├── StartupError      the server cannot start; the message says why; exit 1
    ├── WorkerRefused     a worker may not serve here (isolation too weak); retrying is useless
    ├── WorkerFailed      a worker ended, hung or broke the protocol; another may do better
    └── RequestError      a request cannot be served; becomes a gRPC status or an ExecutionError

None of them is ever a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable

from grpc import StatusCode

#: Of a message: it must fit into a header of the status, whatever it quotes.
_MESSAGE_CHARACTERS = 1000


class GatewayError(Exception):
    """What the gateway can explain in one line."""


class StartupError(GatewayError):
    """The server cannot start as it was asked to."""


class WorkerRefused(GatewayError):
    """A worker said that it may not serve on this machine."""


class WorkerFailed(GatewayError):
    """A worker did not come up, ended, hung, or sent what is not the protocol."""


class RequestError(GatewayError):
    """Why a request was not carried out.

    code: the gRPC status; its number is also the google.rpc.Code.
    retry_delay_s: when it may be sent again; None where that is useless.
    """

    def __init__(self, code: StatusCode, message: str, retry_delay_s: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message[:_MESSAGE_CHARACTERS]
        self.retry_delay_s = retry_delay_s


def invalid(field: str, value: object, bound: str) -> RequestError:
    """INVALID_ARGUMENT that names the field, its value and what is allowed."""
    return RequestError(StatusCode.INVALID_ARGUMENT, f"{field}={value} is outside {bound}")


def unavailable(message: str) -> RequestError:
    """UNAVAILABLE: the same request may be sent again, here or elsewhere, right away."""
    return RequestError(StatusCode.UNAVAILABLE, message, retry_delay_s=0.1)


def not_served(language: str, served: Iterable[str]) -> RequestError:
    """NOT_FOUND that lists what is served."""
    return RequestError(
        StatusCode.NOT_FOUND, f"language {language!r} is not served; served: {', '.join(served)}"
    )
