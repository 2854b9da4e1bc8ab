"""One worker, from its command line to its end."""

from __future__ import annotations

import gc
import marshal
import os
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from sandbox_server.worker import (
    cgroups,
    isolation,
    linux,
    messages,
    pages,
    protocol,
    stdio,
    zygote,
)
from sandbox_server.worker.aside import aside
from sandbox_server.worker.build import JailSettings
from sandbox_server.worker.confine import Confinement
from sandbox_server.worker.errors import RefusedError
from sandbox_server.worker.harness import load_harness
from sandbox_server.worker.jail_contract import Harness
from sandbox_server.worker.language import Language, load_language
from sandbox_server.worker.seccomp import compile_filters

_EXIT_REFUSED = 1
_EXIT_PROTOCOL = 3
_REMOVAL_TIMEOUT_S = 2.0


@dataclass(frozen=True)
class _Options:
    language_dir: Path
    slots: int
    require_isolation: str
    socket: Path | None
    connect: Path | None
    socket_fd: int | None
    stdio: bool


def main() -> int:
    """Runs one worker; returns its exit status."""
    options = _parse()
    if options.socket is None:
        return _serve(_connect(options), options)
    # Whatever ends is reaped by the kernel, in this process and in those that follow it.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    ending = _Ending()
    gateway = _listen(options.socket)
    ending.defer()
    status = _serve(gateway, options)
    if status == 0 and not ending.asked:
        # Afresh for the next gateway: nothing that this one sent is in memory then.
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
    return status


class _Ending:
    """SIGTERM ends a worker that waits for a gateway at once, and one that has one after it."""

    def __init__(self) -> None:
        self.asked = False
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))

    def defer(self) -> None:
        """From now on there is a gateway."""
        signal.signal(signal.SIGTERM, lambda *_: setattr(self, "asked", True))


def _serve(gateway: socket.socket, options: _Options) -> int:
    try:
        language = load_language(options.language_dir)
        settings = settings_of(language, os.getpid())
        zygote_end = _fork_zygote(settings, gateway)
    except RefusedError as e:
        gateway.sendall(protocol.encode({"op": "refused", "reason": str(e)}))
        print(f"refused: {e}", file=sys.stderr)
        return _EXIT_REFUSED
    import asyncio

    from sandbox_server.worker.server import Server

    server = Server(gateway, zygote_end, language, options.slots)
    try:
        asyncio.run(server.run(options.require_isolation))
    except RefusedError as e:
        print(f"refused: {e}", file=sys.stderr)
        return _EXIT_REFUSED
    except protocol.ProtocolError as e:
        print(f"the gateway broke the protocol: {e}", file=sys.stderr)
        return _EXIT_PROTOCOL
    finally:
        zygote_end.close()
        _remove_groups(settings)
    return 0


def _parse() -> _Options:
    """The command line. Ends the worker where it is wrong, or asks for help."""
    # What reads it would stay in memory.
    data, status = aside(lambda: marshal.dumps(_parsed()))
    if not data:
        sys.exit(status)
    values = marshal.loads(data)
    paths = {
        name: values[name] and Path(values[name]) for name in ("socket", "connect", "language_dir")
    }
    return _Options(**{**values, **paths})


def _parsed() -> dict[str, str | int | bool | None]:
    import argparse

    parser = argparse.ArgumentParser(prog="sandbox_server.worker", description="Starts a worker.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--socket", help="listen here for the gateway")
    where.add_argument("--connect", help="connect here to the gateway")
    where.add_argument("--socket-fd", type=int, help="descriptor of a connection to the gateway")
    where.add_argument(
        "--stdio", action="store_true", help="the gateway is at standard input and output"
    )
    parser.add_argument("--language-dir", required=True)
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--require-isolation", choices=sorted(isolation.LEVELS), default="standard")
    return vars(parser.parse_args())


def _connect(options: _Options) -> socket.socket:
    if options.socket_fd is not None:
        return socket.socket(fileno=options.socket_fd)
    if options.stdio:
        return stdio.connect()
    if options.connect is not None:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(options.connect))
        return connection
    raise AssertionError("argparse asks for one of them")


