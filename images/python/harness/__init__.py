"""The Python judge: what a worker runs to judge one candidate against one suite.

Standard library only; imports nothing of ours. See `execution` for how it works.
"""

from __future__ import annotations

import importlib
import sys
import types
import warnings
from typing import Any

from .candidate import open_streams
from .judge import freeze
from .rehearsal import rehearse

__all__ = ["check", "execute", "warm"]

#: Loaded once before the first fork: what suites and solutions commonly import, as long as it is
#: small. Each MB of memory makes a fork a tenth of a millisecond longer; a solution that needs
#: asyncio or unittest imports it itself.
_COMMON = [
    "abc",
    "array",
    "ast",
    "bisect",
    "collections.abc",
    "contextlib",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "heapq",
    "io",
    "itertools",
    "json",
    "linecache",
    "math",
    "numbers",
    "operator",
    "os",
    "pathlib",
    "random",
    "re",
    "string",
    "struct",
    "threading",
    "time",
    "traceback",
    "types",
    "typing",
    "sys",
    "weakref",
]


def execute(task: Any, jail: Any) -> dict[str, Any]:
    """The verdict on one candidate, and what is reported beside it; see `execution`."""
    # Loaded in supervisors only, here and below: what is loaded before the first fork, every
    # process of a jail has to copy.
    from .execution import execute

    return execute(task, jail)


def check(candidates: Any, jail: Any) -> list[dict[str, Any]]:
    """The static check of many candidates; see `staticcheck`."""
    from .staticcheck import check

    return check(candidates, jail)


def warm() -> None:
    """Loads what every role would otherwise load again."""
    roles = ("candidate", "judge", "inprocess", "calls.answerer", "staticcheck")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in (*_COMMON, *(f"{__name__}.{m}" for m in roles)):
            importlib.import_module(name)
    _do_without_resource_tracker()
    open_streams()
    rehearse()
    freeze()


def _do_without_resource_tracker() -> None:
    """Lets multiprocessing share memory though a jail starts no programs.

    It would start one that removes what a crashed process leaves in /dev/shm;
    the jail replaces that folder anyway.
    """
    name = "multiprocessing.resource_tracker"
    stand_in: Any = types.ModuleType(name)
    stand_in.register = stand_in.unregister = lambda name, rtype: None
    stand_in.ensure_running = lambda: None
    sys.modules[name] = stand_in
