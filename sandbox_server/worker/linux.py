"""The system calls that the standard library does not offer, by their manual-page names.

Every function raises OSError with the call's name where the kernel refuses.
"""

from __future__ import annotations

import ctypes
import errno
import os

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_NOATIME = 0x400
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 2

_PR_SET_DUMPABLE = 4
_PR_SET_KEEPCAPS = 8
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_CHILD_SUBREAPER = 36
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAP_SETUID = 7
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

# Numbers shared by every architecture since Linux 5.1, but for the first.
_NR_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_NR_CAPSET = {"x86_64": 126, "aarch64": 91}
_NR_OPEN_TREE = 428
_NR_MOVE_MOUNT = 429
_NR_MOUNT_SETATTR = 442
_NR_LANDLOCK_CREATE_RULESET = 444
_NR_LANDLOCK_RESTRICT_SELF = 446

_AT_FDCWD = -100
_AT_EMPTY_PATH = 0x1000
_AT_RECURSIVE = 0x8000
_OPEN_TREE_CLONE = 1
_OPEN_TREE_CLOEXEC = os.O_CLOEXEC
_MOVE_MOUNT_F_EMPTY_PATH = 0x4
_MOUNT_ATTR_RDONLY = 0x1
_MOUNT_ATTR_NOSUID = 0x2
_MOUNT_ATTR_NODEV = 0x4

_machine = os.uname().machine


def _check(result: int, name: str) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
    return result


def _syscall(name: str, number: int, *arguments: object) -> int:
    return _check(int(_libc.syscall(ctypes.c_long(number), *arguments)), name)


