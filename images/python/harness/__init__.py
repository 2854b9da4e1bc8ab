"""The Python judge: what a worker runs to judge one candidate against one suite.

Standard library only; imports nothing of ours. See `execution` for how it works, and `warming` for
what is in the memory of the processes that it runs in. Nothing is loaded here: a process of a jail
has to copy whatever was loaded before it was forked.
"""

from __future__ import annotations

from typing import Any

__all__ = ["check", "execute", "warm", "warm_lean"]


def execute(task: Any, jail: Any) -> dict[str, Any]:
    """The verdict on one candidate, and what is reported beside it; see `execution`."""
    from .execution import execute

    return execute(task, jail)


def check(candidates: Any, jail: Any) -> list[dict[str, Any]]:
    """The static check of many candidates; see `staticcheck`."""
    from .staticcheck import check

    return check(candidates, jail)


def warm() -> None:
    """Loads what every role would otherwise load again."""
    from .warming import warm

    warm()


def warm_lean() -> None:
    """The same, of the one role that lean jails have."""
    from .warming import warm_lean

    warm_lean()
