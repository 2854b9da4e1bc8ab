"""Does something in a process of its own, and leaves nothing of it in this one but the answer.

For what a worker does before it forks anything else: the modules that this
takes would be in the memory of every process of a jail, and so be copied.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable


def aside(work: Callable[[], bytes]) -> tuple[bytes, int]:
    """What `work` returns, and the exit status of its process.

    Where `work` does not return, the answer is empty; what is wrong is on standard error.
    """
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            with open(writing, "wb") as answer:
                answer.write(work())
            status = 0
        except SystemExit as e:
            status = e.code if isinstance(e.code, int) else 1
        except BaseException:  # noqa: BLE001 - the last frame of a process; it reports and ends
            traceback.print_exc()
        finally:
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    with open(reading, "rb") as answer:
        data = answer.read()
    status = 0
    with contextlib.suppress(ChildProcessError):  # where the kernel reaps for this process
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return data, status
