"""One slot's supervisor: takes executions from the worker, has the harness judge them in the jail.

It lives outside the jail and holds suites and candidates; no process that runs
candidate code is ever forked from it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sandbox_server.worker import accounting, messages, orders, protocol
from sandbox_server.worker.cgroups import SlotCgroup
from sandbox_server.worker.confine import OWN_PROCESSES
from sandbox_server.worker.errors import Cancelled, JailError
from sandbox_server.worker.jail_contract import (
    Attendant,
    Exit,
    Harness,
    Program,
    Role,
    StageFacts,
    Task,
)
from sandbox_server.worker.language import Language
from sandbox_server.worker.orders import (
    CLEAN,
    FIRST_FD_OF_A_ROLE,
    STOP,
    Ended,
    RoleOrder,
)
from sandbox_server.worker.protocol import Limits, Usage
from sandbox_server.worker.stage import STOP_GRACE_S, TALK_STRETCH, Captured, Meter, Watch
from sandbox_server.worker.writable import SCRATCH

if TYPE_CHECKING:
    from sandbox_server.worker.resident import Answer, Resident


@dataclass(frozen=True)
class _Stage:
    """Roles as the jail's first process is told of them, and the descriptors that they get."""

    roles: list[RoleOrder]
    #: In the order in which the roles have them.
    fds: list[int]
    #: Whether the roles share memory with the process that they are forked from.
    forked: bool
    #: Whether the first one is a judge, and the candidate another.
    judged: bool = False


def _described(roles: Sequence[Role]) -> _Stage:
    fds: list[int] = []
    ordered: list[RoleOrder] = []
    for role in roles:
        first = FIRST_FD_OF_A_ROLE + len(fds)
        wanted = list(range(first, first + len(role.fds)))
        ordered.append((role.name, role.entry, role.untrusted, wanted, None))
        fds.extend(role.fds)
    judged = len(roles) > 1 and not roles[0].untrusted
    return _Stage(ordered, fds, forked=True, judged=judged)


def _described_program(program: Program, collected: int, limits: Limits) -> _Stage:
    fds = [*program.fds, *program.archives, collected]
    wanted = list(range(FIRST_FD_OF_A_ROLE, FIRST_FD_OF_A_ROLE + len(fds)))
    order = {
        "argv": list(program.argv),
        "environment": dict(program.environment),
        "fds": len(program.fds),
        "archives": len(program.archives),
        "collect": list(program.collect),
        "collect_bytes": limits.file_bytes,
    }
    return _Stage([("program", "", True, wanted, order)], fds, forked=False)


