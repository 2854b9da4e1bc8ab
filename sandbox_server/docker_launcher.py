"""Launcher `docker`: one hardened, warm container per language.

The worker in the container connects to a Unix socket that the gateway has put
into a folder of its own; there is no network, and nothing else is shared. Under
a runtime of the user's choice, which may keep the host's sockets out, the two
speak through the container's standard streams. The container ends when its
worker does, and the worker when the gateway closes the line or dies, so neither
outlives the other for long.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import socket
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sandbox_server.docker_stream import ContainerStream
from sandbox_server.errors import StartupError, WorkerFailed
from sandbox_server.languages import Language
from sandbox_server.link import WorkerLink

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container
    from docker.types.daemon import CancellableStream

_log = logging.getLogger("plum-sandbox")

_WORKER_RULES = Path(__file__).parent / "worker" / "seccomp.json"
#: What the worker may do beyond what its jails may: make them. It puts each jail
#: under the stricter list before any candidate code runs there.
_WORKER_CALLS = (
    *("unshare", "mount", "umount2", "pivot_root", "sethostname", "chroot", "setns"),
    *("open_tree", "move_mount", "mount_setattr", "fsopen", "fsconfig", "fsmount"),
    *("seccomp", "prctl", "capset", "landlock_create_ruleset", "landlock_add_rule"),
    *("landlock_restrict_self", "memfd_create", "clone", "clone3", "execve", "socket"),
    *("socketpair", "ioctl", "prlimit64", "sched_setaffinity", "setpriority", "mknodat"),
    *("personality", "execveat"),
)
_SOCKET_FOLDER = "/run/plum"
#: Besides the worker's own: what a jail writes to and reads from where the runtime lets nobody
#: mount, so that the image's /usr must serve as its root (worker/rootfs.py).
_TMPFS = {
    "/tmp": "size=1m,mode=1777,nosuid,nodev,noexec",
    "/usr/tmp": "size=64m,mode=1777,nosuid,nodev",
    "/usr/dev/shm": "size=64m,mode=1777,nosuid,nodev,noexec",
}
_DEVICES = {
    f"/dev/{name}": {"bind": f"/usr/dev/{name}", "mode": "rw"}
    for name in ("null", "zero", "full", "random", "urandom")
}
_CONTAINER_USER = "65532:65532"
#: Of a slot, beside its execution's.
_SLOT_PROCESSES = 32
_OWN_PROCESSES = 32
#: Of a runtime that brings a kernel of its own: its threads, and a stub for each process.
_RUNTIME_PROCESSES = 1024
_OWN_MEMORY_BYTES = 512 << 20
_SLOT_MEMORY_BYTES = 1 << 30
_CONNECT_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5


def seccomp_profile() -> dict[str, Any]:
    """The container's profile: the jails' allow-list and what the worker needs to make jails."""
    rules = json.loads(_WORKER_RULES.read_text(encoding="utf-8"))["rules"]
    names = {name for rule in rules for name in rule.get("allow", ())}
    return {
        "defaultAction": "SCMP_ACT_ERRNO",
        "archMap": [
            {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": []},
            {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": []},
        ],
        "syscalls": [{"names": sorted({*names, *_WORKER_CALLS}), "action": "SCMP_ACT_ALLOW"}],
    }


@dataclass(frozen=True)
class ContainerLimits:
    """How many processes, with their threads, a container may have, and how much memory."""

    processes: int
    memory_bytes: int


def container_limits(language: Language, slots: int, *, own_kernel: bool) -> ContainerLimits:
    """What the container of a language may have.

    A slot has room for one execution, under the language's default limits, and for the compiler
    that stays beside it, where there is one.

    own_kernel: whether the runtime brings one.
    """
    data = tomllib.loads((language.folder / "language.toml").read_text(encoding="utf-8"))
    resident = data.get("resident", {"processes": 0, "memory_bytes": 0})
    slot = _SLOT_PROCESSES + data["limits"]["processes"] + resident["processes"]
    return ContainerLimits(
        processes=slots * slot + (_RUNTIME_PROCESSES if own_kernel else _OWN_PROCESSES),
        memory_bytes=slots * (_SLOT_MEMORY_BYTES + resident["memory_bytes"]) + _OWN_MEMORY_BYTES,
    )


class DockerLauncher:
    """Workers in containers.

    slots: executions each runs at one time.
    require_isolation: the level below which a worker refuses; None: the worker's default.
    image_prefix: a language's image is this and its name.
    runtime: a container runtime the engine knows, for example "runsc"; None: its default.
    """

    name = "docker"

    def __init__(
        self,
        slots: int,
        require_isolation: str | None = None,
        image_prefix: str = "plum-sandbox-",
        runtime: str | None = None,
    ) -> None:
        self._slots = slots
        self._require_isolation = require_isolation
        self._image_prefix = image_prefix
        self._runtime = runtime
        self._client: docker.DockerClient | None = None

    async def start(self, language: Language) -> WorkerLink:
        """See `Launcher.start`.

        Raises:
            StartupError: no engine answers, or it does not have the image.
        """
        if self._runtime is not None:
            return await self._start_attached(language)
        folder = Path(tempfile.mkdtemp(prefix="plum-"))
        try:
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(folder / "worker.sock"))
                # The folder's name is unguessable, and it is closed to all but its owner's mounts.
                os.chmod(folder, 0o711)
                os.chmod(folder / "worker.sock", 0o666)
                listener.listen(1)
                listener.setblocking(False)
                options = ["--connect", f"{_SOCKET_FOLDER}/worker.sock"]
                volumes = {str(folder): {"bind": _SOCKET_FOLDER, "mode": "ro"}}
                container = await asyncio.to_thread(self._create, language, options, volumes)
                await asyncio.to_thread(_begin, container)
                connection = await _accept(listener, container)
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return await WorkerLink.open(connection, lambda: _end(container))

    async def _start_attached(self, language: Language) -> WorkerLink:
        container = await asyncio.to_thread(self._create, language, ["--stdio"], {})
        stream = ContainerStream(await asyncio.to_thread(_attach, container))

        async def release() -> None:
            await _end(container)
            await stream.close()

        try:
            await asyncio.to_thread(_begin, container)
            return await WorkerLink.open(stream.worker, release)
        except WorkerFailed as e:
            raise WorkerFailed(f"{e}: {stream.last_words()}") from e

    def _create(
        self, language: Language, options: list[str], volumes: dict[str, dict[str, str]]
    ) -> Container:
        import docker
        from docker.errors import APIError, DockerException, ImageNotFound
        from docker.types import LogConfig

        limits = container_limits(language, self._slots, own_kernel=self._runtime is not None)
        image = self._image_prefix + language.name
        command = ["--slots", str(self._slots), *options]
        if self._require_isolation is not None:
            command += ["--require-isolation", self._require_isolation]
        if self._runtime is None:
            log = LogConfig(type=LogConfig.types.JSON, config={"max-size": "1m"})
        else:  # what the two say to each other is for no log
            log = LogConfig(type="none")
        try:
            if self._client is None:
                self._client = docker.from_env()
            return self._client.containers.create(
                image,
                command,
                auto_remove=True,
                labels={"plum.sandbox.language": language.name},
                network_mode="none",
                ipc_mode="private",
                read_only=True,
                user=_CONTAINER_USER,
                cap_drop=["ALL"],
                security_opt=["no-new-privileges", "seccomp=" + json.dumps(seccomp_profile())],
                pids_limit=limits.processes,
                mem_limit=limits.memory_bytes,
                memswap_limit=limits.memory_bytes,
                nano_cpus=self._slots * 1_000_000_000,
                volumes=volumes | _DEVICES,
                tmpfs=_TMPFS,
                runtime=self._runtime,
                log_config=log,
                # It ends for the worker when our connection to it does.
                stdin_open=self._runtime is not None,
            )
        except ImageNotFound as e:
            raise StartupError(f"no image {image}: make it with scripts/build-images") from e
        except APIError as e:
            raise WorkerFailed(f"container of {language.name}: {e.explanation or e}") from e
        except DockerException as e:
            raise StartupError(f"no Docker engine answers: {e}") from e


def _attach(container: Container) -> socket.socket:
    """A connection to the streams of a container that has not been started."""
    params = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
    attached: Any = container.attach_socket(params=params)
    # A copy of our own: the client's closes with an object that nobody here keeps.
    return socket.socket(fileno=os.dup(attached.fileno()))


def _begin(container: Container) -> None:
    from docker.errors import APIError

    try:
        container.start()
    except APIError as e:
        container.remove(force=True)
        raise WorkerFailed(f"container does not start: {e.explanation or e}") from e


async def _accept(listener: socket.socket, container: Container) -> socket.socket:
    loop = asyncio.get_running_loop()
    logs = await asyncio.to_thread(_logs, container)
    try:
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            accepting = asyncio.ensure_future(loop.sock_accept(listener))
            ending = asyncio.ensure_future(asyncio.to_thread(_last_words, logs))
            done, _ = await asyncio.wait({accepting, ending}, return_when=asyncio.FIRST_COMPLETED)
    except TimeoutError:
        await _end(container)
        raise WorkerFailed(f"container did not connect within {_CONNECT_TIMEOUT_S:.0f} s") from None
    finally:
        # Or the thread that reads them would be taken for as long as the container runs.
        logs.close()
    if accepting in done:
        connection, _ = accepting.result()
        return connection
    accepting.cancel()
    status = await asyncio.to_thread(_exit_status, container)
    raise WorkerFailed(f"container ended before it connected: {status}{ending.result()}")


def _logs(container: Container) -> CancellableStream[bytes]:
    from docker.errors import APIError

    try:
        return container.logs(stream=True, follow=True)
    except APIError as e:  # removed as soon as it ended
        raise WorkerFailed(f"container ended before it connected: {e.explanation or e}") from e


def _last_words(logs: Iterable[bytes]) -> str:
    """The end of what a container writes until it ends, or `logs` are closed."""
    last = b""
    for line in logs:
        last = (last + line)[-1000:]
    return last.decode(errors="replace")


def _exit_status(container: Container) -> str:
    """How the container ended, if that can still be told."""
    from docker.errors import APIError

    try:
        return f"exit status {container.wait()['StatusCode']}: "
    except APIError:  # removed as soon as it ended
        return ""


async def _end(container: Container) -> None:
    await asyncio.to_thread(_kill, container)


def _kill(container: Container) -> None:
    from docker.errors import APIError

    try:
        container.kill()
        container.wait(condition="removed", timeout=_STOP_TIMEOUT_S)
    except (APIError, OSError) as e:
        _log.debug("container %s had ended: %s", container.short_id, e)
