"""What a candidate cannot see, reach or become, asked of a real worker."""

from __future__ import annotations

import errno

import pytest

from sandbox_server.worker.isolation import FULL, STANDARD
from tests.worker_process import WorkerProcess


def test_every_layer_is_reported_and_the_standard_ones_are_in_force(worker: WorkerProcess) -> None:
    layers = {layer["name"]: layer for layer in worker.first["isolation"]}
    assert set(FULL) <= set(layers)
    assert [name for name in STANDARD if not layers[name]["in_force"]] == []
    assert all(layer["detail"] for layer in layers.values())


def test_the_root_holds_the_toolchain_and_nothing_else(worker: WorkerProcess) -> None:
    body = """
import os, sys
toolchain = {sys.prefix, sys.base_prefix, '/usr/lib', '/usr/lib64', '/lib', '/lib64'}
toolchain |= {'/usr/share/zoneinfo', '/etc', '/dev', '/tmp'}
def beside(folder):
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if path in toolchain:
            continue
        if any(wanted.startswith(path + '/') for wanted in toolchain):
            yield from beside(path)
        else:
            yield path
found = sorted(beside('/'))
"""
    assert worker.outcome(body) == "[]"


def test_nothing_of_the_root_can_be_written(worker: WorkerProcess) -> None:
    body = """
import os, sys
found = []
for d in ('/', '/usr/lib', '/etc', '/dev', sys.prefix, os.path.dirname(os.__file__)):
    try:
        open(d + '/mark', 'w').close(); found.append(d)
    except OSError:
        pass
"""
    assert worker.outcome(body) == "[]"


def test_devices_are_the_harmless_ones(worker: WorkerProcess) -> None:
    devices = "['full', 'null', 'random', 'shm', 'urandom', 'zero']"
    assert worker.outcome("import os\nfound = sorted(os.listdir('/dev'))") == devices


def test_the_environment_holds_nothing_of_the_servers(worker: WorkerProcess) -> None:
    names = "['HOME', 'LANG', 'PATH', 'TMPDIR', 'USER']"
    assert worker.outcome("import os\nfound = sorted(os.environ)") == names


def test_a_candidate_has_no_capabilities_and_cannot_gain_any(worker: WorkerProcess) -> None:
    body = """
import ctypes
libc = ctypes.CDLL(None)
header = (ctypes.c_uint32 * 2)(0x20080522, 0); sets = (ctypes.c_uint32 * 6)()
libc.capget(header, sets)
found = (list(sets), libc.prctl(39, 0, 0, 0, 0))
"""
    # PR_GET_NO_NEW_PRIVS (39) is not among the calls that are allowed: -1.
    assert worker.outcome(body) == "([0, 0, 0, 0, 0, 0], -1)"


CALLS = {
    "unshare": "libc.unshare(0x10000000)",
    "mount": "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)",
    "ptrace": "libc.ptrace(16, 1, 0, 0)",
    "process_vm_readv": "libc.syscall(310, 1, None, 0, None, 0, 0)",
    "bpf": "libc.syscall(321, 0, None, 0)",
    "perf_event_open": "libc.syscall(298, None, 0, -1, -1, 0)",
    "io_uring_setup": "libc.syscall(425, 1, None)",
    "userfaultfd": "libc.syscall(323, 0)",
    "keyctl": "libc.syscall(250, 0, -3, 1)",
    "clone with a namespace": "libc.syscall(56, 0x10000011, 0, 0, 0, 0)",
    "clone3": "libc.syscall(435, None, 0)",
    "setns": "libc.setns(0, 0)",
    "pivot_root": "libc.syscall(155, b'/', b'/')",
    "chroot": "libc.chroot(b'/tmp')",
    "open_by_handle_at": "libc.syscall(304, 0, None, 0)",
    "kexec_load": "libc.syscall(246, 0, 0, None, 0)",
    "reboot": "libc.syscall(169, 0, 0, 0, None)",
    "init_module": "libc.syscall(175, None, 0, b'')",
    "pidfd_getfd": "libc.syscall(438, 0, 0, 0)",
    "an Internet socket": "libc.socket(2, 1, 0)",
    "a netlink socket": "libc.socket(16, 3, 0)",
    "a packet socket": "libc.socket(17, 3, 0)",
    "TIOCSTI": "libc.ioctl(0, 0x5412, b'x')",
    "a block device": "libc.mknod(b'/tmp/d', 0o60600, 0xfe00)",
    "execve": "libc.execve(b'/usr/bin/true', None, None)",
    "a lease on a file": "(libc.fcntl(0, 1024, 0), ctypes.get_errno())",
    # What the jail's first process may: each would succeed, or fail otherwise than by EPERM.
    "umount": "(libc.umount2(b'/no/such', 2), ctypes.get_errno())",
    "landlock_restrict_self": "(libc.syscall(446, -1, 0), ctypes.get_errno())",
    "capset": "(libc.syscall(126, None, None), ctypes.get_errno())",
    "PR_CAP_AMBIENT": "(libc.prctl(47, 4, 0, 0, 0), ctypes.get_errno())",
    "PR_SET_SECCOMP": "(libc.prctl(22, 9, 0, 0, 0), ctypes.get_errno())",
}


@pytest.mark.live
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS.keys())
def test_the_kernel_refuses(worker: WorkerProcess, call: str) -> None:
    body = f"import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\nfound = {call}"
    assert worker.outcome(body) in ("-1", f"(-1, {errno.EPERM})")


@pytest.mark.live
def test_everything_that_a_candidate_can_kill_is_its_own(worker: WorkerProcess) -> None:
    solution = "import os, signal\ndef attack():\n    os.kill(-1, signal.SIGKILL)\n    return 1\n"
    result = worker.execute(solution, "assert attack() == 2")
    assert result["verdict"] in {"RUNTIME_ERROR", "ASSERTION_FAILED"}
    assert worker.execute("x = 1", "assert x == 1")["verdict"] == "PASSED"


def test_a_level_that_is_not_reached_is_refused_with_the_layer_and_how_to_get_it() -> None:
    # Landlock and a second user are root's and newer kernels': an ordinary user never has both.
    worker = WorkerProcess(1, "--require-isolation", "full")
    if worker.first["op"] == "ready":
        in_force = {la["name"] for la in worker.first["isolation"] if la["in_force"]}
        assert set(FULL) <= in_force
    else:
        assert worker.first["op"] == "refused"
        assert "is not reached" in worker.first["reason"]
    worker.close()
