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

from orchestrator.sandbox.client import SandboxClient, Tls, read_token
from orchestrator.sandbox.embedded import open_sandbox

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class SandboxChoice:
    """Which sandbox to use; by default an embedded one."""

    addresses: tuple[str, ...]
    launcher: str
    slots: int | None
    token_file: Path | None
    ca: Path | None
    retry_for: float

    @contextmanager
    def open(self, languages: Sequence[str]) -> Iterator[SandboxClient]:
        """A client of it. An embedded server serves `languages` and is stopped at the end.

        Raises:
            InputError: the token or certificate file is no good.
            SandboxError: the embedded server did not come up.
        """
        first = self.addresses[0] if self.addresses else None
        with open_sandbox(first, self.launcher, slots=self.slots, languages=languages) as found:
            addresses = self.addresses or (found,)
            with SandboxClient(
                addresses,
                token=None if self.token_file is None else read_token(self.token_file),
                tls=None if self.ca is None else Tls(self.ca),
                retry_s=self.retry_for,
            ) as client:
                yield client


def sandbox_options(command: F) -> F:
    """Adds the options; the command receives them as one `sandbox: SandboxChoice`."""

    @click.option(
        "--sandbox",
        multiple=True,
        metavar="ADDRESS",
        help="A running server: host:port, dns:///name:port (all servers behind the name) or "
        "unix:/path. May be given several times. Without it a server is started for the call.",
    )
    @click.option(
        "--launcher",
        type=click.Choice(["process", "docker"]),
        default="process",
        show_default=True,
        help="How the server that is started runs its workers.",
    )
    @click.option(
        "--slots",
        type=click.IntRange(1, 4096),
        help="Executions at one time in the server that is started.  [default: cores]",
    )
    @click.option(
        "--sandbox-token-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="The bearer token that the running server asks for.",
    )
    @click.option(
        "--sandbox-ca",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Use TLS; the running server's certificate is signed by this authority (PEM).",
    )
    @click.option(
        "--retry-for",
        type=click.FloatRange(0.0, 86400.0),
        default=60.0,
        show_default=True,
        metavar="SECONDS",
        help="How long to try again when no server answers or all are full.",
    )
    @functools.wraps(command)
    def with_choice(
        *,
        sandbox: tuple[str, ...],
        launcher: str,
        slots: int | None,
        sandbox_token_file: Path | None,
        sandbox_ca: Path | None,
        retry_for: float,
        **rest: Any,
    ) -> Any:
        _check_together(sandbox)
        choice = SandboxChoice(sandbox, launcher, slots, sandbox_token_file, sandbox_ca, retry_for)
        return command(sandbox=choice, **rest)

    return with_choice  # type: ignore[return-value]


def _check_together(addresses: Sequence[str]) -> None:
    """Raises click.UsageError where what was given has no meaning beside the rest."""
    if not all(address.strip() for address in addresses):
        raise click.UsageError("--sandbox: an address is empty")
    kind = (
        "is for a server of the call's own, not with --sandbox" if addresses else "needs --sandbox"
    )
    for name in ("launcher", "slots") if addresses else ("sandbox_token_file", "sandbox_ca"):
        # Not those of the environment, which may be set for other calls too.
        given = click.get_current_context().get_parameter_source(name)
        if given is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} {kind}")
