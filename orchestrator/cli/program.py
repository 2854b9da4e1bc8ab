"""Runs a command as a program: an error is one line and an exit code."""

from __future__ import annotations

import errno
import os
import sys
from typing import NoReturn

import click

from orchestrator.errors import PlumError

_INTERRUPTED = 130

#: A full disk, a full quota, a limit on the size of files.
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def run_program(command: click.Command, name: str, again: str) -> NoReturn:
    """Runs `command` on the arguments of this process and ends it.

    A number that it returns is the exit code; every other end of it is 0.

    name: of the program, in front of its messages.
    again: how an interrupted command is continued.
    """
    # What gRPC's core logs is for its developers; what a user can use of it is in our own message.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        code = command.main(prog_name=name, standalone_mode=False)
    except click.exceptions.Exit as e:
        code = e.exit_code
    except click.ClickException as e:
        e.show()
        code = e.exit_code
    except PlumError as e:
        print(f"{name}: {e}", file=sys.stderr)
        code = e.exit_code
    except (click.Abort, KeyboardInterrupt):
        print(f"{name}: interrupted; {again}", file=sys.stderr)
        code = _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our standard output has enough; a second failure at exit would only add noise.
        sys.stderr.close()
        code = 1
    except OSError as e:
        if e.filename is None and e.errno not in _NO_ROOM:
            raise  # no file of the user's is in the way: a defect of ours is shown whole
        where = "" if e.filename is None else f"{e.filename}: "
        kept = "; what was stored before is kept" if e.errno in _NO_ROOM else ""
        print(f"{name}: {where}{e.strerror}{kept}", file=sys.stderr)
        code = PlumError.exit_code
    sys.exit(code if isinstance(code, int) else 0)
