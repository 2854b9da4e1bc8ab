"""The RPC edge: the calls of plum.sandbox.v1.SandboxService.

Checks requests, hands them to the dispatcher and turns what comes back into
answers. The one broad `except` of the gateway is here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import TypeVar

import grpc
from grpc import StatusCode
from plum.sandbox.v1 import sandbox_pb2 as pb

from sandbox_server import convert
from sandbox_server.dispatcher import Dispatcher, Job, Outcome
from sandbox_server.errors import RequestError, not_served, unavailable
from sandbox_server.evidence import Ready, Result
from sandbox_server.stream import Context, ExecutionStream
from sandbox_server.undecodable import Undecodable, decoder

_log = logging.getLogger("plum-sandbox")

SERVICE_NAME = pb.DESCRIPTOR.services_by_name["SandboxService"].full_name

#: A client that names itself has one share of the queue, however many connections it uses.
_CLIENT_METADATA = "plum-client-id"
_CLIENT_CHARACTERS = 128

M = TypeVar("M")


class SandboxService:
    """The four calls.

    ready: what the worker of each served language says of itself, by language.
    launcher: its name, for GetServerInfo.
    """

    def __init__(
        self, dispatcher: Dispatcher, ready: Callable[[], Mapping[str, Ready]], launcher: str
    ) -> None:
        self._dispatcher = dispatcher
        self._ready = ready
        self._launcher = launcher
        self._version = version("plum-code")
        self._stopping = False
        self._streams: set[ExecutionStream] = set()
        self._calls = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def handler(self) -> grpc.GenericRpcHandler:
        """What a grpc.aio server needs to serve these calls."""
        return grpc.method_handlers_generic_handler(
            SERVICE_NAME,
            {
                "Execute": grpc.unary_unary_rpc_method_handler(
                    self._execute,
                    request_deserializer=decoder(pb.ExecuteRequest),
                    response_serializer=pb.ExecuteResponse.SerializeToString,
                ),
                "ExecuteStream": grpc.stream_stream_rpc_method_handler(
                    self._execute_stream,
                    request_deserializer=decoder(pb.ExecuteStreamRequest),
                    response_serializer=pb.ExecuteStreamResponse.SerializeToString,
                ),
                "Check": grpc.unary_unary_rpc_method_handler(
                    self._check,
                    request_deserializer=decoder(pb.CheckRequest),
                    response_serializer=pb.CheckResponse.SerializeToString,
                ),
                "GetServerInfo": grpc.unary_unary_rpc_method_handler(
                    self._get_server_info,
                    request_deserializer=decoder(pb.GetServerInfoRequest),
                    response_serializer=pb.GetServerInfoResponse.SerializeToString,
                ),
            },
        )

    def drain(self) -> None:
        """Takes nothing new from now on; what was taken is still answered."""
        self._stopping = True
        for stream in self._streams:
            stream.stop()

    async def drained(self) -> None:
        """Returns when no call is being served."""
        await self._idle.wait()

    async def _execute(
        self, request: pb.ExecuteRequest | Undecodable, context: Context
    ) -> pb.ExecuteResponse:
        async with self._edge(context):
            execution = _decoded(request).execution
            outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            job = self._job(execution, _client(context), outcome.set_result)
            result = await self._carry_out(job, outcome)
            if not isinstance(result, Result):
                raise TypeError(f"an execution was answered with {type(result).__name__}")
            return pb.ExecuteResponse(result=convert.result_message(execution.id, result))

    async def _execute_stream(self, _: object, context: Context) -> None:
        async with self._edge(context):
            if self._stopping:
                raise unavailable("the server is stopping")
            client = _client(context)
            stream = ExecutionStream(
                lambda execution, finished: self._job(execution, client, finished),
                self._dispatcher,
                context,
            )
            self._streams.add(stream)
            try:
                await stream.run()
            finally:
                self._streams.discard(stream)

    async def _check(
        self, request: pb.CheckRequest | Undecodable, context: Context
    ) -> pb.CheckResponse:
        async with self._edge(context):
            asked = _decoded(request)
            message, size = convert.check_request(asked)
            outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            job = Job(asked.language, _client(context), message, size, outcome.set_result)
            result = await self._carry_out(job, outcome)
            if not isinstance(result, tuple):
                raise TypeError(f"a check was answered with {type(result).__name__}")
            return convert.check_response(result)

    async def _get_server_info(
        self, request: pb.GetServerInfoRequest | Undecodable, context: Context
    ) -> pb.GetServerInfoResponse:
        async with self._edge(context):
            _decoded(request)
            return pb.GetServerInfoResponse(
                version=self._version,
                languages=[convert.language_info(ready) for ready in self._ready().values()],
                queue_capacity=self._dispatcher.capacity,
                launcher=self._launcher,
            )

    def _job(
        self, execution: pb.Execution, client: str, finished: Callable[[Outcome], None]
    ) -> Job:
        size = convert.check_execution(execution)
        served = self._ready()
        ready = served.get(execution.language)
        if ready is None:
            raise not_served(execution.language, served)
        message = convert.execute_request(execution, ready)
        return Job(execution.language, client, message, size, finished)

    async def _carry_out(self, job: Job, outcome: asyncio.Future[Outcome]) -> Outcome:
        if self._stopping:
            raise unavailable("the server is stopping")
        self._dispatcher.submit(job)
        try:
            result = await outcome
        except asyncio.CancelledError:  # the client's doing, or its deadline
            self._dispatcher.cancel(job)
            raise
        if isinstance(result, RequestError):
            raise result
        return result

    @asynccontextmanager
    async def _edge(self, context: Context) -> AsyncIterator[None]:
        """Counts a call, and turns what goes wrong inside into its status."""
        self._calls += 1
        self._idle.clear()
        try:
            async with _status_of_failures(context):
                yield
        finally:
            self._calls -= 1
            if not self._calls:
                self._idle.set()


@asynccontextmanager
async def _status_of_failures(context: Context) -> AsyncIterator[None]:
    try:
        yield
    except RequestError as e:
        error = e
    except Exception as e:  # noqa: BLE001
        _log.exception("a call failed: %s", type(e).__name__)
        error = RequestError(StatusCode.INTERNAL, "internal error; the server's log has it")
    else:
        return
    details = (("grpc-status-details-bin", convert.status_details(error)),)
    await context.abort(error.code, error.message, details)


def _decoded(request: M | Undecodable) -> M:
    if isinstance(request, Undecodable):
        raise request.error
    return request


def _client(context: Context) -> str:
    """By what name the queue knows the caller: its own, or its connection."""
    for name, value in context.invocation_metadata() or ():
        if name == _CLIENT_METADATA and isinstance(value, str):
            return value[:_CLIENT_CHARACTERS]
    return str(context.peer())
