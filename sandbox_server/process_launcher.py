"""Launcher `process`: the worker is a child of the gateway, in a session of its own.

The two are joined by one socket pair and nothing else: the worker gets none of
the gateway's variables or descriptors. It ends when its end of the socket does,
so a gateway that is killed leaves no worker behind.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Sequence

from sandbox_server.errors import WorkerFailed
from sandbox_server.languages import Language
from sandbox_server.link import WorkerLink

_log = logging.getLogger("plum-sandbox")

_ENVIRONMENT = {
    # Where the worker looks for its toolchain; candidates get a PATH of their own.
    "PATH": os.environ.get("PATH", "/usr/local/bin:/usr/bin:/bin"),
    "LANG": "C.UTF-8",
    # Not with `python -I`, which would ignore it: hence -s and -P below.
    "PYTHONHASHSEED": "0",
    "HOME": "/nonexistent",
}

_END_TIMEOUT_S = 5.0
_LAST_LINES = 5


class ProcessLauncher:
    """Workers as child processes.

    slots: executions each runs at one time.
    require_isolation: the level below which a worker refuses; None: the worker's default.
    command: how the worker program is started, before the options it is given here.
    """

    name = "process"

    def __init__(
        self,
        slots: int,
        require_isolation: str | None = None,
        command: Sequence[str] = (sys.executable, "-s", "-P", "-m", "sandbox_server.worker"),
    ) -> None:
        self._options = ["--slots", str(slots)]
        if require_isolation is not None:
            self._options += ["--require-isolation", require_isolation]
        self._command = list(command)

    async def start(self, language: Language) -> WorkerLink:
        """See `Launcher.start`."""
        ours, theirs = socket.socketpair()
        with theirs:
            arguments = [
                "--socket-fd",
                str(theirs.fileno()),
                "--language-dir",
                str(language.folder),
            ]
            try:
                process = await asyncio.create_subprocess_exec(
                    *self._command,
                    *arguments,
                    *self._options,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                    env=_ENVIRONMENT,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
            except OSError as e:
                ours.close()
                raise WorkerFailed(f"cannot start {self._command[0]}: {e}") from e
        worker = _Child(process, language.name)
        try:
            return await WorkerLink.open(ours, worker.end)
        except WorkerFailed as e:
            raise WorkerFailed(f"{e}{worker.last_words()}") from e


class _Child:
    """A worker process and what it says on its standard streams."""

    def __init__(self, process: asyncio.subprocess.Process, language: str) -> None:
        self._process = process
        self._language = language
        self._last: deque[str] = deque(maxlen=_LAST_LINES)
        self._logging = asyncio.create_task(self._log_lines())

    async def end(self) -> None:
        """Waits until it is gone and its log is written; kills it where it does not end itself."""
        # Its line is closed: a worker that is well takes its control groups away and ends.
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), _END_TIMEOUT_S)
        # The whole session: what the worker started there goes with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()
        with contextlib.suppress(TimeoutError):
            # A jail that outlives its worker may still hold the stream.
            await asyncio.wait_for(self._logging, _END_TIMEOUT_S)

    def last_words(self) -> str:
        """How it ended and its last lines, for an error message."""
        code = self._process.returncode
        ended = "" if code is None else f" (exit status {code})"
        return ended + (": " + " | ".join(self._last) if self._last else "")

    async def _log_lines(self) -> None:
        stream = self._process.stdout
        assert stream is not None
        while True:
            try:
                line = await stream.readline()
            except ValueError:  # longer than the reader's buffer, which has dropped it
                continue
            if not line:
                return
            text = line.decode("utf-8", "backslashreplace").rstrip()
            self._last.append(text)
            _log.info("worker %s: %s", self._language, text)
