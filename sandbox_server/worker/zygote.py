"""Forks the processes of slots, from a warm interpreter that has never seen an execution.

Theory of operation. The worker's main process reads what the gateway sends, so
nothing may be forked from it. Before it opens its mouth it forks the zygote,
which loads the harness and then does one thing: for each slot asked of it, it
forks a supervisor (outside the jail) and a jail's first process, connects the
two, and hands the worker's end of a socket to the supervisor. Each end of each
socket is held by one process only, so the death of any of them is seen by its
neighbours, and they end too:

    worker ── supervisor ── init (pid 1 of the jail) ── candidate, judge
       └───── zygote

Python takes the seed of its hashes when it starts. So where executions ask for another one, the
zygote also forks what starts the interpreter afresh and becomes a zygote itself (see `seeded`).

A language with a program that stays (see `resident`) has a second jail for it
beside each slot's, with a first process of its own.
"""

from __future__ import annotations

import contextlib
import socket
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from sandbox_server.worker import cgroups, children, isolation, messages, protocol
from sandbox_server.worker.build import JailSettings, build_jail, jail_came_up
from sandbox_server.worker.isolation import Layer
from sandbox_server.worker.jail_contract import Harness, WarmsLean
from sandbox_server.worker.language import Language
from sandbox_server.worker.lean import LeanZygote

if TYPE_CHECKING:
    from sandbox_server.worker.first_process import FirstProcess

#: Added to a slot's number for its second jail: every jail has users of its own.
_SECOND = 1 << 16


@dataclass(frozen=True)
class Settings:
    """What every slot of this worker has in common."""

    language: Language
    harness: Harness
    jail: JailSettings
    hierarchy: cgroups.Hierarchy | cgroups.CgroupUnavailable
    worker_pid: int

    @property
    def has_lean(self) -> bool:
        """Whether slots have a second jail whose processes have little in memory."""
        return isinstance(self.harness, WarmsLean)

    @property
    def has_resident(self) -> bool:
        """Whether they have one for a program that stays."""
        programs = self.language.programs
        return programs is not None and bool(programs.resident)


def serve(requests: socket.socket, settings: Settings) -> None:
    """Forks slots until the worker is gone."""
    # Who cares for a slot notices by its socket that it has died.
    children.leave_the_dead_to_the_kernel()
    lean_zygote = None
    if settings.has_lean:
        lean_zygote = LeanZygote(str(settings.language.folder), settings.jail)
    while (received := messages.receive(requests)) is not None:
        message, (worker_fd,) = received
        with socket.socket(fileno=worker_fd) as worker:
            if "hash_seed" in message:
                _make_zygote(worker, message["hash_seed"], settings)
            else:
                _make_slot(worker, message["slot"], settings, requests, lean_zygote)


def _make_zygote(requests: socket.socket, hash_seed: int, settings: Settings) -> None:
    def become_one() -> None:
        # Only here, so that no jail has anything of it in memory.
        from sandbox_server.worker import seeded

        seeded.start(requests, hash_seed, settings.language.folder, settings.worker_pid)

    children.fork(become_one, [])


def _make_slot(
    worker: socket.socket,
    slot: int,
    settings: Settings,
    requests: socket.socket,
    lean_zygote: LeanZygote | None,
) -> None:
    has_second = settings.has_lean or settings.has_resident
    pairs = [messages.pair() for _ in range(2 if has_second else 1)]
    supervisor_ends, init_ends = [p[0] for p in pairs], [p[1] for p in pairs]
    numbered = dict(zip((slot, slot + _SECOND), init_ends, strict=False))
    with contextlib.ExitStack() as ours:
        for end in (*supervisor_ends, *init_ends):
            ours.enter_context(end)
        zygotes = [requests]
        if lean_zygote is not None:
            lean_zygote.ask(slot + _SECOND, numbered.pop(slot + _SECOND))
            assert lean_zygote.line is not None
            zygotes.append(lean_zygote.line)
        supervise = partial(_supervise, worker, supervisor_ends, slot, settings)
        children.fork(supervise, [*zygotes, *init_ends])
        for number, end in numbered.items():
            others = [*zygotes, worker, *supervisor_ends, *(e for e in init_ends if e is not end)]
            children.fork(partial(build_jail, end, number, settings.jail), others)


def _supervise(
    worker: socket.socket, inits: list[socket.socket], slot: int, settings: Settings
) -> None:
    """The supervisor's whole life; the worker hears first how the jails came up.

    inits: connections to the first process of the slot's jail and, where there is one, of its
        second.
    """
    jail, error, layers = _meet(inits[0], slot, settings)
    second = None
    if len(inits) > 1 and error is None:
        second, error, its_layers = _meet(inits[1], slot + _SECOND, settings)
        lacking = sorted({x.name for x in layers if x.in_force and x not in its_layers})
        if error is None and lacking:
            error = f"the slot's second jail has not what the first one has: {lacking}"
        if not isolation.in_force("mount_namespace", layers):
            second = None  # the two would share their folders
            inits[1].close()
    hello = {"op": "slot", "error": error, "layers": [layer.to_message() for layer in layers]}
    worker.sendall(protocol.encode(hello))
    if error is not None:
        return
    # Loaded in supervisors only: what the zygote loads, every process of a jail has to copy.
    from sandbox_server.worker.supervisor import Supervisor

    assert jail is not None
    resident = None
    if settings.has_resident and second is not None:
        from sandbox_server.worker.resident import Resident

        resident = Resident(second)
    Supervisor(
        worker,
        jail,
        language=settings.language,
        harness=settings.harness,
        lean=second if settings.has_lean else None,
        resident=resident,
    ).serve()


def _meet(
    init: socket.socket, number: int, settings: Settings
) -> tuple[FirstProcess | None, str | None, list[Layer]]:
    """The jail at the other end of `init`, or why it did not come up; and its layers."""
    # Only here, as in `_supervise`.
    from sandbox_server.worker.first_process import FirstProcess

    pid, error, layers = jail_came_up(init)
    group, group_layers = _make_group(settings, number, pid)
    layers = [*layers, *group_layers]
    if error is not None:
        return None, error, layers
    programs = settings.language.programs
    address_space_bytes = None if programs is None else programs.address_space_bytes
    return FirstProcess(init, pid, group, address_space_bytes), None, layers


def _make_group(
    settings: Settings, slot: int, pid: int
) -> tuple[cgroups.SlotCgroup | None, list[Layer]]:
    names = ("memory_cgroup", "pids_cgroup", "cpu_cgroup")
    try:
        if isinstance(settings.hierarchy, cgroups.CgroupUnavailable):
            raise settings.hierarchy
        group = cgroups.SlotCgroup.create(
            settings.hierarchy, cgroups.group_name(settings.worker_pid, slot)
        )
        if pid:
            group.add(pid)
    except (cgroups.CgroupUnavailable, OSError) as e:
        detail = f"{e}; rlimits and sampling stand in"
        return None, [Layer(name, False, detail) for name in names]
    detail = f"cgroup v{settings.hierarchy.version}, all processes of a jail together"
    return group, [Layer(name, True, detail) for name in names]
