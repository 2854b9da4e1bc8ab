"""Tries the sandbox in a virtual machine whose kernel has control groups of version 2 only."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.guest.machine import GuestError, run_in_guest
from tests.guest.root_image import root_image

_PLANS = Path(__file__).with_name("plans")
_PROGRAMS = {
    "qemu-system-x86_64": "qemu-system-x86",
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "git": "git",
}
#: Debian's kernels, and the oldest qemu that their guests are known to run on without kvm.
_KERNELS = {"6.1": 7, "6.12": 10}
_FAILED, _BAD_INPUT = 1, 2


def _plans() -> dict[str, str]:
    """What each plan says of itself, by its name."""
    return {
        path.name: path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        for path in sorted(_PLANS.iterdir())
        if not path.suffix
    }


def _parse() -> argparse.Namespace:
    plans = "\n".join(f"  {name:13}{says}" for name, says in _plans().items())
    parser = argparse.ArgumentParser(
        prog="test-guest",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"""\
plans:
{plans}

examples:
  scripts/test-guest                          all plans but `attacks`, on kernel 6.1
  scripts/test-guest --kernel 6.12 root       one, on a kernel whose Landlock has scopes
  scripts/test-guest attacks --timeout 3600   programs that attack the judge
  scripts/test-guest --command 'plum-sandbox selfcheck --languages python'

On Debian, as root. The guest's files are made with mmdebstrap and kept below build/guest, which
takes a few minutes the first time; a machine without kvm then emulates the guest's processors,
some twenty times slower. Output of the guest goes to standard output.
Exit status: 0: all went well; 1: something failed, or the guest did; 2: it cannot be tried here.
""",
    )
    parser.add_argument("plans", nargs="*", metavar="PLAN", help="what to try (see below)")
    parser.add_argument("--kernel", choices=_KERNELS, default="6.1", help="default: %(default)s")
    parser.add_argument(
        "--timeout",
        type=float,
        default=1800,
        metavar="SECONDS",
        help="of one plan, the guest's start included (default: %(default)s)",
    )
    parser.add_argument("--command", help="run this shell command in the guest instead of a plan")
    options = parser.parse_args()
    if unknown := [plan for plan in options.plans if plan not in _plans()]:
        parser.error(f"no such plan: {', '.join(unknown)}")
    if options.command is not None and options.plans:
        parser.error("--command and plans exclude each other")
    return options


def _why_not(kernel: str) -> str | None:
    """Why a guest cannot be made here."""
    if os.geteuid() != 0:
        return "it takes root: a root file system has files of many users"
    missing = [package for name, package in _PROGRAMS.items() if shutil.which(name) is None]
    if missing:
        return f"apt-get install --no-install-recommends {' '.join(missing)}"
    said = subprocess.run(
        ["qemu-system-x86_64", "--version"], check=True, capture_output=True, text=True
    ).stdout
    version = said.split()[3]
    if int(version.split(".")[0]) < _KERNELS[kernel]:
        return (
            f"qemu {version} does not run kernel {kernel}: take qemu-system-x86 of at least"
            f" {_KERNELS[kernel]}.0 (Debian 12: apt-get install -t bookworm-backports)"
        )
    return None


def main() -> int:
    """Runs what was asked for; returns the exit status."""
    options = _parse()
    if (why := _why_not(options.kernel)) is not None:
        print(f"test-guest: {why}", file=sys.stderr)
        return _BAD_INPUT
    image = root_image()
    names = options.plans or [name for name in _plans() if name != "attacks"]
    commands = {name: f"sh tests/guest/plans/{name}" for name in names}
    if options.command is not None:
        commands = {"the command": options.command}
    failed = []
    for name, command in commands.items():
        started = time.monotonic()
        try:
            status = run_in_guest(image, options.kernel, command, options.timeout)
            how = f"ended with status {status}"
        except GuestError as e:
            status, how = _FAILED, str(e)
        took_s = time.monotonic() - started
        print(f"test-guest: {name}: {how} after {took_s:.0f} s", file=sys.stderr, flush=True)
        if status:
            failed.append(name)
    return _FAILED if failed else 0


if __name__ == "__main__":
    sys.exit(main())
