"""The options that name a sandbox, for every command that needs one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from orchestrator.cli.numbers import Number
from orchestrator.errors import InputError
from orchestrator.sandbox.access import Tls, read_certificates, read_key, read_token
from orchestrator.sandbox.addresses import address_problem
from orchestrator.sandbox.bounds import LAUNCHERS, RETRY_FOR_S, SLOTS
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import open_sandbox

#: Options that say something of the server that is started for the call, or of one that runs.
_OF_OUR_OWN = ("launcher", "slots")
_OF_A_RUNNING_ONE = ("sandbox_token_file", "sandbox_ca", "sandbox_cert", "sandbox_key")

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class SandboxChoice:
    """Which sandbox to use; by default an embedded one."""

    addresses: tuple[str, ...]
    launcher: str
    slots: int | None
    token_file: Path | None
    tls: Tls | None
    retry_for: float

    @contextmanager
    def open(self, languages: Sequence[str]) -> Iterator[SandboxClient]:
        """A client of it. An embedded server serves `languages` and is stopped at the end.

        Raises:
            InputError: the file of the token or one of TLS is no good.
            SandboxError: the embedded server did not come up.
        """
        first = self.addresses[0] if self.addresses else None
        with open_sandbox(first, self.launcher, slots=self.slots, languages=languages) as found:
            addresses = self.addresses or (found,)
            with SandboxClient(
                addresses,
                token=None if self.token_file is None else read_token(self.token_file),
                tls=self.tls,
                retry_s=self.retry_for,
            ) as client:
                yield client


def _that_serves(
    read: Callable[[Path], object],
) -> Callable[[click.Context, click.Parameter, Path | None], Path | None]:
    """A callback of an option whose file `read` must take; otherwise click.BadParameter."""

    def check(context: click.Context, option: click.Parameter, file: Path | None) -> Path | None:
        if file is not None:
            try:
                read(file)
            except InputError as e:
                raise click.BadParameter(str(e)) from e
        return file

    return check


_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
_OPTIONS = (
    click.option(
        "--sandbox",
        multiple=True,
        metavar="ADDRESS",
        help="A running server: host:port, dns:///name:port (all servers behind the name) or "
        "unix:/path. May be given several times. Without it a server is started for the call.",
    ),
    click.option(
        "--launcher",
        type=click.Choice(LAUNCHERS),
        default="process",
        show_default=True,
        help="How the server that is started runs its workers.",
    ),
    click.option(
        "--slots",
        type=click.IntRange(*SLOTS),
        help="Executions at one time in the server that is started.  [default: cores]",
    ),
    click.option(
        "--sandbox-token-file",
        type=_FILE,
        callback=_that_serves(read_token),
        help="The bearer token that the running server asks for.",
    ),
    click.option(
        "--sandbox-ca",
        type=_FILE,
        callback=_that_serves(read_certificates),
        help="Use TLS; the running server's certificate is signed by this authority (PEM).",
    ),
    click.option(
        "--sandbox-cert",
        type=_FILE,
        callback=_that_serves(read_certificates),
        help="Our certificate, for a running server that demands one (PEM).",
    ),
    click.option("--sandbox-key", type=_FILE, help="Its private key (PEM)."),
    click.option(
        "--retry-for",
        type=Number(*RETRY_FOR_S),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to try again when no server answers or all are full.",
    ),
)


def sandbox_options(command: F) -> F:
    """Adds the options; the command receives them as one `sandbox: SandboxChoice`."""

    @functools.wraps(command)
    def with_choice(
        *,
        sandbox: tuple[str, ...],
        launcher: str,
        slots: int | None,
        sandbox_token_file: Path | None,
        sandbox_ca: Path | None,
        sandbox_cert: Path | None,
        sandbox_key: Path | None,
        retry_for: float,
        **rest: Any,
    ) -> Any:
        _check_together(sandbox)
        tls = _tls(sandbox_ca, sandbox_cert, sandbox_key)
        choice = SandboxChoice(sandbox, launcher, slots, sandbox_token_file, tls, retry_for)
        return command(sandbox=choice, **rest)

    wrapped: Any = with_choice
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]


def _tls(ca: Path | None, certificate: Path | None, key: Path | None) -> Tls | None:
    if (certificate is None) != (key is None):
        raise click.UsageError("--sandbox-cert and --sandbox-key need each other")
    if certificate is not None and key is not None:
        if ca is None:
            raise click.UsageError("--sandbox-cert needs --sandbox-ca")
        try:
            read_key(key, certificate)
        except InputError as e:
            raise click.UsageError(f"--sandbox-key {e}") from e
    return None if ca is None else Tls(ca, certificate, key)


def _check_together(addresses: Sequence[str]) -> None:
    """Raises click.UsageError where what was given has no meaning beside the rest."""
    for address in addresses:
        wrong = address_problem(address)
        if wrong is not None:
            raise click.UsageError(f"--sandbox {address!r} {wrong}")
    kind = (
        "is for a server of the call's own, not with --sandbox" if addresses else "needs --sandbox"
    )
    for name in _OF_OUR_OWN if addresses else _OF_A_RUNNING_ONE:
        # Not those of the environment, which may be set for other calls too.
        given = click.get_current_context().get_parameter_source(name)
        if given is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} {kind}")
