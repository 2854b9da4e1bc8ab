"""The `plum-sandbox` command: options in, one line per result out; no logic of its own."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import json
import logging
import os
import sys
from importlib.metadata import version
from pathlib import Path

import click

from sandbox_server.cli_workers import WorkerOptions, worker_options
from sandbox_server.errors import GatewayError, StartupError
from sandbox_server.evidence import Ready
from sandbox_server.languages import known_languages
from sandbox_server.tls import Tls

_DEFAULT_ADDRESS = "127.0.0.1:50061"

#: What the `sandbox` extra brings to this process.
_SANDBOX_EXTRA = ("docker", "grpc_health", "grpc_reflection", "prometheus_client")


def _cores() -> int:
    return len(os.sched_getaffinity(0))


_slots_option = click.option(
    "--slots",
    type=click.IntRange(1, 4096),
    default=_cores,
    show_default="cores",
    help="Executions at one time.",
)
_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")


@click.group(
    context_settings={"auto_envvar_prefix": "PLUM_SANDBOX", "help_option_names": ["-h", "--help"]}
)
@click.version_option(version("plum-code"), prog_name="plum-sandbox")
def plum_sandbox() -> None:
    """Runs untrusted code against test suites, over gRPC.

    Every option can also be set in the environment: PLUM_SANDBOX_<COMMAND>_<OPTION>,
    for example PLUM_SANDBOX_SERVE_SLOTS=8.

    \b
    Exit codes of every command:
      0    done, or stopped as asked by SIGTERM or SIGINT
      1    cannot start; the reason is the last line on standard error
      2    a bad option
      130  interrupted before it served
    """


@plum_sandbox.command()
@click.option(
    "--listen",
    multiple=True,
    default=[_DEFAULT_ADDRESS],
    show_default=True,
    metavar="ADDRESS",
    help="host:port (port 0: any free one) or unix:/path. May be given several times.",
)
@worker_options
@_slots_option
@click.option(
    "--queue",
    type=click.IntRange(1, 1_000_000),
    default=1024,
    show_default=True,
    help="Executions that may wait for a slot; RESOURCE_EXHAUSTED past it.",
)
@click.option(
    "--max-connection-age",
    type=click.IntRange(1, 1_000_000),
    default=None,
    metavar="SECONDS",
    help="Ask clients to reconnect after this long, so that new replicas get traffic.",
)
@click.option(
    "--grace",
    type=click.IntRange(0, 3600),
    default=30,
    show_default=True,
    metavar="SECONDS",
    help="How long running executions may take to finish after SIGTERM.",
)
@click.option("--tls-cert", type=click.Path(path_type=Path), help="Certificate chain, PEM.")
@click.option("--tls-key", type=click.Path(path_type=Path), help="Its private key, PEM.")
@click.option(
    "--tls-client-ca",
    type=click.Path(path_type=Path),
    help="Demand client certificates signed by this authority, PEM.",
)
@click.option(
    "--auth-token-file",
    type=click.Path(path_type=Path),
    help="Demand the bearer token in this file from every caller.",
)
@click.option(
    "--metrics-port", type=click.IntRange(1, 65535), help="Serve Prometheus metrics on this port."
)
@click.option(
    "--stop-at-eof",
    is_flag=True,
    help="Stop at once when standard input ends: never outlive the program that started this.",
)
@_json_option
def serve(
    *,
    listen: tuple[str, ...],
    options: WorkerOptions,
    slots: int,
    queue: int,
    max_connection_age: int | None,
    grace: int,
    tls_cert: Path | None,
    tls_key: Path | None,
    tls_client_ca: Path | None,
    auth_token_file: Path | None,
    metrics_port: int | None,
    stop_at_eof: bool,
    as_json: bool,
) -> None:
    """Serves until SIGTERM or SIGINT; a second signal stops at once.

    Says on standard output when it is ready and where it listens.

    \b
    Examples:
      plum-sandbox serve
      plum-sandbox serve --listen 0.0.0.0:50061 --slots 8 --max-connection-age 300
      plum-sandbox serve --listen unix:/run/plum/sandbox.sock --json
      plum-sandbox serve --launcher attached --worker-dir /run/plum
    """
    # Late: what these need is an extra, without which there is help nevertheless.
    from sandbox_server.server import Server, Settings
    from sandbox_server.serving import serve_until_stopped

    settings = Settings(
        listen=listen,
        slots=slots,
        queue=queue,
        max_connection_age_s=max_connection_age,
        tls=_tls(tls_cert, tls_key, tls_client_ca),
        auth_token_file=auth_token_file,
        metrics_port=metrics_port,
        may_lack=options.may_lack,
    )
    workers = options.workers(slots)

    def ready(addresses: list[str], served: list[str]) -> None:
        if as_json:
            click.echo(json.dumps({"listening": addresses, "languages": served}))
        else:
            what = ", ".join(served) or "the workers that come"
            click.echo(f"plum-sandbox serves {what} on {', '.join(addresses)}")

    asyncio.run(
        serve_until_stopped(
            lambda: Server(settings, workers.languages, workers.launcher, workers.present),
            grace_s=grace,
            stop_at_eof=stop_at_eof,
            on_ready=ready,
        )
    )


@plum_sandbox.command()
@worker_options
@_json_option
def selfcheck(
    *,
    options: WorkerOptions,
    as_json: bool,
) -> None:
    """Starts each language's worker and shows how well it is isolated here.

    Exit status 1 where a language that may not be lacking cannot be served, or none can.

    \b
    Examples:
      plum-sandbox selfcheck
      plum-sandbox selfcheck --languages python --json
    """
    from sandbox_server.serving import probe

    workers = options.workers(slots=1)
    languages = workers.languages if workers.present is None else workers.present()
    if not languages:
        raise StartupError("no worker listens in the folder of --worker-dir")
    reports, refused = [], []
    for language in languages:
        try:
            reports.append(asyncio.run(probe(workers.launcher, language)))
        except StartupError as e:
            refused.append(str(e))
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(report) for report in reports]))
    else:
        for report in reports:
            click.echo(_table(report))
    if refused and not (reports and options.may_lack):
        raise StartupError("; ".join(refused))
    for reason in refused:
        click.echo(f"not served: {reason}", err=True)


@plum_sandbox.command("languages")
@_json_option
def list_languages(as_json: bool) -> None:
    """Lists the languages that can be served.

    \b
    Examples:
      plum-sandbox languages
      plum-sandbox languages --json
    """
    names = [language.name for language in known_languages()]
    click.echo(json.dumps(names) if as_json else "\n".join(names))


def _tls(certificate: Path | None, key: Path | None, client_ca: Path | None) -> Tls | None:
    if certificate is None and key is None and client_ca is None:
        return None
    if certificate is None or key is None:
        raise click.UsageError("TLS needs both --tls-cert and --tls-key")
    return Tls(certificate, key, client_ca)


def _table(report: Ready) -> str:
    width = max((len(layer.name) for layer in report.isolation), default=0)
    lines = [f"{report.language} ({report.version})"]
    for layer in report.isolation:
        state = "in force" if layer.in_force else "MISSING "
        lines.append(f"  {layer.name:<{width}}  {state}  {layer.detail}")
    return "\n".join(lines)


def main() -> None:
    """Entry point of the `plum-sandbox` program."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s"
    )
    try:
        code = plum_sandbox.main(prog_name="plum-sandbox", standalone_mode=False)
    except click.ClickException as e:
        e.show()
        code = e.exit_code
    except GatewayError as e:
        print(f"plum-sandbox: {e}", file=sys.stderr)
        code = 1
    except ModuleNotFoundError as e:
        package = (e.name or "").split(".")[0]
        if package not in _SANDBOX_EXTRA:
            raise
        print(f"plum-sandbox: no {package}: pip install 'plum-code[sandbox]'", file=sys.stderr)
        code = 1
    except OSError as e:
        if e.filename is not None or e.errno != errno.ENOSPC:
            raise  # a defect of ours is shown whole
        print(f"plum-sandbox: standard output: {e.strerror}", file=sys.stderr)
        code = 1
    except (click.Abort, KeyboardInterrupt):
        print("plum-sandbox: interrupted", file=sys.stderr)
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
