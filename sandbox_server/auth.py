"""Bearer tokens: who may call at all."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc

from sandbox_server.errors import StartupError

_LEAST_CHARACTERS = 16
#: Probes of an orchestrator cannot send a token, and learn nothing but whether we serve.
_OPEN_TO_ALL = "/grpc.health.v1.Health/"

Continuation = Callable[
    [grpc.HandlerCallDetails], Awaitable["grpc.RpcMethodHandler[Any, Any] | None"]
]


def read_token(path: Path) -> str:
    """The token in the file `path`, without the white space around it.

    Raises:
        StartupError: it cannot be read, or is shorter than 16 characters.
    """
    try:
        token = path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as e:
        raise StartupError(f"--auth-token-file {path}: {e}") from e
    if len(token) < _LEAST_CHARACTERS or not token.isascii():
        raise StartupError(
            f"--auth-token-file {path}: {len(token)} characters; "
            f"at least {_LEAST_CHARACTERS} of ASCII are needed"
        )
    return token


class TokenInterceptor(grpc.aio.ServerInterceptor):
    """Answers calls without `authorization: Bearer TOKEN` with UNAUTHENTICATED."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()
        self._refusal: grpc.RpcMethodHandler[Any, Any] = grpc.unary_unary_rpc_method_handler(
            _refuse
        )
        self._stream_refusal: grpc.RpcMethodHandler[Any, Any] = (
            grpc.stream_stream_rpc_method_handler(_refuse)
        )

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Called by grpc for every call."""
        handler = await continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(_OPEN_TO_ALL):
            return handler
        for name, value in handler_call_details.invocation_metadata or ():
            if name == "authorization":
                given = value if isinstance(value, bytes) else value.encode()
                if hmac.compare_digest(given, self._expected):
                    return handler
        return self._stream_refusal if handler.request_streaming else self._refusal


async def _refuse(_: object, context: grpc.aio.ServicerContext[Any, Any]) -> None:
    await context.abort(
        grpc.StatusCode.UNAUTHENTICATED, "a token is needed: metadata authorization: Bearer TOKEN"
    )