def unshare(flags: int) -> None:
    """unshare(2)."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    """mount(2)."""
    result = _libc.mount(
        source.encode(),
        target.encode(),
        kind.encode(),
        ctypes.c_ulong(flags),
        data.encode() or None,
    )
    _check(result, f"mount {kind} on {target}")


def umount(target: str, flags: int) -> None:
    """umount2(2)."""
    _check(_libc.umount2(target.encode(), flags), f"umount {target}")


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    _syscall("pivot_root", _NR_PIVOT_ROOT[_machine], new_root.encode(), put_old.encode())


def open_tree(path: str) -> int:
    """A detached copy of the mounts at and below `path`, as a descriptor."""
    flags = _OPEN_TREE_CLONE | _OPEN_TREE_CLOEXEC | _AT_RECURSIVE
    return _syscall(f"open_tree {path}", _NR_OPEN_TREE, _AT_FDCWD, path.encode(), flags)


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def make_tree_read_only(tree_fd: int, *, devices: bool = False) -> None:
    """Makes every mount of a detached tree read-only and nosuid, and nodev unless `devices`."""
    attributes = _MOUNT_ATTR_RDONLY | _MOUNT_ATTR_NOSUID | (0 if devices else _MOUNT_ATTR_NODEV)
    attr = _MountAttr(attr_set=attributes)
    flags = _AT_EMPTY_PATH | _AT_RECURSIVE
    size = ctypes.c_size_t(ctypes.sizeof(attr))
    _syscall("mount_setattr", _NR_MOUNT_SETATTR, tree_fd, b"", flags, ctypes.byref(attr), size)


def make_mount_read_only(path: str) -> None:
    """Makes the one mount at `path` read-only, without those below it."""
    attr = _MountAttr(attr_set=_MOUNT_ATTR_RDONLY)
    size = ctypes.c_size_t(ctypes.sizeof(attr))
    _syscall(
        "mount_setattr", _NR_MOUNT_SETATTR, _AT_FDCWD, path.encode(), 0, ctypes.byref(attr), size
    )


def move_mount(tree_fd: int, target: str) -> None:
    """Attaches a detached tree at `target`."""
    _syscall(
        f"move_mount {target}",
        _NR_MOVE_MOUNT,
        tree_fd,
        b"",
        _AT_FDCWD,
        target.encode(),
        _MOVE_MOUNT_F_EMPTY_PATH,
    )


_raw_prctl = _libc.prctl
_raw_prctl.argtypes = (ctypes.c_int, *[ctypes.c_ulong] * 4)


def _prctl(name: str, option: int, second: int, third: int = 0) -> int:
    return _check(_raw_prctl(option, second, third, 0, 0), name)


def set_dumpable(dumpable: bool) -> None:
    """Says whether others of the same user may look into this process."""
    _prctl("prctl(PR_SET_DUMPABLE)", _PR_SET_DUMPABLE, int(dumpable))


def set_child_subreaper() -> None:
    """Makes this process the parent of its orphaned descendants."""
    _prctl("prctl(PR_SET_CHILD_SUBREAPER)", _PR_SET_CHILD_SUBREAPER, 1)


def set_no_new_privileges() -> None:
    """No program that this process starts can gain privileges, for good."""
    _prctl("prctl(PR_SET_NO_NEW_PRIVS)", _PR_SET_NO_NEW_PRIVS, 1)


class _CapHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


def _capset_arguments(mask: int) -> tuple[object, ...]:
    header = _CapHeader(version=0x20080522, pid=0)
    sets = (ctypes.c_uint32 * 6)(mask, mask)
    return ctypes.c_long(_NR_CAPSET[_machine]), ctypes.byref(header), ctypes.byref(sets)


#: Made here, since each object of ctypes that a freshly forked process makes costs it pages.
_setfsuid = _libc.setfsuid
_SET_NO_CAPABILITIES = _capset_arguments(0)
_SET_SETUID_ONLY = _capset_arguments(1 << _CAP_SETUID)


def become_user(uid: int, *, file_uid: int) -> None:
    """Makes this process, which is root, user `uid` without capabilities, for good.

    file_uid: whose files it opens and makes. Unlike the user of a process, this gives
        nobody a right to signal it or to look into it.
    """
    _prctl("prctl(PR_SET_KEEPCAPS)", _PR_SET_KEEPCAPS, 1)
    os.setresuid(uid, uid, uid)
    _check(_libc.syscall(*_SET_SETUID_ONLY), "capset")
    _setfsuid(file_uid)
    _check(_libc.syscall(*_SET_NO_CAPABILITIES), "capset")


def drop_capabilities() -> None:
    """Gives up every capability of this process, ambient ones included."""
    try:
        _prctl("prctl(PR_CAP_AMBIENT)", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    except OSError as e:
        if e.errno != errno.EINVAL:  # which is how a kernel without ambient ones answers
            raise
    _check(_libc.syscall(*_SET_NO_CAPABILITIES), "capset")


class _SockFprog(ctypes.Structure):
    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


class SeccompFilter:
    """A filter in the form that the kernel takes, made once for many processes."""

    def __init__(self, program: bytes) -> None:
        """program: an array of struct sock_filter, 8 bytes each."""
        self.program = program
        self._fprog = _SockFprog(len=len(program) // 8, filter=program)
        self.address = ctypes.addressof(self._fprog)


def install_seccomp(program: SeccompFilter) -> None:
    """Puts this process under the filter, for good."""
    _prctl("prctl(PR_SET_SECCOMP)", _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, program.address)


class _RulesetAttr(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


#: First version of Landlock that can scope signals and abstract sockets.
LANDLOCK_ABI_WITH_SCOPES = 6
_LANDLOCK_TCP_BIND_AND_CONNECT = 0b11
_LANDLOCK_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11


def landlock_abi() -> int:
    """Version of Landlock that the kernel offers."""
    return _syscall(
        "landlock_create_ruleset", _NR_LANDLOCK_CREATE_RULESET, None, ctypes.c_size_t(0), 1
    )


def landlock_ruleset() -> int:
    """A ruleset under which a process can reach no TCP port and signal nobody outside.

    Files need none: the jail's mount namespace holds only what may be seen.
    """
    attr = _RulesetAttr(
        handled_access_fs=0,
        handled_access_net=_LANDLOCK_TCP_BIND_AND_CONNECT,
        scoped=_LANDLOCK_SCOPE_ABSTRACT_SOCKETS_AND_SIGNALS,
    )
    size = ctypes.c_size_t(ctypes.sizeof(attr))
    return _syscall(
        "landlock_create_ruleset", _NR_LANDLOCK_CREATE_RULESET, ctypes.byref(attr), size, 0
    )


def landlock_restrict(ruleset_fd: int) -> None:
    """Puts this process under `ruleset_fd`, for good."""
    _syscall("landlock_restrict_self", _NR_LANDLOCK_RESTRICT_SELF, ruleset_fd, 0)
