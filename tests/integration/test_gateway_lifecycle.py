"""Starting, stopping and guarding a gateway."""

from __future__ import annotations

import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from grpc import StatusCode
from grpc_health.v1 import health_pb2, health_pb2_grpc
from plum.sandbox.v1 import sandbox_pb2 as pb
from plum.sandbox.v1 import sandbox_pb2_grpc

from orchestrator.errors import SandboxError
from orchestrator.sandbox.access import Tls
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import embedded_sandbox
from sandbox_server.errors import StartupError
from sandbox_server.tls import Tls as ServerTls
from sandbox_server.tls import server_credentials
from tests.certificates import make_certificate
from tests.integration.gateway import gateway, run_one, stop
from tests.integration.test_gateway import item, one_by_one

TOKEN = "0123456789abcdef"


def _health(channel: grpc.Channel) -> Iterator[int]:
    call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    return (answer.status for answer in call)


def test_sigterm_says_not_serving_finishes_what_runs_and_exits_with_zero(tmp_path: Path) -> None:
    with gateway(tmp_path) as running, running.channel() as channel:
        health = _health(channel)
        assert next(health) == health_pb2.HealthCheckResponse.SERVING
        stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
        items = [item("a", "sleep 0.7"), item("b")]
        call = one_by_one(stub.ExecuteStream(iter(items), timeout=60))
        assert next(call).id == "b"
        running.process.send_signal(signal.SIGTERM)
        assert next(health) == health_pb2.HealthCheckResponse.NOT_SERVING
        assert next(call).result.verdict == pb.VERDICT_PASSED
        assert running.process.wait(60) == 0


def test_stream_without_an_end_is_told_that_the_server_stops(tmp_path: Path) -> None:
    with gateway(tmp_path) as running, running.channel() as channel:
        stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
        never = socket.socketpair()  # reading from it blocks until it is closed

        def requests() -> Iterator[pb.ExecuteStreamRequest]:
            yield item("a")
            never[0].recv(1)

        call = one_by_one(stub.ExecuteStream(requests(), timeout=60))
        assert next(call).id == "a"
        assert stop(running.process) == 0
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert caught.value.code() == StatusCode.UNAVAILABLE
        never[1].close()
        never[0].close()


def test_second_signal_does_not_wait(tmp_path: Path) -> None:
    with gateway(tmp_path) as running, running.channel() as channel:
        stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
        call = stub.ExecuteStream(iter([item("a", "sleep 1000"), item("b")]))
        assert next(one_by_one(call)).id == "b"
        health = _health(channel)
        next(health)
        running.process.send_signal(signal.SIGTERM)
        assert next(health) == health_pb2.HealthCheckResponse.NOT_SERVING
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(60) == 1
        call.cancel()


def test_gateway_ends_with_the_program_that_started_it(tmp_path: Path) -> None:
    with gateway(tmp_path, "--stop-at-eof") as running:
        assert running.process.stdin is not None
        running.process.stdin.close()
        running.process.stdin = None  # so that what ends the process on a failure does not use it
        assert running.process.wait(60) == 0


