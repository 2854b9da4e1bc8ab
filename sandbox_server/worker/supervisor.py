"""One slot's supervisor: takes executions from the worker, has the harness judge them in the jail.

It lives outside the jail and holds suites and candidates; no process that runs
candidate code is ever forked from it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from sandbox_server.worker import protocol
from sandbox_server.worker.errors import Cancelled, JailError
from sandbox_server.worker.first_process import FirstProcess
from sandbox_server.worker.jail_contract import (
    Compiled,
    CompilesTogether,
    Harness,
    Program,
    Task,
)
from sandbox_server.worker.language import Language
from sandbox_server.worker.orders import Ended
from sandbox_server.worker.protocol import Limits
from sandbox_server.worker.slot_jail import SlotJail, Stage
from sandbox_server.worker.stage import Watch

if TYPE_CHECKING:
    from sandbox_server.worker.resident import Answer, Resident


class _Unbuffered:
    """Reads a socket without reading ahead, so that polling it sees every message."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock

    def read(self, size: int, /) -> bytes:
        """Exactly `size` bytes; fewer only at the end of the stream."""
        parts = []
        while size:
            part = self._sock.recv(min(size, 1 << 20), socket.MSG_WAITALL)
            if not part:
                break
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


class Supervisor:
    """Serves one slot until the worker is gone or the jail is lost."""

    def __init__(
        self,
        worker: socket.socket,
        jail: FirstProcess,
        *,
        language: Language,
        harness: Harness,
        lean: FirstProcess | None = None,
        resident: Resident | None = None,
    ) -> None:
        """lean: the jail for stages that say that it will do.
        resident: a program that stays, in a jail of its own.
        """
        self._jail = jail
        self._lean = lean
        self.resident = resident
        self._worker = worker
        self._requests = _Unbuffered(worker)
        self._language = language
        self._harness = harness
        #: Places of the tests, of the request that is carried out, which the gateway has taken
        #: back; and of those for which the jail works now.
        self._cancelled: set[int] = set()
        self._working_for: frozenset[int] = frozenset()

    def serve(self) -> None:
        """One request after the other; returns when the worker closes the connection.

        Raises:
            JailError: the jail is lost, and with it this slot.
        """
        while (request := protocol.read(self._requests)) is not None:
            if request["op"] == "cancel":
                continue  # it crossed the answer on its way
            self._cancelled.clear()
            if request["op"] == "check":
                self._reply(request, 0, partial(self._check, request))
            else:
                self._execute(request)

    def _reply(
        self, request: dict[str, Any], place: int, work: Callable[[], dict[str, Any]]
    ) -> None:
        """Answers with what `work` gives.

        Raises:
            JailError: the jail is lost.
        """
        self._working_for = frozenset({place})
        try:
            answer = work()
        except Cancelled as e:
            answer = {"op": "failed", "message": str(e)}
        except (JailError, OSError) as e:
            self._send(request, {"op": "failed", "message": str(e)})
            raise JailError(str(e)) from e
        self._send(request, answer)

    def _send(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        self._worker.sendall(protocol.encode({**answer, "seq": request["seq"]}))

    def _check(self, request: dict[str, Any]) -> dict[str, Any]:
        jail = SlotJail(self, self._language.check_limits)
        with contextlib.closing(jail):
            results = self._harness.check(request["candidates"], jail)
        return {"op": "checked", "results": results}

    def _execute(self, request: dict[str, Any]) -> None:
        limits, tests = Limits(**request["limits"]), request["tests"]
        with contextlib.closing(SlotJail(self, limits)) as shared:
            compiled = self._compile_together(request, shared)
            for place, test in enumerate(tests):
                task = Task(request["solution"], test, limits)
                made = compiled.get(place)
                self._reply(request, place, partial(self._judge, place, task, made, shared))

    def _compile_together(self, request: dict[str, Any], jail: SlotJail) -> dict[int, Compiled]:
        tests = request["tests"]
        if len(tests) == 1 or not isinstance(self._harness, CompilesTogether):
            return {}
        self._working_for = frozenset(range(len(tests)))
        try:
            return self._harness.compile_together(request["solution"], tests, jail)
        except Cancelled:
            return {}  # each test is, and is answered so
        except (JailError, OSError) as e:
            self._send(request, {"op": "failed", "message": str(e)})
            raise JailError(str(e)) from e

    def _judge(
        self, place: int, task: Task, compiled: Compiled | None, shared: SlotJail
    ) -> dict[str, Any]:
        if place in self._cancelled:
            raise Cancelled("cancelled")
        jail = SlotJail(self, task.limits)
        with contextlib.closing(jail):
            if compiled is None:
                judged = self._harness.execute(task, jail)
            elif compiled.verdict is not None:
                judged, jail = compiled.verdict, shared
            else:
                assert isinstance(self._harness, CompilesTogether)
                judged = self._harness.execute_compiled(task, compiled, jail)
        result = {
            **judged,
            "usage": vars(jail.usage()),
            "stdout": jail.stdout.kept.decode("utf-8", "surrogateescape"),
            "stderr": jail.stderr.kept.decode("utf-8", "surrogateescape"),
            "stdout_bytes": jail.stdout.total_bytes,
            "stderr_bytes": jail.stderr.total_bytes,
        }
        return {"op": "result", "result": result}

    def jail_for(self, stage: Stage) -> FirstProcess:
        """The one that carries it out."""
        return self._lean if stage.lean and self._lean is not None else self._jail

    def ask(self, program: Program, request: bytes, limits: Limits) -> Answer:
        """What the resident answers.

        Raises:
            Cancelled: the gateway took the execution back.
            JailError: the resident's jail is gone.
        """
        from sandbox_server.worker.resident import Interrupt

        assert self.resident is not None
        stop = Interrupt(self._worker.fileno(), self._gateway_cancels)
        return self.resident.ask(program, request, limits, stop)

    def watch(self, jail: FirstProcess, watch: Watch) -> Ended:
        """Waits for the end of the stage that `jail` carries out, and says how it ended.

        Raises:
            Cancelled: the gateway took the execution back.
            JailError: the jail is gone.
        """
        ended = jail.watch(watch, self._worker.fileno(), self._gateway_cancels)
        if self._is_cancelled():
            raise Cancelled("cancelled")
        return ended

    def _gateway_cancels(self) -> bool:
        request = protocol.read(self._requests)
        # Nothing but a cancel is sent to a busy slot; the end of the stream means the same for all.
        self._cancelled |= self._working_for if request is None else {request["test"]}
        return self._is_cancelled()

    def _is_cancelled(self) -> bool:
        return self._working_for <= self._cancelled
