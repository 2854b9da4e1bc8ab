"""A gateway and a worker in containers that share nothing but a volume in memory, as in a pod."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.domain import Execution, ExecutionResult
from orchestrator.sandbox.client import SandboxClient
from sandbox_server.docker_launcher import seccomp_profile
from tests.integration.test_attached_launcher import until
from tests.integration.test_docker_launcher import docker_or_skip

pytestmark = pytest.mark.docker

_RIGHT = "def add(a, b):\n    return a + b\n"
_TEST = "assert add(1, 2) == 3\n"
_HARDENED = (
    *("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
    *("--user", "65532:65532", "--network", "none"),
)


def _docker(*arguments: str) -> str:
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


class Pod:
    """Containers that share a folder of sockets."""

    def __init__(self, folder: Path) -> None:
        self.name = f"plum-test-{secrets.token_hex(4)}"
        self._folder = folder
        options = "type=tmpfs device=tmpfs o=size=1m,uid=65532,gid=65532,mode=770"
        pairs = [part for option in options.split() for part in ("--opt", option)]
        _docker("volume", "create", "--driver", "local", *pairs, self.name)
        (folder / "profile.json").write_text(json.dumps(seccomp_profile()), encoding="ascii")

    def run(self, part: str, image: str, *arguments: str, options: tuple[str, ...] = ()) -> None:
        """Starts a container of `image`."""
        shared = ("--volume", f"{self.name}:/run/plum")
        name = ("--detach", "--name", f"{self.name}-{part}")
        _docker("run", *name, *_HARDENED, *shared, *options, image, *arguments)

    def run_worker(self) -> None:
        """Starts the worker of Python."""
        confined = ("--security-opt", f"seccomp={self._folder}/profile.json", "--tmpfs", "/tmp")
        arguments = ("--slots", "1", "--socket", "/run/plum/python.sock")
        self.run("worker", "plum-sandbox-python", *arguments, options=confined)

    def kill_worker(self) -> None:
        """Kills the worker's container."""
        _docker("rm", "--force", f"{self.name}-worker")

    def close(self) -> None:
        """Removes everything."""
        for part in ("gateway", "worker"):
            subprocess.run(
                ["docker", "rm", "-f", f"{self.name}-{part}"], capture_output=True, check=False
            )
        _docker("volume", "rm", self.name)


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[Pod]:
    for image in ("plum-sandbox-python", "plum-sandbox-gateway"):
        docker_or_skip("image", "inspect", image)
    running = Pod(tmp_path)
    yield running
    running.close()


def test_a_gateway_serves_the_worker_beside_it_and_its_successor(pod: Pod, tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    pod.run(
        "gateway",
        "plum-sandbox-gateway",
        *("serve", "--launcher", "attached", "--worker-dir", "/run/plum"),
        *("--listen", "unix:/serve/s.sock"),
        options=("--volume", f"{tmp_path}:/serve"),
    )
    until((tmp_path / "s.sock").exists)
    rows = [Execution(str(n), "python", _RIGHT, _TEST) for n in range(40)]
    with SandboxClient([f"unix:{tmp_path}/s.sock"], retry_s=60) as client:
        pod.run_worker()
        until(lambda: bool(client.info().languages))
        got = []
        for outcome in client.execute_many(rows):
            got.append(outcome)
            if len(got) == 10:
                pod.kill_worker()
                pod.run_worker()
    assert sorted(int(outcome.id) for outcome in got) == list(range(40))
    for outcome in got:
        assert isinstance(outcome, ExecutionResult), outcome
        assert outcome.verdict == "PASSED"
