"""The docker launcher with a real engine and the real image."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from orchestrator.domain import Execution, ExecutionResult
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import embedded_sandbox
from sandbox_server.docker_launcher import seccomp_profile

pytestmark = pytest.mark.docker

_RIGHT = "def add(a, b):\n    return a + b\n"
_TEST = "assert add(1, 2) == 3\n"


def _docker(*arguments: str) -> str:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def docker_or_skip(*arguments: str) -> str:
    """What `docker` prints; skips the test where it fails or is absent."""
    try:
        found = _docker(*arguments)
    except FileNotFoundError:
        pytest.skip("docker is not installed")
    if not found:
        pytest.skip(f"docker {' '.join(arguments)} fails: no engine, or scripts/build-images")
    return found


def _containers() -> list[str]:
    return _docker("ps", "--quiet", "--filter", "label=plum.sandbox.language").split()


def _the_container() -> str:
    """The one that runs; after one was killed it takes a moment until the next one does."""
    deadline = time.monotonic() + 60
    while len(found := _containers()) != 1:
        assert time.monotonic() < deadline, found
        time.sleep(0.1)
    return found[0]


@pytest.fixture(scope="module")
def client() -> Iterator[SandboxClient]:
    docker_or_skip("image", "inspect", "plum-sandbox-python")
    with embedded_sandbox("docker", slots=1) as address, SandboxClient([address]) as client:
        yield client
    assert _containers() == []


def _verdict(client: SandboxClient, solution: str, test: str) -> str:
    (outcome,) = client.execute_many([Execution("1", "python", solution, test)])
    assert isinstance(outcome, ExecutionResult), outcome
    return outcome.verdict


def test_programs_are_judged_in_the_container(client: SandboxClient) -> None:
    assert _verdict(client, _RIGHT, _TEST) == "PASSED"
    assert _verdict(client, "def add(a, b):\n    return 0\n", _TEST) == "ASSERTION_FAILED"


def test_other_hash_seeds_have_their_own_order_in_the_container(client: SandboxClient) -> None:
    solution = "def words():\n    return list({'ant', 'bee', 'cow', 'dog', 'elk', 'fox'})\n"
    test = "found = words()\nprint(found)\nassert len(found) == 6\n"
    rows = [
        Execution(str(number), "python", solution, test, hash_seed=number % 3)
        for number in range(9)
    ]
    orders: dict[int, set[bytes]] = {0: set(), 1: set(), 2: set()}
    for outcome in client.execute_many(rows):
        assert isinstance(outcome, ExecutionResult), outcome
        orders[int(outcome.id) % 3].add(outcome.stdout)
    assert [len(found) for found in orders.values()] == [1, 1, 1]
    assert len(set.union(*orders.values())) == 3


def test_the_container_is_hardened(client: SandboxClient) -> None:
    name = _the_container()
    (container,) = json.loads(_docker("inspect", name))
    host, config = container["HostConfig"], container["Config"]
    assert host["ReadonlyRootfs"]
    assert host["CapDrop"] == ["ALL"]
    assert not host["CapAdd"]
    assert not host["Privileged"]
    assert host["NetworkMode"] == "none"
    assert host["PidsLimit"] > 0
    assert host["Memory"] > 0
    assert host["NanoCpus"] > 0
    assert "no-new-privileges" in host["SecurityOpt"]
    assert config["User"] not in {"", "0", "root"}
    assert not any("docker.sock" in bind for bind in host["Binds"])


def test_a_container_that_is_killed_is_replaced_and_no_verdict_changes(
    client: SandboxClient,
) -> None:
    before = _the_container()
    _docker("kill", before)
    assert _verdict(client, _RIGHT, _TEST) == "PASSED"
    assert before not in _containers()


def test_containers_killed_at_random_under_load_change_no_verdict(client: SandboxClient) -> None:
    wrong = "def add(a, b):\n    return a - b\n"
    rows = [Execution(str(n), "python", wrong if n % 3 else _RIGHT, _TEST) for n in range(90)]
    over = threading.Event()
    killed: list[str] = []

    def kill() -> None:
        chance = random.Random(3)
        while len(killed) < 3 and not over.wait(chance.uniform(0.05, 0.3)):
            for name in _containers():
                if name not in killed and _docker("kill", "--signal", "KILL", name):
                    killed.append(name)

    killer = threading.Thread(target=kill)
    killer.start()
    got = {outcome.id: outcome for outcome in client.execute_many(rows)}
    over.set()
    killer.join()
    assert killed
    assert len(got) == len(rows)
    for row in rows:
        outcome = got[row.id]
        assert isinstance(outcome, ExecutionResult), outcome
        assert outcome.verdict == ("PASSED" if row.solution == _RIGHT else "ASSERTION_FAILED")


def test_a_worker_that_is_killed_takes_its_container_along(client: SandboxClient) -> None:
    before = _the_container()
    pid = int(_docker("inspect", "--format", "{{.State.Pid}}", before))
    os.kill(pid, signal.SIGKILL)
    assert _verdict(client, _RIGHT, _TEST) == "PASSED"
    deadline = time.monotonic() + 60
    while before in _containers():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_the_profile_allows_by_name_and_refuses_the_rest() -> None:
    profile = seccomp_profile()
    names = {name for rule in profile["syscalls"] for name in rule["names"]}
    assert profile["defaultAction"] == "SCMP_ACT_ERRNO"
    assert {"unshare", "mount", "clone"} <= names
    assert not names & {"ptrace", "bpf", "keyctl", "kexec_load", "init_module", "io_uring_setup"}
