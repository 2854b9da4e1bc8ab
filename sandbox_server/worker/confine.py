"""What a freshly forked process of a jail does to itself before it runs anything else.

The order matters: descriptors, limits, user, capabilities, Landlock, and seccomp last. What can
be inherited (umask, no new privileges, an empty environment) the jail's first process has already.
Each Python object that is touched here for the first time costs a page, so little is.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import signal

# Below the standard library's `signal`, whose conversions to and from enum members touch fifty
# pages, each of which a forked process must copy.
from _signal import signal as _set_signal_handler  # type: ignore[import-not-found]
from collections.abc import Sequence
from dataclasses import dataclass

from sandbox_server.worker import linux

#: Users inside the jail, where the platform lets the worker map more than one.
CANDIDATE_UID = 1000
JUDGE_UID = 1001

_STACK_BYTES = 8 << 20
#: Address space beyond the memory limit: thread stacks and allocator arenas reserve, and never use, it.
_RESERVED_BYTES = 512 << 20
#: Processes of a jail that are ours: the first one, the judge, the candidate's main one.
OWN_PROCESSES = 3
#: Descriptors are moved up here while they are put in order.
_HIGH_FD = 32
_NO_FD_BEYOND = 1 << 30


@dataclass(frozen=True)
class Confinement:
    """What is the same for every process of a slot."""

    seccomp_program: bytes | None
    landlock_fd: int | None
    #: Whether CANDIDATE_UID and JUDGE_UID are mapped; otherwise all share one user.
    separate_users: bool
    #: Address space of the process that is forked, before it does anything.
    base_address_space_bytes: int


@dataclass(frozen=True)
class RoleLimits:
    """Limits that the kernel holds for each process by itself, as the last line of defence."""

    cpu_time_s: float
    memory_bytes: int
    processes: int
    file_bytes: int
    open_files: int


def arrange_descriptors(stdout: int, stderr: int, others: Sequence[int]) -> list[int]:
    """Leaves open: empty input, `stdout`, `stderr`, then `others` from 3 on; returns the last."""
    null = os.open("/dev/null", os.O_RDONLY)
    wanted = [null, stdout, stderr, *others]
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, _HIGH_FD) for fd in wanted]
    for target, fd in enumerate(high):
        os.dup2(fd, target)
    os.closerange(len(wanted), _NO_FD_BEYOND)
    return list(range(3, len(wanted)))


def limit_resources(limits: RoleLimits, base_address_space_bytes: int) -> None:
    """Sets every rlimit; none can be raised again."""
    cpu_s = int(limits.cpu_time_s) + 2
    address_space = base_address_space_bytes + 2 * limits.memory_bytes + _RESERVED_BYTES
    bounds = {
        resource.RLIMIT_CPU: (cpu_s, cpu_s + 1),
        resource.RLIMIT_AS: address_space,
        resource.RLIMIT_NPROC: limits.processes + OWN_PROCESSES,
        resource.RLIMIT_FSIZE: limits.file_bytes,
        resource.RLIMIT_NOFILE: limits.open_files,
        resource.RLIMIT_STACK: _STACK_BYTES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    for name, bound in bounds.items():
        resource.setrlimit(name, bound if isinstance(bound, tuple) else (bound, bound))


def limit_kernel_objects() -> None:
    """Sets what is the same for every process of a jail and belongs to its user: once is enough."""
    for name, bound in ((resource.RLIMIT_MSGQUEUE, 0), (resource.RLIMIT_SIGPENDING, 1024)):
        # A kernel that has no such objects to count (gVisor) refuses.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(name, (bound, bound))


def confine(confinement: Confinement, limits: RoleLimits, untrusted: bool) -> None:
    """Takes from this process all that a jailed one may not have. There is no way back.

    Raises:
        OSError: a layer that is said to be in force cannot be put on; the caller must end.
    """
    # The jail's first process handles no signals; a program expects Python's ways.
    _set_signal_handler(signal.SIGINT, signal.default_int_handler)
    limit_resources(limits, confinement.base_address_space_bytes)
    if confinement.separate_users:
        uid = CANDIDATE_UID if untrusted else JUDGE_UID
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)  # from 0 to another: no capability is left
    else:
        linux.drop_capabilities()
    linux.set_dumpable(False)
    if confinement.landlock_fd is not None:
        linux.landlock_restrict(confinement.landlock_fd)
        os.close(confinement.landlock_fd)
    if confinement.seccomp_program is not None:
        linux.install_seccomp(confinement.seccomp_program)
