"""What is loaded before the first fork, and what a candidate that needs more is given.

Each MB of memory makes a fork a fifth of a millisecond longer. So a candidate that is only asked
for results of calls runs in a lean jail, whose processes have neither the judge in memory nor the
larger modules; one that imports those runs where they are, which takes less than to import them.
A module that is in neither it imports itself.
"""

from __future__ import annotations

import gc
import importlib
import re
import sys
import types
import warnings
from collections.abc import Iterable
from typing import Any

from .loading import open_streams

#: Small, and common in what candidates import.
_LEAN = [
    "abc",
    "bisect",
    "collections.abc",
    "contextlib",
    "enum",
    "functools",
    "heapq",
    "io",
    "itertools",
    "math",
    "operator",
    "os",
    "re",
    "string",
    "sys",
    "time",
    "types",
    "typing",
]
#: Larger, or less common. Asyncio and unittest are too large for any.
_MORE = [
    "array",
    "ast",
    "copy",
    "dataclasses",
    "datetime",
    "decimal",
    "fractions",
    "json",
    "linecache",
    "numbers",
    "pathlib",
    "random",
    "struct",
    "threading",
    "traceback",
    "weakref",
]
_IMPORTS = re.compile(rb"^[ \t]*(from|import)[ \t]+([\w.]+(?:[ \t]*,[ \t]*[\w.]+)*)", re.MULTILINE)


def needs_more(solution: bytes) -> bool:
    """Whether it is sooner done where larger modules are in memory. No more than a guess, on which
    no verdict depends."""
    for word, names in _IMPORTS.findall(solution):
        wanted = names.split(b",") if word == b"import" else [names]
        if any(name.strip().partition(b".")[0].decode() in _MORE for name in wanted):
            return True
    return False


def warm() -> None:
    """Loads what every role would otherwise load again."""
    from .rehearsal import rehearse

    roles = ("candidate", "judge", "inprocess", "calls.answerer", "staticcheck")
    _load([*_LEAN, *_MORE, *(f"{__package__}.{role}" for role in roles)])
    rehearse()
    _freeze()


def warm_lean() -> None:
    """The same, of the role that answers calls."""
    from .calls.rehearsal import rehearse_calls

    _load([*_LEAN, f"{__package__}.calls.answerer"])
    rehearse_calls()
    _freeze()


def _load(names: Iterable[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in names:
            importlib.import_module(name)
    _do_without_resource_tracker()
    open_streams()


def _freeze() -> None:
    """Keeps what is loaded now out of later collections, so that forks share its pages."""
    gc.collect()
    gc.freeze()


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
