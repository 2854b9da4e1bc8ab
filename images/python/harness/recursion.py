"""Lets a program recurse as deep as it could by itself: our own frames do not count."""

from __future__ import annotations

import sys

_get, _put = sys.getrecursionlimit, sys.setrecursionlimit


class _Limit:
    """The recursion limit of this process, in two parts."""

    def __init__(self) -> None:
        #: What the program set, or Python did.
        self.programs = _get()
        #: Frames of ours on the stack.
        self.ours = 0

    def apply(self) -> None:
        _put(self.programs + self.ours)


_limit = _Limit()


def count_from_here(more: int) -> None:
    """Makes the limit, whoever sets it from now on, count on top of the caller's frame.

    more: frames of ours that will be on top of the caller before the program's begin.
    """
    _limit.ours = _depth() - 1 + more
    _limit.apply()
    sys.getrecursionlimit, sys.setrecursionlimit = _programs_limit, _set_programs_limit


def allow(frames: int) -> None:
    """Allows for `frames` more of ours; negative once they are gone.

    Raises:
        RecursionError: the stack is already deeper than that. It counts all the same.
    """
    _limit.ours += frames
    try:
        _limit.apply()
    except RecursionError:
        raise RecursionError("maximum recursion depth exceeded") from None


def _programs_limit() -> int:
    return _limit.programs


def _set_programs_limit(limit: int, /) -> None:
    if not isinstance(limit, int) or not 0 < limit < 1 << 30:
        _put(limit)  # refuses it
    _put(limit + _limit.ours)
    _limit.programs = limit


def _depth() -> int:
    """How many frames there are, this function's among them."""
    frame, depth = sys._getframe(), 0
    while frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth
