"""Keeps fork handlers of the standard library away from the forks that make roles.

`threading`, `logging` and `concurrent.futures` repair their locks in every
forked process. The processes that fork roles have one thread and hold none of
these locks, so there is nothing to repair, and the repair touches, and so
copies, about a hundred pages. Within a role the handlers are in force again:
a candidate may fork while its threads run. The generator of `random` is not
among them: it is seeded anew at every fork.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import Any

_held_back: list[dict[str, Callable[[], Any]]] = []


@contextlib.contextmanager
def handlers_held_back() -> Iterator[None]:
    """Remembers the fork handlers of modules that are imported meanwhile, but does not install them."""
    import random  # noqa: F401  (its handler is installed)

    register = os.register_at_fork
    os.register_at_fork = lambda **handlers: _held_back.append(handlers)
    try:
        yield
    finally:
        os.register_at_fork = register


def install_handlers() -> None:
    """Puts the handlers in force; called once by every role, after it was forked."""
    for handlers in _held_back:
        os.register_at_fork(**handlers)
