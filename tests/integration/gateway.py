"""A gateway in a process of its own, in front of scripted workers (see scripted_worker.py).

Run as a program it is that gateway; imported, it starts and stops one.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from plum.sandbox.v1 import sandbox_pb2 as pb
from plum.sandbox.v1 import sandbox_pb2_grpc

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("scripted_worker.py")


@dataclass(frozen=True)
class Gateway:
    """A running gateway."""

    process: subprocess.Popen[str]
    address: str

    def channel(self) -> grpc.Channel:
        """A new connection to it."""
        return grpc.insecure_channel(self.address)


@contextmanager
def gateway(folder: Path, *options: str, name: str = "gateway.sock") -> Iterator[Gateway]:
    """Starts a gateway on a socket in `folder` and kills it at the end."""
    address = f"unix:{folder}/{name}"
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.integration.gateway", "--listen", address, *options],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline().split()
        assert line, "the gateway did not start"
        yield Gateway(process, line[-1])
    finally:
        process.kill()
        process.communicate()


def run_one(
    channel: grpc.Channel, solution: str, test: str = "", timeout_s: float = 60.0
) -> pb.ExecutionResult:
    """What comes of one unary execution."""
    execution = pb.Execution(id="one", language="python", solution=solution, test=test)
    stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
    return stub.Execute(pb.ExecuteRequest(execution=execution), timeout=timeout_s).result


def stop(process: subprocess.Popen[str]) -> int:
    """Sends SIGTERM and returns the exit status."""
    process.send_signal(signal.SIGTERM)
    return process.wait(60)


def main() -> None:
    """The program."""
    from sandbox_server.languages import Language
    from sandbox_server.process_launcher import ProcessLauncher
    from sandbox_server.server import Server, Settings
    from sandbox_server.serving import serve_until_stopped
    from sandbox_server.tls import Tls

    logging.basicConfig(level=logging.INFO)
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--queue", type=int, default=1024)
    parser.add_argument("--token-file", type=Path)
    parser.add_argument("--metrics-port", type=int)
    parser.add_argument("--tls", type=Path, nargs="+", help="certificate, key, client authority")
    parser.add_argument("--stop-at-eof", action="store_true")
    options = parser.parse_args()
    settings = Settings(
        listen=[options.listen] if options.tls is None else ["localhost:0"],
        slots=options.slots,
        queue=options.queue,
        auth_token_file=options.token_file,
        metrics_port=options.metrics_port,
        tls=None if options.tls is None else Tls(*[*options.tls, None][:3]),
    )
    launcher = ProcessLauncher(options.slots, command=[sys.executable, str(WORKER)])
    asyncio.run(
        serve_until_stopped(
            lambda: Server(settings, [Language("python", Path("/"))], launcher),
            grace_s=20,
            stop_at_eof=options.stop_at_eof,
            on_ready=lambda addresses, _: print("ready", *addresses, flush=True),
        )
    )


if __name__ == "__main__":
    main()
