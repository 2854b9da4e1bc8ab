"""Puts the parts of the gateway together, and takes them down again in the right order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from sandbox_server.auth import TokenInterceptor, read_token
from sandbox_server.dispatcher import Dispatcher
from sandbox_server.errors import StartupError
from sandbox_server.languages import Language
from sandbox_server.launcher import Launcher
from sandbox_server.listening import listen
from sandbox_server.metrics import Metrics
from sandbox_server.roster import Roster
from sandbox_server.service import SERVICE_NAME, SandboxService
from sandbox_server.supervisor import Supervisor
from sandbox_server.tls import Tls, server_credentials

_log = logging.getLogger("plum-sandbox")

_MAX_RECEIVE_BYTES = 64 << 20
#: Further ones wait in the client, where they cost us nothing.
_STREAMS_PER_CONNECTION = 1024
#: A health service that serves for as long as the process is well, whatever becomes of workers.
_LIVE = "live"
_FLUSH_S = 0.5


@dataclass(frozen=True)
class Settings:
    """How to serve.

    listen: `host:port` (port 0: any) or `unix:/path`, at least one.
    slots: executions at one time, over all languages.
    queue: requests that may wait for a slot.
    may_lack: serve what can be served of the languages, and say what not.
    max_connection_age_s: after which a connection is asked to reconnect; None: never.
    """

    listen: Sequence[str]
    slots: int
    queue: int = 1024
    max_connection_age_s: float | None = None
    tls: Tls | None = None
    auth_token_file: Path | None = None
    metrics_port: int | None = None
    may_lack: bool = False


class Server:
    """A gateway: its workers, its queue and its gRPC server.

    languages: served from the start.
    present: languages that are served as well, for as long as their workers are there.
    """

    def __init__(
        self,
        settings: Settings,
        languages: Sequence[Language],
        launcher: Launcher,
        present: Callable[[], Iterable[Language]] | None = None,
    ) -> None:
        self._settings = settings
        self._languages = languages
        self._metrics = metrics = Metrics()
        self._dispatcher = dispatcher = Dispatcher(settings.slots, settings.queue, metrics)
        self._roster = Roster(
            lambda name: Supervisor(launcher, name, dispatcher, metrics, self._set_health),
            dispatcher,
            present,
            self._set_health,
            may_lack=settings.may_lack,
        )
        self._service = SandboxService(dispatcher, self._roster.ready, launcher.name)
        self._health = health.aio.HealthServicer()
        self._health_tasks: set[asyncio.Task[None]] = set()
        self._grpc: grpc.aio.Server | None = None

    @property
    def languages(self) -> list[str]:
        """Those that are served: once it has started, those whose worker came up."""
        return self._roster.languages

    async def start(self) -> list[str]:
        """Starts the workers, then listens. Returns the addresses, ports filled in.

        Raises:
            StartupError: a worker refused or did not come up and may not be lacking, or an
                address or file is no good.
                Nothing is left running then.
        """
        try:
            server = self._grpc = self._build_grpc()
            tls = self._settings.tls
            credentials = None if tls is None else server_credentials(tls)
            addresses = [listen(server, address, credentials) for address in self._settings.listen]
            await self._health.set(_LIVE, health_pb2.HealthCheckResponse.SERVING)
            self._set_health()
            await self._roster.start(self._languages)
            if self._settings.metrics_port is not None:
                self._serve_metrics(self._settings.metrics_port)
            await server.start()
        except BaseException:
            await self.stop(grace_s=0)
            raise
        return addresses

    async def stop(self, grace_s: float) -> None:
        """Stops taking work, waits up to `grace_s` for what was taken, and ends everything."""
        await self._health.enter_graceful_shutdown()
        self._service.drain()
        if self._grpc is not None:
            stopping = asyncio.ensure_future(self._grpc.stop(grace_s))
            drained = asyncio.ensure_future(self._service.drained())
            await asyncio.wait([stopping, drained], return_when=asyncio.FIRST_COMPLETED)
            drained.cancel()
            # Answers are on their way out still. Other calls (somebody who watches our health)
            # would last for ever.
            await self._grpc.stop(min(grace_s, _FLUSH_S))
            await stopping
        await self._roster.stop()

    def _build_grpc(self) -> grpc.aio.Server:
        options: list[tuple[str, int]] = [
            ("grpc.max_receive_message_length", _MAX_RECEIVE_BYTES),
            ("grpc.max_send_message_length", _MAX_RECEIVE_BYTES),
            ("grpc.max_concurrent_streams", _STREAMS_PER_CONNECTION),
            ("grpc.so_reuseport", 0),  # two servers on one port would share it silently
            # Clients may ask every ten seconds whether we are still there.
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
        age_s = self._settings.max_connection_age_s
        if age_s is not None:
            options.append(("grpc.max_connection_age_ms", int(age_s * 1000)))
            # Without a bound here a stream could stay on an old connection for ever.
            options.append(("grpc.max_connection_age_grace_ms", int(max(age_s, 60.0) * 1000)))
        token_file = self._settings.auth_token_file
        interceptors = [] if token_file is None else [TokenInterceptor(read_token(token_file))]
        server = grpc.aio.server(interceptors=interceptors, options=options)
        server.add_generic_rpc_handlers((self._service.handler(),))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = (SERVICE_NAME, health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
        return server

    def _serve_metrics(self, port: int) -> None:
        try:
            self._metrics.serve(port)
        except OSError as e:
            raise StartupError(f"cannot serve metrics on port {port}: {e}") from e

    def _set_health(self) -> None:
        response = health_pb2.HealthCheckResponse
        value = response.SERVING if self._roster.up else response.NOT_SERVING
        for name in ("", SERVICE_NAME):
            task = asyncio.ensure_future(self._health.set(name, value))
            self._health_tasks.add(task)
            task.add_done_callback(self._health_tasks.discard)
