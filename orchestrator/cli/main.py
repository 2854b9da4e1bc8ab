"""The `plum` command: finds its commands and turns errors into one line and an exit code."""

from __future__ import annotations

import importlib
from importlib.metadata import version

import click

from orchestrator.cli.program import run_program

#: Command -> module of orchestrator.cli that holds it under the same name. A
#: module is imported only when its command is run or listed.
_COMMANDS = {
    "run": "run",
    "generate": "stages",
    "sample": "stages",
    "check": "stages",
    "label": "stages",
    "export": "export",
    "train": "stages",
    "report": "stages",
    "evaluate": "evaluate",
    "status": "status",
    "execute": "execute",
}


class _LazyGroup(click.Group):
    """Commands in the order of the pipeline, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None:
            return None
        command = getattr(importlib.import_module(f"orchestrator.cli.{module}"), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"orchestrator.cli.{module}.{cmd_name} is not a command")
        return command


@click.group(
    cls=_LazyGroup,
    context_settings={"auto_envvar_prefix": "PLUM", "help_option_names": ["-h", "--help"]},
)
@click.version_option(version("plum-code"), prog_name="plum")
def plum() -> None:
    """Preference learning for code models from test cases.

    Every option can also be set in the environment: PLUM_<COMMAND>_<OPTION>,
    for example PLUM_EXECUTE_SANDBOX=localhost:50061.

    \b
    Exit codes of every command:
      0    done
      1    failed; the reason is the last line on standard error
      2    bad input: file, line, field, value and bound are named
      3    the sandbox could not be reached or did not answer everything;
           what was done is kept, run the command again
      4    the recipe's bound on the cost is reached; what was paid for is kept,
           run the command again with a higher one
      130  interrupted; what was done is kept
    """


def main() -> None:
    """Entry point of the `plum` program."""
    run_program(plum, "plum", "run the same command again to go on")


if __name__ == "__main__":
    main()
