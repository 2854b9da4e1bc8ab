"""Keeps fork handlers of the standard library away from the forks that make roles.

`random`, `threading`, `logging` and `concurrent.futures` repair their state in
every forked process. The processes that fork roles have one thread and hold
none of these locks, so there is nothing to repair, and the repair touches, and
so copies, two hundred pages: a third of what an execution costs. Within a role
the handlers are in force again: a candidate may fork while its threads run.
"""

from __future__ import annotations

import os
from collections.abc import Callable

_Handler = Callable[[], object]
_register = os.register_at_fork
_held_back: dict[str, list[_Handler]] = {}
_in_role = False


def hold_back() -> None:
    """From now on the fork handlers of modules that are imported run in roles only.

    To be called before anything else is imported: what is registered already stays so.
    """
    os.register_at_fork = _hold_back


def put_in_force() -> None:
    """Makes this process, which was just forked, a role."""
    global _in_role  # noqa: PLW0603 - it is the process's own state
    _in_role = True
    os.register_at_fork = _register


def _hold_back(
    *,
    before: _Handler | None = None,
    after_in_parent: _Handler | None = None,
    after_in_child: _Handler | None = None,
) -> None:
    given = {"before": before, "after_in_parent": after_in_parent, "after_in_child": after_in_child}
    for moment, handler in given.items():
        if handler is None:
            continue
        if moment not in _held_back:
            _held_back[moment] = []
            _register(**{moment: _runner(_held_back[moment])})
        if moment == "before":  # the last one registered is the first one called
            _held_back[moment].insert(0, handler)
        else:
            _held_back[moment].append(handler)


def _runner(handlers: list[_Handler]) -> _Handler:
    def run() -> None:
        if _in_role:
            for handler in handlers:
                handler()

    return run
