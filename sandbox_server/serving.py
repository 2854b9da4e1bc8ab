"""What a `plum-sandbox` process does around a server: when it stops, and the self-check."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable

from sandbox_server.errors import StartupError, WorkerFailed, WorkerRefused
from sandbox_server.evidence import Ready
from sandbox_server.languages import Language
from sandbox_server.launcher import Launcher
from sandbox_server.server import Server

_log = logging.getLogger("plum-sandbox")

_STDIN = 0


async def serve_until_stopped(
    make_server: Callable[[], Server],
    *,
    grace_s: float,
    stop_at_eof: bool,
    on_ready: Callable[[list[str], list[str]], None],
) -> None:
    """Serves until SIGTERM or SIGINT, then lets what runs finish for up to `grace_s`.

    A second signal ends the process on the spot. With `stop_at_eof` the end of
    standard input stops the server too, and without grace: nobody waits for it then.
    on_ready: called with the addresses and the languages once they are served.

    Raises:
        StartupError: the server did not start, or the end of the input cannot be waited for.
    """
    loop = asyncio.get_running_loop()
    stopping: asyncio.Future[float] = loop.create_future()

    def on_signal() -> None:
        if stopping.done():
            _log.error("second signal: stopping at once")
            os._exit(1)  # workers end with their sockets
        _log.info("stopping; what runs may take up to %.0f s", grace_s)
        stopping.set_result(grace_s)

    def on_input() -> None:
        if os.read(_STDIN, 4096):
            return
        loop.remove_reader(_STDIN)
        if not stopping.done():
            stopping.set_result(0.0)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    if stop_at_eof:
        try:
            loop.add_reader(_STDIN, on_input)
        except OSError as e:
            raise StartupError(
                f"--stop-at-eof: standard input is no pipe, whose end could be waited for: {e}"
            ) from e
    server = make_server()
    starting = asyncio.ensure_future(server.start())
    stopping.add_done_callback(lambda _: starting.cancel())
    await asyncio.wait([starting])
    if starting.cancelled():
        return
    on_ready(starting.result(), server.languages)
    await server.stop(await stopping)


async def probe(launcher: Launcher, language: Language) -> Ready:
    """What the worker of `language` says of itself here; it is ended again.

    Raises:
        StartupError: it refused or did not come up.
    """
    try:
        link = await launcher.start(language)
    except (WorkerRefused, WorkerFailed) as e:
        raise StartupError(f"language {language.name}: {e}") from e
    await link.close()
    return link.ready
