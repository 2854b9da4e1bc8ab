"""Starts a virtual machine with this checkout in it, runs one command there, and ends it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.guest.root_image import ROOT, RootImage

_MEMORY_MIB = 2560
_PROCESSORS = 2
_WORK_BYTES = 512 << 20
_SWAP_BYTES = 512 << 20
_KERNEL_OPTIONS = (
    "console=ttyS0 quiet loglevel=3 panic=-1 mitigations=off"
    " root=/dev/vda rw init=/sbin/plum-first-process"
)


class GuestError(Exception):
    """The guest ended without saying how its command did."""


def run_in_guest(image: RootImage, kernel: str, command: str, timeout_s: float) -> int:
    """Runs the shell command `command` in the checkout, as root; its output goes to ours.

    Returns: its exit status.

    Raises:
        GuestError: the guest did not start, fell over, or took longer than `timeout_s`.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        work, swap, status = folder / "work.ext4", folder / "swap", folder / "status"
        _make_work_disk(folder / "work", work, command)
        _empty(swap, _SWAP_BYTES)
        qemu = _qemu(image, kernel, (work, swap), status)
        try:
            subprocess.run(qemu, stdin=subprocess.DEVNULL, timeout=timeout_s, check=True)
        except subprocess.TimeoutExpired:
            raise GuestError(f"the guest was stopped after {timeout_s:g} s (--timeout)") from None
        except subprocess.CalledProcessError as e:
            raise GuestError(f"qemu ended with status {e.returncode}") from None
        said = status.read_text(encoding="ascii").strip()
    if not said.isdecimal():
        raise GuestError("the guest ended before its command did")
    return int(said)


def _qemu(image: RootImage, version: str, disks: tuple[Path, ...], status: Path) -> list[str]:
    kernel, initial = image.kernel(version)
    # Five levels of page tables only cost time where a processor is emulated.
    processor = (
        ["-accel", "kvm", "-cpu", "host"]
        if _has_kvm()
        else ["-accel", "tcg,tb-size=512", "-cpu", "max,la57=off"]
    )
    command = [
        *("nice", "-n", "10", "qemu-system-x86_64", *processor),
        *("-smp", str(_PROCESSORS), "-m", str(_MEMORY_MIB)),
        *("-nodefaults", "-no-reboot", "-display", "none"),
        *("-serial", "stdio", "-serial", f"file:{status}"),
        *("-kernel", str(kernel), "-initrd", str(initial), "-append", _KERNEL_OPTIONS),
        *("-drive", f"file={image.disk},format=raw,if=virtio,snapshot=on"),
    ]
    for disk in disks:
        command += ["-drive", f"file={disk},format=raw,if=virtio"]
    return command


def _has_kvm() -> bool:
    # The device alone says little: a virtual machine may have it and not the means.
    flags = Path("/proc/cpuinfo").read_text(encoding="ascii").split()
    return os.access("/dev/kvm", os.W_OK) and not {"vmx", "svm"}.isdisjoint(flags)


def _make_work_disk(folder: Path, disk: Path, command: str) -> None:
    """Checkout and judging sets as they lie beside each other here, and the command."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for path in filter(None, listed.stdout.split("\0")):
        if (ROOT / path).is_file():  # and not deleted
            target = folder / "plum" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, target)
    sets = ROOT.parent / "shared" / "acceptance"
    if sets.is_dir():
        shutil.copytree(sets, folder / "shared" / "acceptance")
    else:
        print(f"test-guest: no judging sets at {sets}", file=sys.stderr, flush=True)
    (folder / "command").write_text(f"{command}\n", encoding="utf-8")
    _empty(disk, _WORK_BYTES)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", folder, disk], check=True)


def _empty(path: Path, size: int) -> None:
    with open(path, "wb") as file:
        file.truncate(size)
