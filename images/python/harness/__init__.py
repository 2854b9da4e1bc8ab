"""The Python judge: what a worker runs to judge one candidate against one suite.

Standard library only; imports nothing of ours. See `execution` for how it works.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from .forking import handlers_held_back

with handlers_held_back():
    from .execution import execute
    from .judge import freeze
    from .staticcheck import check

__all__ = ["check", "execute", "warm"]

#: Loaded once before the first fork: what suites and solutions commonly import.
_COMMON = [
    "abc",
    "array",
    "ast",
    "asyncio",
    "base64",
    "bisect",
    "cmath",
    "collections.abc",
    "concurrent.futures",
    "contextlib",
    "copy",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "functools",
    "hashlib",
    "heapq",
    "inspect",
    "io",
    "itertools",
    "json",
    "linecache",
    "logging",
    "math",
    "numbers",
    "operator",
    "os",
    "pathlib",
    "pickle",
    "queue",
    "random",
    "re",
    "secrets",
    "statistics",
    "string",
    "struct",
    "symtable",
    "tempfile",
    "textwrap",
    "threading",
    "time",
    "traceback",
    "types",
    "typing",
    "unicodedata",
    "unittest",
    "unittest.mock",
    "uuid",
    "zoneinfo",
    "concurrent.futures.thread",
    "encodings.idna",
    "sqlite3",
    "unittest._log",
    "sys",
    "weakref",
    "calendar",
    "difflib",
    "pprint",
]


def warm() -> None:
    """Loads what every execution would otherwise load again."""
    with warnings.catch_warnings(), handlers_held_back():
        warnings.simplefilter("ignore")
        for name in (*_COMMON, *(f"{__name__}.{m}" for m in ("candidate", "judge", "inprocess", "calls.answerer"))):
            importlib.import_module(name)
    _do_without_resource_tracker()
    compile("assert 1 == 1", "warm", "exec")
    freeze()


def _do_without_resource_tracker() -> None:
    """Lets multiprocessing share memory though a jail starts no programs.

    It would start one that removes what a crashed process leaves in /dev/shm;
    the jail replaces that folder anyway.
    """
    from multiprocessing import resource_tracker

    tracker: Any = resource_tracker._resource_tracker
    tracker._send = lambda *_: None
