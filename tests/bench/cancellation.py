"""How long after a client cancels an execution the last process of its jail is gone.

    .venv/bin/python -m tests.bench.cancellation [--count 100]

The candidate has left a process in a session of its own. Prints JSON: milliseconds, p50, p99, max.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import grpc
from google.protobuf.duration_pb2 import Duration
from plum.sandbox.v1 import sandbox_pb2 as pb
from plum.sandbox.v1 import sandbox_pb2_grpc

from orchestrator.sandbox.embedded import embedded_sandbox
from tests.adversarial.jailed import gateway_of, processes

_SOLUTION = "import os, time\nif os.fork() == 0:\n    os.setsid()\ntime.sleep(1000)\n"
#: What the candidate is and forks, and what waits in the other jail of the slot.
_PROCESSES = 3


def _measure(stub: sandbox_pb2_grpc.SandboxServiceStub, gateway: int) -> float:
    """Seconds from the client's cancel to the end of the last process."""
    execution = pb.Execution(
        id="x",
        language="python",
        solution=_SOLUTION,
        test="assert 1 == 1\n",
        limits=pb.Limits(wall_time=Duration(seconds=900)),
    )
    call = stub.Execute.future(pb.ExecuteRequest(execution=execution))
    while len(processes(gateway, "jailed")) < _PROCESSES:
        time.sleep(0.001)
    time.sleep(0.05)  # a judge may come beside them
    jailed = processes(gateway, "jailed")
    began = time.perf_counter()
    call.cancel()
    # One stays, which waits in the slot's other jail.
    while sum(os.path.exists(f"/proc/{pid}") for pid in jailed) > 1:
        time.sleep(0.0005)
    return time.perf_counter() - began


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=100)
    count = parser.parse_args().count
    with embedded_sandbox(slots=1) as address, grpc.insecure_channel(address) as channel:
        stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
        gateway = gateway_of(address)
        taken_ms = sorted(1000 * _measure(stub, gateway) for _ in range(count))
    at = {"p50": taken_ms[count // 2], "p99": taken_ms[count * 99 // 100], "max": taken_ms[-1]}
    print(json.dumps({name: round(value, 2) for name, value in at.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
