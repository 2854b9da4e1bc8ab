"""An execution that nobody waits for any more is killed, with all that it has started."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from plum.sandbox.v1 import sandbox_pb2 as pb
from plum.sandbox.v1 import sandbox_pb2_grpc

from orchestrator.sandbox.embedded import embedded_sandbox
from tests.adversarial.jailed import gateway_of, processes
from tests.integration.gateway import run_one

pytestmark = pytest.mark.live

#: Leaves processes in sessions of their own, which ignore what can be ignored, and sleep.
_STUBBORN = """
import os, signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
for _ in range(5):
    if os.fork() == 0:
        os.setsid()
        break
time.sleep(1000)
"""
#: The candidate, those that it leaves, and what waits in the other jail; whether a judge is beside
#: them depends on the suite.
_PROCESSES = 7


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with embedded_sandbox(slots=1) as address:
        yield address


def _request() -> pb.Execution:
    limits = pb.Limits(wall_time=Duration(seconds=900))
    return pb.Execution(
        id="x", language="python", solution=_STUBBORN, test="assert 1 == 1\n", limits=limits
    )


def _jailed(gateway: int, enough: Callable[[set[int]], bool]) -> set[int]:
    """The processes of the jail, as soon as they are `enough`."""
    deadline = time.monotonic() + 60
    while not enough(found := set(processes(gateway, "jailed"))):
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


@pytest.mark.parametrize("way", ["unary", "stream", "deadline", "connection"])
def test_nothing_of_it_is_left_and_its_slot_is_free(address: str, way: str) -> None:
    gateway = gateway_of(address)
    with grpc.insecure_channel(address) as channel:
        stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
        if way == "stream":
            request = pb.ExecuteStreamRequest(executions=[_request()])
            call = stub.ExecuteStream(iter([request]))
        else:
            timeout_s = 10.0 if way == "deadline" else None
            call = stub.Execute.future(pb.ExecuteRequest(execution=_request()), timeout=timeout_s)
        running = _jailed(gateway, lambda found: len(found) >= _PROCESSES)
        if way == "connection":
            channel.close()
        elif way != "deadline":
            call.cancel()
        # In each of the slot's two jails one waits to be the next candidate's: in the other one
        # the same as before.
        _jailed(gateway, lambda found: len(found) <= 2 and len(found & running) <= 1)
    with grpc.insecure_channel(address) as channel:
        assert run_one(channel, "x = 1\n", "assert x == 1\n").verdict == pb.VERDICT_PASSED
