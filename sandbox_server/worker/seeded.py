"""A zygote whose hashes have another seed than the worker's.

The interpreter takes the seed when it starts, so it is started afresh, by a child of the usual
zygote: that one has never seen an execution, and the program that it becomes begins with memory
of its own and one descriptor, the line on which it is asked for slots.
"""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import NoReturn

from sandbox_server.worker import forking

_REQUESTS_FD = 3
_EXIT_REFUSED = 1


def start(requests: socket.socket, hash_seed: int, language: Path, worker_pid: int) -> NoReturn:
    """Turns this process into a zygote with that seed, which serves `requests`.

    Raises:
        OSError: the interpreter cannot be started.
    """
    if requests.fileno() != _REQUESTS_FD:
        os.dup2(requests.fileno(), _REQUESTS_FD)
    os.set_inheritable(_REQUESTS_FD, True)
    os.closerange(_REQUESTS_FD + 1, os.sysconf("SC_OPEN_MAX"))
    # The interpreter's own options, as the worker was started with them.
    options = sys.orig_argv[1 : sys.orig_argv.index("-m")]
    arguments = [str(_REQUESTS_FD), str(language), str(worker_pid)]
    os.execve(
        sys.executable,
        [sys.executable, *options, "-m", "sandbox_server.worker.seeded", *arguments],
        {**os.environ, "PYTHONHASHSEED": str(hash_seed)},
    )


def _main(requests_fd: str, language_dir: str, worker_pid: str) -> int:
    from sandbox_server.worker.errors import RefusedError
    from sandbox_server.worker.language import load_language
    from sandbox_server.worker.main import be_zygote, settings_of

    with socket.socket(fileno=int(requests_fd)) as requests:
        requests.set_inheritable(False)
        try:
            settings = settings_of(load_language(Path(language_dir)), int(worker_pid))
        except RefusedError as e:
            print(f"refused: {e}", file=sys.stderr)
            return _EXIT_REFUSED
        be_zygote(requests, settings)
    return 0


if __name__ == "__main__":
    forking.hold_back()  # before `main` imports what registers handlers
    sys.exit(_main(*sys.argv[1:]))
