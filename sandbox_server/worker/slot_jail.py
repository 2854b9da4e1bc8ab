"""The jail of one execution, as a harness sees it, and the stages that it is asked for."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sandbox_server.worker.jail_contract import Attendant, Exit, Program, Role, StageFacts
from sandbox_server.worker.orders import FIRST_FD_OF_A_ROLE, RoleOrder
from sandbox_server.worker.protocol import Limits, Usage
from sandbox_server.worker.stage import Captured, Watch
from sandbox_server.worker.writable import SCRATCH

if TYPE_CHECKING:
    from sandbox_server.worker.supervisor import Supervisor


@dataclass(frozen=True)
class Stage:
    """Roles as the jail's first process is told of them, and the descriptors that they get."""

    roles: list[RoleOrder]
    #: In the order in which the roles have them.
    fds: list[int]
    #: Whether the roles share memory with the process that they are forked from.
    forked: bool
    #: Whether the first one is a judge, and the candidate another.
    judged: bool = False
    #: Whether a jail with little in memory will do.
    lean: bool = False


def _described(roles: Sequence[Role], lean: bool) -> Stage:
    fds: list[int] = []
    ordered: list[RoleOrder] = []
    for role in roles:
        first = FIRST_FD_OF_A_ROLE + len(fds)
        wanted = list(range(first, first + len(role.fds)))
        ordered.append((role.name, role.entry, role.untrusted, wanted, None))
        fds.extend(role.fds)
    judged = len(roles) > 1 and not roles[0].untrusted
    return Stage(ordered, fds, forked=True, judged=judged, lean=lean)


def described_program(program: Program, collected: int, limits: Limits) -> Stage:
    fds = [*program.fds, *program.archives, collected]
    wanted = list(range(FIRST_FD_OF_A_ROLE, FIRST_FD_OF_A_ROLE + len(fds)))
    order = {
        "argv": list(program.argv),
        "environment": dict(program.environment),
        "fds": len(program.fds),
        "archives": len(program.archives),
        "collect": list(program.collect),
        "collect_bytes": limits.file_bytes,
        "part": program.part,
    }
    return Stage([("program", "", True, wanted, order)], fds, forked=False)


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
        lean: bool = False,
    ) -> StageFacts:
        """See `jail_contract.Jail`."""
        stage = _described(roles, lean)
        return self._run(stage, self._limits, report_fd, close_after_fork, attend)

    def run_program(
        self, program: Program, limits: Limits, report_fd: int | None = None
    ) -> tuple[StageFacts, int]:
        """See `jail_contract.Jail`."""
        collected = self.hand_over(b"")
        stage = described_program(program, collected, limits)
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
        stage: Stage,
        limits: Limits,
        report_fd: int | None,
        close_after_fork: Sequence[int],
        attend: Attendant | None = None,
    ) -> StageFacts:
        jail = self._slot.jail_for(stage)
        self.stdout, self.stderr = Captured(), Captured()
        out_read, out_write = os.pipe2(os.O_CLOEXEC)
        err_read, err_write = os.pipe2(os.O_CLOEXEC)
        try:
            meter = jail.ready(limits, stage.forked)
            try:
                jail.begin(stage, (out_write, err_write), limits)
            finally:
                for fd in (out_write, err_write, *close_after_fork):
                    os.close(fd)
            streams = {out_read: self.stdout, err_read: self.stderr}
            watch = Watch(limits, meter, streams, report_fd, attend, judged=stage.judged)
            ended = self._slot.watch(jail, watch)
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