class SlotJail:
    """The jail of one execution, as `jail_contract.Jail` describes it."""

    scratch = SCRATCH

    def __init__(self, slot: Supervisor, limits: Limits) -> None:
        self._slot = slot
        self._limits = limits
        self._handed_over: list[int] = []
        self.stdout = Captured()
        self.stderr = Captured()
        self._usage = Usage(0.0, 0.0, 0)

    def hand_over(self, data: bytes) -> int:
        """See `jail_contract.Jail`."""
        fd = os.memfd_create("handed-over", os.MFD_CLOEXEC)
        self._handed_over.append(fd)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def usage(self) -> Usage:
        """See `jail_contract.Jail`."""
        return self._usage

    def close(self) -> None:
        """Closes what was handed over."""
        while self._handed_over:
            os.close(self._handed_over.pop())

    def run_stage(
        self,
        roles: Sequence[Role],
        report_fd: int | None = None,
        close_after_fork: Sequence[int] = (),
        attend: Attendant | None = None,
    ) -> StageFacts:
        """See `jail_contract.Jail`."""
        return self._run(_described(roles), self._limits, report_fd, close_after_fork, attend)

    def run_program(
        self, program: Program, limits: Limits, report_fd: int | None = None
    ) -> tuple[StageFacts, int]:
        """See `jail_contract.Jail`."""
        collected = self.hand_over(b"")
        stage = _described_program(program, collected, limits)
        return self._run(stage, limits, report_fd, program.fds), collected

    @property
    def has_resident(self) -> bool:
        """See `jail_contract.Jail`."""
        return self._slot.resident is not None

    def ask_resident(
        self, program: Program, request: bytes, limits: Limits
    ) -> tuple[StageFacts, int]:
        """See `jail_contract.Jail`."""
        answer = self._slot.ask(program, request, limits)
        self.stdout, self.stderr = Captured(), Captured()
        self.stderr.add(answer.text)
        self._usage = answer.usage
        facts = StageFacts({"program": answer.exit}, answer.limit, None)
        return facts, self.hand_over(answer.archive)

    def output(self) -> tuple[bytes, bytes]:
        """See `jail_contract.Jail`."""
        return bytes(self.stdout.kept), bytes(self.stderr.kept)

    def _run(
        self,
        stage: _Stage,
        limits: Limits,
        report_fd: int | None,
        close_after_fork: Sequence[int],
        attend: Attendant | None = None,
    ) -> StageFacts:
        self.stdout, self.stderr = Captured(), Captured()
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        try:
            meter = self._slot.ready(limits, stage.forked)
            try:
                self._slot.begin(stage, (out_write, err_write), limits)
            finally:
                for fd in (out_write, err_write, *close_after_fork):
                    os.close(fd)
            streams = {out_read: self.stdout, err_read: self.stderr}
            watch = Watch(limits, meter, streams, report_fd, attend, judged=stage.judged)
            ended = self._slot.watch(watch)
        finally:
            os.close(out_read)
            os.close(err_read)
        cpu_time_s = max(meter.cpu_time_s(), ended.cpu_time_s)
        self._usage = Usage(cpu_time_s, watch.wall_time_s, meter.peak_bytes(ended))
        exits = {order[0]: Exit(*end) for order, end in zip(stage.roles, ended.exits, strict=True)}
        limit = watch.limit
        if limit is None and any(e.signal == signal.SIGXCPU for e in exits.values()):
            limit = "cpu"
        return StageFacts(exits, limit, bytes(watch.report) if watch.report else None)


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
        init: socket.socket,
        init_pid: int,
        *,
        cgroup: SlotCgroup | None,
        language: Language,
        harness: Harness,
        resident: Resident | None = None,
    ) -> None:
        """resident: a program that stays, in a jail of its own."""
        self.resident = resident
        self._worker = worker
        self._requests = _Unbuffered(worker)
        self._init = init
        self._init_pid = init_pid
        self._cgroup = cgroup
        self._language = language
        self._harness = harness
        self._shared_bytes = accounting.process_memory_bytes(init_pid)
        self._clean = False
        self._cancelled = False

    def serve(self) -> None:
        """One request after the other; returns when the worker closes the connection.

        Raises:
            JailError: the jail is lost, and with it this slot. The request was answered.
        """
        while (request := protocol.read(self._requests)) is not None:
            if request["op"] == "cancel":
                continue  # it crossed the answer on its way
            try:
                answer = self._answer(request)
            except Cancelled as e:
                answer = {"op": "failed", "message": str(e)}
            except (JailError, OSError) as e:
                self._reply(request, {"op": "failed", "message": str(e)})
                raise JailError(str(e)) from e
            self._reply(request, answer)

    def _reply(self, request: dict[str, Any], answer: dict[str, Any]) -> None:
        self._worker.sendall(protocol.encode({**answer, "seq": request["seq"]}))

    def _answer(self, request: dict[str, Any]) -> dict[str, Any]:
        self._cancelled = False
        if request["op"] == "check":
            jail = SlotJail(self, self._language.check_limits)
            with contextlib.closing(jail):
                return {
                    "op": "checked",
                    "results": self._harness.check(request["candidates"], jail),
                }
        limits = Limits(**request["limits"])
        jail = SlotJail(self, limits)
        with contextlib.closing(jail):
            judged = self._harness.execute(Task(request["solution"], request["test"], limits), jail)
        result = {
            **judged,
            "usage": asdict(jail.usage()),
            "stdout": jail.stdout.kept.decode("utf-8", "surrogateescape"),
            "stderr": jail.stderr.kept.decode("utf-8", "surrogateescape"),
            "stdout_bytes": jail.stdout.total_bytes,
            "stderr_bytes": jail.stderr.total_bytes,
        }
        return {"op": "result", "result": result}

    def ready(self, limits: Limits, forked: bool) -> Meter:
        """Waits until the jail is wiped, sets the limits of the next stage and starts its meter.

        forked: whether its processes share memory with the one that they are forked from.

        Raises:
            JailError: the jail is gone.
        """
        while not self._clean:
            self._read_clean()
        if self._cgroup is not None:
            self._cgroup.set_limits(limits.memory_bytes, limits.processes + OWN_PROCESSES)
        return Meter(self._init_pid, self._cgroup, self._shared_bytes if forked else 0)

    def begin(self, stage: _Stage, output: tuple[int, int], limits: Limits) -> None:
        """Tells the jail's first process to fork the roles of `stage`."""
        programs = self._language.programs
        kernel_limits = (
            # Each side of a conversation may take half of what both may.
            limits.cpu_time_s * (TALK_STRETCH / 2 if stage.judged else 1),
            limits.memory_bytes,
            limits.processes,
            # Full temporary folders must leave room for the processes in the same memory.
            min(limits.file_bytes, limits.memory_bytes // 4),
            limits.open_files,
            None if programs is None else programs.address_space_bytes,
        )
        order = orders.stage(stage.roles, kernel_limits, count_files=self._cgroup is None)
        self._clean = False
        try:
            messages.send_bytes(self._init, order, [*output, *stage.fds])
        except OSError as e:
            raise JailError(f"the jail's first process is gone: {e}") from e

    def start_program(self, program: Program, limits: Limits) -> Meter:
        """See `resident.Host`. What it writes to its standard output and error is lost.

        Raises:
            JailError: the jail is gone.
        """
        with open(os.devnull, "r+b") as null:
            stage = _described_program(program, null.fileno(), limits)
            meter = self.ready(limits, stage.forked)
            self.begin(stage, (null.fileno(), null.fileno()), limits)
        return meter

    def stop_program(self) -> Exit:
        """See `resident.Host`.

        Raises:
            JailError: the jail is gone.
        """
        try:
            messages.send_bytes(self._init, STOP, ())
        except OSError as e:
            raise JailError(f"the jail's first process is gone: {e}") from e
        answered, _, _ = select.select([self._init], [], [], STOP_GRACE_S)
        if not answered:
            os.kill(self._init_pid, signal.SIGKILL)
            raise JailError(f"the jail did not end within {STOP_GRACE_S} s")
        return Exit(*self._read_end().exits[0])

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

    def watch(self, watch: Watch) -> Ended:
        """Waits for the end of the stage and says how it ended.

        Raises:
            Cancelled: the gateway took the execution back.
            JailError: the jail is gone.
        """
        try:
            ended = watch.run(
                self._init.fileno(),
                self._read_end,
                lambda: messages.send_bytes(self._init, STOP, ()),
                self._worker.fileno(),
                self._gateway_cancels,
            )
        except JailError:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._init_pid, signal.SIGKILL)
            raise
        if self._cancelled:
            raise Cancelled("cancelled")
        return ended

    def _read_init(self) -> bytes:
        data, _ = messages.receive_bytes(self._init)
        if not data:
            raise JailError("the jail's first process is gone")
        return data

    def _read_clean(self) -> None:
        data = self._read_init()
        if data != CLEAN:
            raise JailError(f"the jail's first process said {data!r:.200}, not {CLEAN!r}")
        self._clean = True

    def _read_end(self) -> Ended:
        data = self._read_init()
        try:
            return Ended.from_bytes(data)
        except ValueError as e:
            raise JailError(f"the jail's first process said {data!r:.200}: {e}") from None

    def _gateway_cancels(self) -> bool:
        request = protocol.read(self._requests)
        # Nothing but a cancel is sent to a busy slot; the end of the stream means the same.
        if request is None or request["op"] == "cancel":
            self._cancelled = True
        return self._cancelled