def _listen(path: Path) -> socket.socket:
    """The connection of the one gateway that came; the socket is gone then."""
    # One that a worker left which was killed. Nobody else's: a name belongs to one worker.
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(path))
            path.chmod(0o660)
            listener.listen(1)
            connection, _ = listener.accept()
        finally:
            path.unlink(missing_ok=True)
    return connection


def settings_of(language: Language, worker_pid: int) -> zygote.Settings:
    """What every slot has in common. worker_pid: of the worker's main process.

    Raises:
        RefusedError: the language cannot be served.
    """
    missing: dict[str, str] = {}
    first_filter = role_filter = None
    try:
        filters = compile_filters(("exec",) if language.programs else ())
        first_filter, role_filter = map(linux.SeccompFilter, filters)
    except RefusedError as e:
        missing["seccomp"] = f"{e}; install pyseccomp (PyPI) or python3-seccomp, and libseccomp2"
    try:
        if linux.landlock_abi() < linux.LANDLOCK_ABI_WITH_SCOPES:
            missing["landlock"] = "the kernel's Landlock cannot scope signals: needs Linux 6.12"
    except OSError as e:
        missing["landlock"] = f"{e}; needs Linux 6.12 with Landlock among its security modules"
    separate_users = os.geteuid() == 0 and _may_map_users()
    if not separate_users:
        missing["separate_users"] = "only root may map a second user; run the worker as root"
    hierarchy: cgroups.Hierarchy | cgroups.CgroupUnavailable
    try:
        hierarchy = found = cgroups.find_hierarchy()
        cgroups.remove_groups_of_the_dead(found)
    except cgroups.CgroupUnavailable as e:
        hierarchy = e
    confinement = Confinement(role_filter, None, separate_users, base_address_space_bytes=0)
    jail = JailSettings(confinement, first_filter, missing, language.default_limits.file_bytes)
    harness, jail = _load_harness(language, jail)
    return zygote.Settings(
        language=language,
        harness=harness,
        jail=jail,
        hierarchy=hierarchy,
        worker_pid=worker_pid,
    )


def _may_map_users() -> bool:
    cap_setgid, cap_setuid = 1 << 6, 1 << 7
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("CapEff:"):
            effective = int(line.split()[1], 16)
            return effective & (cap_setgid | cap_setuid) == cap_setgid | cap_setuid
    return False


def _load_harness(language: Language, jail: JailSettings) -> tuple[Harness, JailSettings]:
    """What judges, and the jails that it needs.

    What it needs of the toolchain is made here, before anything is forked.
    """
    if language.programs is not None:
        # Each MB that is loaded before the first fork makes every fork longer.
        from sandbox_server.worker.programs import load

        judging = load(language)
        return judging, jail._replace(folders=judging.folders, links=judging.links)
    harness = load_harness(str(language.folder))
    if harness is None:
        raise RefusedError(f"{language.folder} has neither [run] in language.toml nor a harness")
    return cast(Harness, harness), jail


def _fork_zygote(settings: zygote.Settings, gateway: socket.socket) -> socket.socket:
    ours, theirs = messages.pair()
    if os.fork() == 0:
        status = 1
        try:
            # A signal from a terminal is for the main process, which closes the connections.
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            gateway.close()
            ours.close()
            be_zygote(theirs, settings)
            status = 0
        finally:
            os._exit(status)
    theirs.close()
    return ours


def be_zygote(requests: socket.socket, settings: zygote.Settings) -> None:
    """The whole life of a zygote; returns when the worker is gone."""
    settings.harness.warm()
    pages.put_code_in_huge_pages()
    gc.collect()
    gc.freeze()
    zygote.serve(requests, settings)


def _remove_groups(settings: zygote.Settings) -> None:
    if isinstance(settings.hierarchy, cgroups.CgroupUnavailable):
        return
    deadline = time.monotonic() + _REMOVAL_TIMEOUT_S
    while not cgroups.remove_groups_of_the_dead(settings.hierarchy, also=os.getpid()):
        if time.monotonic() > deadline:
            print("control groups are left: their processes do not end", file=sys.stderr)
            return
        time.sleep(0.01)
