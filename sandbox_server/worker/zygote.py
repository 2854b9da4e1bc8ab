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
import functools
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from sandbox_server.worker import cgroups, isolation, linux, messages, protocol
from sandbox_server.worker.build import JailSettings, build_jail, jail_came_up
from sandbox_server.worker.errors import JailError
from sandbox_server.worker.isolation import Layer
from sandbox_server.worker.jail_contract import Harness
from sandbox_server.worker.language import Language

if TYPE_CHECKING:
    from sandbox_server.worker.resident import Resident
    from sandbox_server.worker.supervisor import Supervisor

#: Added to a slot's number for the jail of its resident: every jail has users of its own.
_RESIDENTS = 1 << 16


@dataclass(frozen=True)
class Settings:
    """What every slot of this worker has in common."""

    language: Language
    harness: Harness
    jail: JailSettings
    hierarchy: cgroups.Hierarchy | cgroups.CgroupUnavailable
    worker_pid: int


def serve(requests: socket.socket, settings: Settings) -> None:
    """Forks slots until the worker is gone."""
    # The dead are reaped by the kernel; who cares for a slot notices by its socket.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with contextlib.suppress(OSError):  # gVisor has none; a slot's end leaves a zombie there
        linux.set_child_subreaper()
    while (received := messages.receive(requests)) is not None:
        message, (worker_fd,) = received
        with socket.socket(fileno=worker_fd) as worker:
            if "hash_seed" in message:
                _make_zygote(worker, message["hash_seed"], settings)
            else:
                _make_slot(worker, message["slot"], settings, requests)


def _make_zygote(requests: socket.socket, hash_seed: int, settings: Settings) -> None:
    if os.fork() == 0:
        # Only here, so that no jail has anything of it in memory.
        from sandbox_server.worker import seeded

        language, worker_pid = settings.language, settings.worker_pid
        _in_child([], lambda: seeded.start(requests, hash_seed, language.folder, worker_pid))


def _make_slot(
    worker: socket.socket, slot: int, settings: Settings, requests: socket.socket
) -> None:
    programs = settings.language.programs
    numbers = [slot]
    if programs is not None and programs.resident:
        numbers.append(slot + _RESIDENTS)
    pairs = [messages.pair() for _ in numbers]
    supervisor_ends = [pair[0] for pair in pairs]
    init_ends = [pair[1] for pair in pairs]
    with contextlib.ExitStack() as ours:
        for end in (*supervisor_ends, *init_ends):
            ours.enter_context(end)
        if os.fork() == 0:
            _in_child(
                [requests, *init_ends],
                lambda: _supervise(worker, supervisor_ends, slot, settings),
            )
        for number, end in zip(numbers, init_ends, strict=True):
            if os.fork() == 0:
                others = [requests, *supervisor_ends, *(e for e in init_ends if e is not end)]
                _in_child(others, functools.partial(_build, worker, end, number, settings.jail))


def _in_child(others: Sequence[socket.socket], main: Callable[[], None]) -> NoReturn:
    """others: ends of sockets that are not this child's."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for other in others:
            other.close()
        main()
        status = 0
    except ConnectionError:
        status = 0  # the neighbour went first: the worker is ending
    except (JailError, OSError) as e:
        print(f"slot: {e}", file=sys.stderr, flush=True)
    finally:
        os._exit(status)


def _build(
    worker: socket.socket, control: socket.socket, slot: int, settings: JailSettings
) -> None:
    worker.close()
    build_jail(control, slot, settings)


def _supervise(
    worker: socket.socket, inits: Sequence[socket.socket], slot: int, settings: Settings
) -> None:
    """The supervisor's whole life; the worker hears first how the jail came up.

    inits: connections to the first process of the candidates' jail and, where there is one, of
        the resident's.
    """
    init, *others = inits
    pid, error, layers = jail_came_up(init)
    group, group_layers = _make_group(settings, slot, pid)
    resident = None
    for other in others:
        resident, other_error = _make_resident(worker, other, slot + _RESIDENTS, settings)
        error = error or other_error
    hello = {
        "op": "slot",
        "error": error,
        "layers": [layer.to_message() for layer in (*layers, *group_layers)],
    }
    worker.sendall(protocol.encode(hello))
    if error is None:
        _supervisor(worker, init, pid, settings, group=group, resident=resident).serve()


def _make_resident(
    worker: socket.socket, init: socket.socket, number: int, settings: Settings
) -> tuple[Resident | None, str | None]:
    """None where jails share their folders; and why its jail did not come up, where it did not."""
    # Only here, so that languages without one have nothing of it in memory.
    from sandbox_server.worker.resident import Resident

    pid, error, layers = jail_came_up(init)
    if error is not None or not isolation.in_force("mount_namespace", layers):
        return None, error
    group, _ = _make_group(settings, number, pid)
    return Resident(_supervisor(worker, init, pid, settings, group=group)), None


def _supervisor(
    worker: socket.socket,
    init: socket.socket,
    pid: int,
    settings: Settings,
    *,
    group: cgroups.SlotCgroup | None,
    resident: Resident | None = None,
) -> Supervisor:
    # Loaded in supervisors only: what the zygote loads, every process of a jail has to copy.
    from sandbox_server.worker.supervisor import Supervisor

    return Supervisor(
        worker,
        init,
        pid,
        cgroup=group,
        language=settings.language,
        harness=settings.harness,
        resident=resident,
    )


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
