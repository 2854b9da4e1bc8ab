"""The options that say where workers come from, for every command that needs some."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from sandbox_server.attached_launcher import AttachedLauncher
from sandbox_server.docker_launcher import DockerLauncher
from sandbox_server.languages import ALL, Language, choose_languages
from sandbox_server.launcher import Launcher
from sandbox_server.process_launcher import ProcessLauncher
from sandbox_server.worker.isolation import LEVELS

F = TypeVar("F", bound=Callable[..., Any])


class _Names(click.ParamType[tuple[str, ...]]):
    """Names with commas between them."""

    name = "a,b,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        return tuple(name.strip() for name in str(value).split(",") if name.strip())


@dataclass(frozen=True)
class Workers:
    """Where workers come from.

    languages: those to start with.
    present: the languages whose workers are there at the moment; None where that never changes.
    """

    launcher: Launcher
    languages: list[Language]
    present: Callable[[], list[Language]] | None = None


@dataclass(frozen=True)
class WorkerOptions:
    """What was asked for."""

    launcher: str
    image_prefix: str
    runtime: str | None
    worker_dir: Path | None
    languages: tuple[str, ...] | None
    require_isolation: str | None
    may_lack: bool

    def workers(self, slots: int) -> Workers:
        """The workers asked for, each with `slots` where it is started here.

        Raises:
            click.UsageError: options that do not go together.
            StartupError: an unknown language, or no such folder.
        """
        self._check()
        if self.worker_dir is not None:
            attached = AttachedLauncher(self.worker_dir)
            return Workers(attached, [], lambda: self._wanted(attached.present()))
        languages = choose_languages(self.languages or (ALL,), may_lack=self.may_lack)
        if self.launcher == "docker":
            docker = DockerLauncher(slots, self.require_isolation, self.image_prefix, self.runtime)
            return Workers(docker, languages)
        return Workers(ProcessLauncher(slots, self.require_isolation), languages)

    def _wanted(self, found: list[Language]) -> list[Language]:
        return [one for one in found if self.languages is None or one.name in self.languages]

    def _check(self) -> None:
        attached = self.launcher == "attached"
        if self.runtime is not None and self.launcher != "docker":
            raise click.UsageError(f"--runtime is for --launcher docker, not {self.launcher}")
        if attached != (self.worker_dir is not None):
            raise click.UsageError("--launcher attached and --worker-dir need each other")
        if attached and self.require_isolation is not None:
            raise click.UsageError(
                "--require-isolation is for workers that are started here; give it to those that "
                "are attached on their own command lines"
            )


_OPTIONS = (
    click.option(
        "--require-isolation",
        type=click.Choice(list(LEVELS)),
        default=None,
        help="Refuse to start where less isolation than this can be had, of these from the "
        "weakest to the strongest.  [default: the worker's, standard]",
    ),
    click.option(
        "--languages",
        type=_Names(),
        default=None,
        help="Languages to serve, with commas between them.  [default: each whose toolchain is "
        "found; attached: those whose workers are there]",
    ),
    click.option(
        "--may-lack",
        is_flag=True,
        help="Leave out languages that cannot be served here, and say so.  [default: where "
        "--languages names none]",
    ),
    click.option(
        "--launcher",
        type=click.Choice(["process", "docker", "attached"]),
        default="process",
        show_default=True,
        help="How workers are started. process: children of this server, which needs no "
        "set-up. docker: one hardened container for each language. attached: not at all; "
        "they run already (sidecars of a pod) and are found in --worker-dir.",
    ),
    click.option(
        "--image-prefix",
        default="plum-sandbox-",
        show_default=True,
        help="docker: a language's image is this and its name.",
    ),
    click.option(
        "--runtime",
        help="docker: a container runtime that the engine knows, for example runsc.",
    ),
    click.option(
        "--worker-dir",
        type=click.Path(path_type=Path),
        help="attached: the folder in which workers listen, each as LANGUAGE.sock.",
    ),
)


def worker_options(command: F) -> F:
    """Adds the options; the command receives them as one `options: WorkerOptions`."""

    @functools.wraps(command)
    def with_options(
        *,
        launcher: str,
        image_prefix: str,
        runtime: str | None,
        worker_dir: Path | None,
        languages: tuple[str, ...] | None,
        require_isolation: str | None,
        may_lack: bool,
        **rest: Any,
    ) -> Any:
        options = WorkerOptions(
            launcher,
            image_prefix,
            runtime,
            worker_dir,
            languages,
            require_isolation,
            may_lack=may_lack or languages is None,
        )
        return command(options=options, **rest)

    wrapped: Any = with_options
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]