def test_calls_without_the_token_are_refused_but_health_is_open(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    with gateway(tmp_path, "--token-file", str(file)) as guarded, guarded.channel() as channel:
        with pytest.raises(grpc.RpcError) as caught:
            run_one(channel, "pass")
        assert caught.value.code() == StatusCode.UNAUTHENTICATED
        assert next(_health(channel)) == health_pb2.HealthCheckResponse.SERVING
        for token in (None, TOKEN + "0"):
            with (
                SandboxClient([guarded.address], token=token) as client,
                pytest.raises(SandboxError, match="UNAUTHENTICATED"),
            ):
                client.info()
        with SandboxClient([guarded.address], token=TOKEN) as client:
            assert client.info().languages[0].name == "python"


def test_tls_is_spoken_where_a_certificate_is_given(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "server")
    with gateway(tmp_path, "--tls", str(certificate), str(key)) as secure:
        with SandboxClient([secure.address], tls=Tls(certificate)) as client:
            assert client.info().languages[0].name == "python"
        with SandboxClient([secure.address]) as plain, pytest.raises(SandboxError):
            plain.info(wait_s=0.5)


def test_a_client_shows_its_certificate_where_one_is_demanded(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "server")
    ours, our_key = make_certificate(tmp_path, "client")
    with gateway(tmp_path, "--tls", *map(str, (certificate, key, ours))) as secure:
        with SandboxClient([secure.address], tls=Tls(certificate, ours, our_key)) as client:
            assert client.info().languages[0].name == "python"
        for tls in (Tls(certificate), Tls(certificate, certificate, key)):
            with (
                SandboxClient([secure.address], tls=tls) as stranger,
                pytest.raises(SandboxError, match="UNAVAILABLE"),
            ):
                stranger.info(wait_s=0.5)


def _free_port() -> int:
    """A port that nobody listens on, of those that the kernel gives to nobody by itself."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as free, contextlib.suppress(OSError):
            free.bind(("", port))
            return port


def test_metrics_count_verdicts(tmp_path: Path) -> None:
    port = _free_port()
    with gateway(tmp_path, "--metrics-port", str(port)) as running, running.channel() as channel:
        run_one(channel, "fail")
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
            text = response.read().decode()
        verdict = 'language="python",verdict="ASSERTION_FAILED"'
        assert f"plum_sandbox_executions_total{{{verdict}}} 1.0" in text
        assert "plum_sandbox_queue_depth 0.0" in text


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--listen", "nowhere.invalid:1"], "cannot listen on nowhere.invalid:1: "),
        (
            ["--listen", "unix:/proc/none/s.sock"],
            "cannot listen on unix:/proc/none/s.sock: No such file or directory",
        ),
        (
            ["--listen", "203.0.113.1:0"],
            "cannot listen on 203.0.113.1:0: Cannot assign requested address",
        ),
        (["--listen", "127.0.0.1:65536"], "127.0.0.1:65536: not host:port, port within [0, 65535]"),
        (["--listen", "127.0.0.1"], "cannot listen on 127.0.0.1: not host:port"),
        (["--require-isolation", "foo"], "'foo' is not one of 'contained', 'standard'"),
        (["--auth-token-file", "/proc/none"], "--auth-token-file /proc/none"),
        (["--stop-at-eof"], "--stop-at-eof: standard input is no pipe"),
        (["--languages", "cobol", "--may-lack"], "unknown language 'cobol'; known: "),
        (["--tls-cert", "/proc/none", "--tls-key", "x"], "--tls-cert /proc/none: No such file"),
        (["--tls-cert", __file__, "--tls-key", "x"], f"--tls-cert {__file__}: holds no certificat"),
        (["--tls-cert", "x"], "TLS needs both --tls-cert and --tls-key"),
        (["--runtime", "runsc"], "--runtime is for --launcher docker"),
        (["--slots", "0"], "0 is not in the range"),
        (["--grace", "nan"], "'nan' is not a valid integer range"),
        (["--max-connection-age", "0"], "0 is not in the range 1<=x<=1000000"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_line(options: list[str], says: str) -> None:
    # The last --listen counts; none of these comes as far as starting a worker.
    listen = [] if "--listen" in options else ["--listen", "127.0.0.1:0"]
    done = subprocess.run(
        [sys.executable, "-m", "sandbox_server.cli", "serve", *listen, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode in (1, 2)
    assert says in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_files_of_tls_that_are_no_good_are_named_with_their_option(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "ours")
    other, other_key = make_certificate(tmp_path, "other", password="a password")
    for tls, says in (
        (
            ServerTls(certificate, certificate, None),
            f"--tls-key {certificate}: holds no private key",
        ),
        (
            ServerTls(other, other_key, None),
            f"--tls-key {other_key}: holds no private key in PEM form",
        ),
        (ServerTls(other, key, None), f"--tls-key {key}: is not the private key of {other}"),
        (ServerTls(certificate, key, key), f"--tls-client-ca {key}: holds no certificate"),
    ):
        with pytest.raises(StartupError) as refused:
            server_credentials(tls)
        assert str(refused.value).startswith(says)


def test_without_its_extra_it_says_what_brings_it_and_helps_nevertheless() -> None:
    program = (
        "import sys; sys.modules['grpc_health'] = None; sys.argv[0] = 'plum-sandbox'\n"
        "from sandbox_server.cli import main; main()"
    )
    for arguments, code, says in (
        (["serve", "--help"], 0, ""),
        (["serve"], 1, "no grpc_health: pip install 'plum-code[sandbox]'"),
        (["selfcheck"], 1, "no grpc_health: pip install 'plum-code[sandbox]'"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (code, says and f"plum-sandbox: {says}\n")


def test_a_full_disk_behind_standard_output_is_one_line() -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "sandbox_server.cli", "languages"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "plum-sandbox: standard output: No space left on device\n"


def test_embedded_server_serves_and_is_gone_afterwards() -> None:
    with embedded_sandbox(slots=1) as address:
        with SandboxClient([address]) as client:
            assert [language.slots for language in client.info().languages] == [1]
        folder = Path(address.removeprefix("unix:")).parent
        assert folder.stat().st_mode & 0o777 == 0o700
    assert not folder.exists()


def test_embedded_server_that_cannot_start_gives_the_servers_own_reason() -> None:
    with (
        pytest.raises(SandboxError, match="isolation"),
        embedded_sandbox(require_isolation="no-such-level"),
    ):
        raise AssertionError("it started")


def test_ready_line_is_json_where_asked_for(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "sandbox_server.cli", "serve", "--json", "--slots", "1"),
            *("--listen", f"unix:{tmp_path}/s.sock", "--listen", "127.0.0.1:0"),
            *("--languages", "python,cobol", "--may-lack"),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert ready["languages"] == ["python"]
        assert ready["listening"][0] == f"unix:{tmp_path}/s.sock"
        for address in ready["listening"]:
            with SandboxClient([address]) as client:
                assert client.info().launcher == "process"
    finally:
        assert stop(process) == 0
        process.stdout.close()
