"""A sandbox server of one's own: `plum-sandbox serve` as a child process on a Unix socket."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import SandboxError

#: Workers compile and prove themselves first; slow toolchains on a busy machine take a while.
_START_TIMEOUT_S = 180.0
_STOP_TIMEOUT_S = 10.0
#: A Unix socket's path may have 107 bytes; ours adds this many to the temporary folder's.
_SOCKET_PATH_BYTES = 107
_NAME_BYTES = len("/plum-sandbox-xxxxxxxx/sandbox.sock")
_PREFIX = "plum-sandbox-"
_LOCK = "owner.lock"


@contextmanager
def embedded_sandbox(
    launcher: str = "process",
    slots: int | None = None,
    require_isolation: str | None = None,
    languages: Sequence[str] = ("python",),
) -> Iterator[str]:
    """Runs a server for the time of the `with` block and yields its address.

    The server ends with this process, however that ends.

    slots: executions at one time; None: one per core.
    languages: those that will be needed. Those that cannot be served are left out.

    Raises:
        SandboxError: the server did not come up; the message holds its own reason.
    """
    with _private_folder() as folder:
        address = f"unix:{folder}/sandbox.sock"
        command = [_program(), "serve", "--listen", address, "--launcher", launcher]
        command += ["--languages", ",".join(languages), "--may-lack"]
        command += ["--json", "--stop-at-eof", "--grace", "0"]
        if slots is not None:
            command += ["--slots", str(slots)]
        if require_isolation is not None:
            command += ["--require-isolation", require_isolation]
        log = Path(folder, "log")
        with log.open("wb") as log_file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log_file,
                # A Ctrl-C in the terminal is for us: we stop the server when we have finished.
                start_new_session=True,
            )
        try:
            _wait_ready(process, log)
            yield address
        finally:
            _stop(process)


@contextmanager
def open_sandbox(
    address: str | None,
    launcher: str = "process",
    *,
    slots: int | None = None,
    require_isolation: str | None = None,
    languages: Sequence[str] = ("python",),
) -> Iterator[str]:
    """The address to use: `address` itself, or where it is None that of an embedded server.

    launcher, slots, require_isolation, languages: of the embedded server.

    Raises:
        SandboxError: the embedded server did not come up.
    """
    if address is not None:
        yield address
        return
    with embedded_sandbox(launcher, slots, require_isolation, languages) as own:
        yield own


def _program() -> str:
    """The `plum-sandbox` that was installed with us, or else the first on the path."""
    beside = Path(sys.executable).parent / "plum-sandbox"
    found = str(beside) if beside.exists() else shutil.which("plum-sandbox")
    if found is None:
        raise SandboxError(
            "the program plum-sandbox is not installed: pip install 'plum-code[sandbox]', "
            "or name a running server with --sandbox"
        )
    return found


@contextmanager
def _private_folder() -> Iterator[str]:
    """A folder of our own, with a lock in it that is free as soon as this process is gone."""
    parent = _short_parent()
    remove_abandoned(parent)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent) as folder:
        lock = Path(folder, _LOCK)
        with lock.with_suffix(".new").open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            # Only now it gets its name: nobody ever finds it there and free while we live.
            lock.with_suffix(".new").rename(lock)
            yield folder


def remove_abandoned(parent: Path) -> None:
    """Removes from `parent` the folders of processes that were killed before they could."""
    for lock in parent.glob(f"{_PREFIX}*/{_LOCK}"):
        with contextlib.suppress(OSError):  # in use, or gone already
            if lock.parent.lstat().st_uid != os.getuid():
                continue
            with lock.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent)


def _short_parent() -> Path:
    """Where private folders are made."""
    usual = tempfile.gettempdir()
    fits = len(os.fsencode(usual)) + _NAME_BYTES <= _SOCKET_PATH_BYTES
    return Path(usual if fits else "/tmp")


def _wait_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    assert process.stdout is not None
    # The line, or the end of the stream, ends the wait; a server that does neither is killed.
    overdue = threading.Timer(_START_TIMEOUT_S, process.kill)
    overdue.start()
    try:
        line = process.stdout.readline()
    finally:
        overdue.cancel()
    try:
        json.loads(line)
    except ValueError:
        process.wait()
        raise SandboxError(f"the embedded sandbox did not start: {_reason(log)}") from None


def _reason(log: Path) -> str:
    """The last line that the server wrote."""
    lines = log.read_text("utf-8", "backslashreplace").strip().splitlines()
    if not lines:
        return f"it said nothing within {_START_TIMEOUT_S:.0f} s"
    return lines[-1].removeprefix("plum-sandbox: ")


def _stop(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()  # which is the signal to stop
    try:
        process.wait(_STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
