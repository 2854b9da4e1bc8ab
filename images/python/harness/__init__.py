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
from .execution import execute
from .judge import freeze
from .rehearsal import rehearse
from .staticcheck import check

__all__ = ["check", "execute", "warm"]

#: Loaded once before the first fork: what suites and solutions commonly import, as long as it is
#: small. Each MB of memory makes a fork a tenth of a millisecond longer; a solution that needs
#: asyncio or unittest imports it itself.
_COMMON = [
    "abc",
    "array",
    "ast",
    "base64",
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
    "symtable",
    "textwrap",
    "threading",
    "time",
    "traceback",
    "types",
    "typing",
    "sys",
    "weakref",
]


def warm() -> None:
    """Loads what every execution would otherwise load again."""
    roles = ("candidate", "judge", "inprocess", "calls.answerer")
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
