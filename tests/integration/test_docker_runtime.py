"""The docker launcher with a runtime that brings a kernel of its own: gVisor's runsc, of 2022.

That one lets nobody mount in a user namespace, and its sandbox reaches no socket of the host's.
The engine must know it as `runsc`, with the arguments --platform=ptrace --network=none.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from orchestrator.domain import Execution, ExecutionResult
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import embedded_sandbox
from tests.integration.test_docker_launcher import docker_or_skip

pytestmark = pytest.mark.docker

_RUNSC = ("--launcher", "docker", "--runtime", "runsc", "--languages", "python")


@pytest.fixture(scope="module", autouse=True)
def _engine() -> None:
    docker_or_skip("image", "inspect", "plum-sandbox-python")
    if "runsc" not in docker_or_skip("info", "--format", "{{json .Runtimes}}"):
        pytest.skip("the Docker engine does not know the runtime runsc")


@pytest.fixture(scope="module")
def client() -> Iterator[SandboxClient]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("PLUM_SANDBOX_SERVE_RUNTIME", "runsc")
        environment.setenv("PLUM_SANDBOX_SERVE_LANGUAGES", "python")
        with (
            embedded_sandbox("docker", slots=2, require_isolation="contained") as address,
            SandboxClient([address]) as client,
        ):
            yield client


def _selfcheck(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox_server.cli", "selfcheck", *_RUNSC, *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_default_level_is_refused_with_the_missing_layer_and_what_to_do() -> None:
    done = _selfcheck()
    assert done.returncode == 1
    assert "isolation level 'standard' is not reached: mount_namespace" in done.stderr
    assert "--require-isolation contained" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_selfcheck_names_what_is_missing_at_the_level_that_is_reached() -> None:
    done = _selfcheck("--require-isolation", "contained")
    assert done.returncode == 0, done.stderr
    states = {line.split()[0]: line.split()[1] for line in done.stdout.splitlines()[1:]}
    assert states.pop("mount_namespace") == "MISSING"
    for layer in ("pid_namespace", "network_namespace", "private_root", "seccomp"):
        assert states[layer] == "in"


def _found(client: SandboxClient, body: str) -> str:
    suite = "print(repr(found))\nassert repr(found)\n"
    (outcome,) = client.execute_many([Execution("1", "python", body, suite)])
    assert isinstance(outcome, ExecutionResult), outcome
    return outcome.stdout.decode().strip()


def test_slots_that_would_share_their_scratch_folders_are_one(client: SandboxClient) -> None:
    assert [language.slots for language in client.info().languages] == [1]


def test_verdicts_are_the_same(client: SandboxClient) -> None:
    bodies = {"a + b": "PASSED", "a - b": "ASSERTION_FAILED", "__import__('os')._exit(0)": ""}
    for body, verdict in bodies.items():
        row = Execution("1", "python", f"def f(a, b): return {body}\n", "assert f(1, 2) == 3\n")
        (outcome,) = client.execute_many([row])
        assert isinstance(outcome, ExecutionResult), outcome
        assert outcome.verdict == (verdict or "RUNTIME_ERROR")


def test_nothing_that_is_written_meets_the_next_execution(client: SandboxClient) -> None:
    body = """
import os
found = os.path.exists('/tmp/mark') or os.path.exists('/dev/shm/mark')
open('/tmp/mark', 'w').close(); open('/dev/shm/mark', 'w').close()
os.makedirs('/tmp/a/b'); os.chmod('/tmp/a', 0)
for n in range(300):
    os.mkdir('/tmp/deep' if n == 0 else 'deep'); os.chdir('/tmp/deep' if n == 0 else 'deep')
"""
    assert [_found(client, body) for _ in range(3)] == ["False"] * 3


def test_nothing_of_the_container_is_in_sight_but_its_toolchain(client: SandboxClient) -> None:
    body = """
import os
hidden = [p for p in ('/proc', '/sys', '/opt', '/run', '/etc/shadow') if os.path.exists(p)]
open(os.devnull, 'w').write('x')
try:
    open('/lib/mark', 'w'); wrote = True
except OSError:
    wrote = False
found = hidden, wrote
"""
    assert _found(client, body) == "([], False)"
