"""The `plum` command: finds its commands and turns errors into one line and an exit code."""

from __future__ import annotations

import errno
import importlib
import importlib.util
import sys
from importlib.metadata import version

import click

from orchestrator.errors import PlumError

#: Command -> module of orchestrator.cli that holds it under the same name. A
#: module is imported only when its command is run or listed.
_COMMANDS = {
    "run": "run",
    "generate": "stages",
    "sample": "stages",
    "check": "stages",
    "label": "stages",
    "export": "stages",
    "train": "stages",
    "report": "stages",
    "evaluate": "evaluate",
    "status": "status",
    "execute": "execute",
}

_INTERRUPTED = 130

#: A full disk, a full quota, a limit on the size of files.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _LazyGroup(click.Group):
    """Commands in the order of the pipeline, each imported when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name, module in _COMMANDS.items() if _exists(module)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module = _COMMANDS.get(cmd_name)
        if module is None or not _exists(module):
            return None
        command = getattr(importlib.import_module(f"orchestrator.cli.{module}"), cmd_name)
        if not isinstance(command, click.Command):
            raise TypeError(f"orchestrator.cli.{module}.{cmd_name} is not a command")
        return command


def _exists(module: str) -> bool:
    return importlib.util.find_spec(f"orchestrator.cli.{module}") is not None


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
      130  interrupted; what was done is kept
    """


def main() -> None:
    """Entry point of the `plum` program."""
    try:
        code = plum.main(standalone_mode=False)
    except click.exceptions.Exit as e:
        code = e.exit_code
    except click.ClickException as e:
        e.show()
        code = e.exit_code
    except PlumError as e:
        print(f"plum: {e}", file=sys.stderr)
        code = e.exit_code
    except (click.Abort, KeyboardInterrupt):
        print("plum: interrupted; run the same command again to go on", file=sys.stderr)
        code = _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our standard output has enough; a second failure at exit would only add noise.
        sys.stderr.close()
        code = 1
    except OSError as e:
        if e.errno not in _NO_ROOM:
            raise
        where = "" if e.filename is None else f"{e.filename}: "
        print(f"plum: {where}{e.strerror}; what was stored before is kept", file=sys.stderr)
        code = PlumError.exit_code
    sys.exit(code if isinstance(code, int) else 0)


if __name__ == "__main__":
    main()
