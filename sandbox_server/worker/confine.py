"""What a freshly forked process of a jail does to itself before it runs anything else.

The order matters: descriptors, limits, user, capabilities, Landlock, and seccomp last. What can
be inherited (umask, no new privileges, an empty environment, that nobody may look into its memory)
the jail's first process has already.
Each Python object that is touched here for the first time costs a page, so little is: calls are
bound to names of this module, and tuples are taken apart at once, since every name that is looked
up in another object touches three.
"""

from __future__ import annotations

# Below the standard library's `signal`, whose conversions to and from enum members touch fifty
# pages, each of which a forked process must copy.
import _signal  # type: ignore[import-not-found]
import contextlib
import resource
from collections.abc import Sequence
from os import O_RDONLY, close, closerange, dup2, setresgid, setresuid
from os import open as open_file
from typing import NamedTuple

from sandbox_server.worker import linux
from sandbox_server.worker.linux import (
    become_user,
    drop_capabilities,
    install_seccomp,
    landlock_restrict,
)
from sandbox_server.worker.orders import RoleLimits

#: Users inside the jail, where the platform lets the worker map more than one.
CANDIDATE_UID = 1000
JUDGE_UID = 1001

#: Limits that every process of a jail inherits from the first one.
_FIXED_LIMITS = (
    (resource.RLIMIT_STACK, 8 << 20),
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_MEMLOCK, 0),
)
_KERNEL_OBJECT_LIMITS = ((resource.RLIMIT_MSGQUEUE, 0), (resource.RLIMIT_SIGPENDING, 1024))
_set_limit = resource.setrlimit
_interrupt, _set_signal_handler = _signal.default_int_handler, _signal.signal
_SIGINT: int = _signal.SIGINT
_CPU, _ADDRESS_SPACE, _DATA, _PROCESSES, _FILE_SIZE, _OPEN_FILES = (
    resource.RLIMIT_CPU,
    resource.RLIMIT_AS,
    resource.RLIMIT_DATA,
    resource.RLIMIT_NPROC,
    resource.RLIMIT_FSIZE,
    resource.RLIMIT_NOFILE,
)
#: Address space beyond the memory limit: thread stacks and allocator arenas reserve, and never use, it.
_RESERVED_BYTES = 512 << 20
#: Processes of a jail that are ours: the first one, the judge, the candidate's main one.
OWN_PROCESSES = 3
_NO_FD_BEYOND = 1 << 30


class Confinement(NamedTuple):
    """What is the same for every process of a slot."""

    #: Beside the one that the first process is under already.
    seccomp_filter: linux.SeccompFilter | None
    #: The rules that the first process is under already. A role is put under them once more where
    #: there are others beside it: each such domain keeps its signals to itself.
    landlock_fd: int | None
    #: Whether CANDIDATE_UID and JUDGE_UID are mapped; otherwise all share one user.
    separate_users: bool
    #: Address space of the process that is forked, before it does anything.
    base_address_space_bytes: int


def keep_descriptors(stdout: int, stderr: int, others: Sequence[int]) -> None:
    """Leaves open: an empty input, `stdout`, `stderr`, and `others` under their own numbers.

    All of them lie above 2.
    """
    # Opened anew: flags set on a description that others share would outlive this process.
    dup2(open_file("/dev/null", O_RDONLY), 0)
    dup2(stdout, 1)
    dup2(stderr, 2)
    below = 3
    for fd in sorted(others):
        closerange(below, fd)
        below = fd + 1
    closerange(below, _NO_FD_BEYOND)


def limit_resources(limits: RoleLimits, base_address_space_bytes: int) -> None:
    """Sets the rlimits that depend on the execution; none can be raised again."""
    cpu_time_s, memory_bytes, processes, file_bytes, open_files, address_space_bytes = limits
    cpu_s = int(cpu_time_s) + 2
    data_bytes = base_address_space_bytes + 2 * memory_bytes + _RESERVED_BYTES
    address_space = address_space_bytes or data_bytes
    processes += OWN_PROCESSES
    _set_limit(_CPU, (cpu_s, cpu_s + 1))
    _set_limit(_ADDRESS_SPACE, (address_space, address_space))
    if address_space_bytes is not None:
        # Private memory that can be written to: what a program reserves only, it does not count.
        _set_limit(_DATA, (data_bytes, data_bytes))
    _set_limit(_PROCESSES, (processes, processes))
    _set_limit(_FILE_SIZE, (file_bytes, file_bytes))
    _set_limit(_OPEN_FILES, (open_files, open_files))


def limit_for_all() -> None:
    """In the jail's first process: sets the rlimits that every process inherits from it."""
    for name, bound in _FIXED_LIMITS:
        resource.setrlimit(name, (bound, bound))
    for name, bound in _KERNEL_OBJECT_LIMITS:
        # A kernel that has no such objects to count (gVisor) refuses.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(name, (bound, bound))


def confine(confinement: Confinement, limits: RoleLimits, untrusted: bool, alone: bool) -> None:
    """Takes from this process all that a jailed one may not have. There is no way back.

    alone: whether the stage has no other role.

    Raises:
        OSError: a layer that is said to be in force cannot be put on; the caller must end.
    """
    # The jail's first process handles no signals; a program expects Python's ways.
    seccomp_filter, landlock_fd, separate_users, base_address_space_bytes = confinement
    _set_signal_handler(_SIGINT, _interrupt)
    limit_resources(limits, base_address_space_bytes)
    if separate_users:
        uid = CANDIDATE_UID if untrusted else JUDGE_UID
        setresgid(uid, uid, uid)
        if untrusted:
            setresuid(uid, uid, uid)  # from 0 to another: no capability is left
        else:
            # A suite writes files for the candidate to read, and reads what it wrote.
            become_user(uid, file_uid=CANDIDATE_UID)
    else:
        drop_capabilities()
    if landlock_fd is not None:
        if not alone:
            landlock_restrict(landlock_fd)
        close(landlock_fd)
    if seccomp_filter is not None:
        install_seccomp(seccomp_filter)
