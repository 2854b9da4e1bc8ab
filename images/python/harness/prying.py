"""Keeps a candidate that shares a process with its suite from looking at what is not its own.

What it does about frames, the collector's objects and memory, Python tells of before it happens
(audit events); it is refused and noted here. The standard library does some of that for harmless
reasons, so who asks is found out: it is the first function on the stack that is not Python's.
Where a function comes from its code says, and code with another origin than it has is refused too.
"""

from __future__ import annotations

import os
import sys
import types
from typing import Any

from .suite import FILENAME

#: Audit events of code that looks for what it must not see.
_PRYING = frozenset(
    [
        "sys._getframe",
        "sys._current_frames",
        "sys._current_exceptions",
        "gc.get_objects",
        "gc.get_referrers",
        "gc.get_referents",
        "sys.settrace",
        "sys.setprofile",
        "object.__getattr__",
        "code.__new__",
        "marshal.loads",
    ]
)
#: Modules that look at their caller's frame for harmless reasons.
HARMLESS = frozenset(
    [
        "collections",
        "typing",
        "enum",
        "dataclasses",
        "warnings",
        "abc",
        "functools",
        "logging",
        "traceback",
    ]
)
#: Functions of harmless modules that hand frames to whoever calls them.
_GIVE_FRAMES = frozenset(["walk_tb", "<lambda>"])
#: Names of files that are part of the interpreter, and of those that import.
_FROZEN, _IMPORT = "<frozen ", "<frozen importlib"


def refuse_prying(noted: list[str]) -> None:
    """Raises PermissionError in code that pries, from now on, and adds the event to `noted`."""
    origins = _Origins()
    busy = [False]

    def hook(event: str, args: Any) -> None:
        if event == "compile":
            if not origins.is_claimed(args[1]):
                return
        elif not (event in _PRYING or event.startswith("ctypes.")):
            return
        if busy[0]:
            return
        busy[0] = True
        try:
            pries = origins.is_asked_by_the_candidate()
        finally:
            busy[0] = False
        if pries:
            noted.append(event)
            raise PermissionError(f"{event} is not for the candidate")

    sys.addaudithook(hook)


class _Origins:
    """Tells code by the files that it comes from."""

    def __init__(self) -> None:
        self._get_frame = sys._getframe
        self._ours = f"{os.path.dirname(__file__)}/"
        self._library = f"{os.path.dirname(os.__file__)}/"
        self._harmless = {str(sys.modules[name].__file__) for name in HARMLESS}

    def is_claimed(self, file: Any) -> bool:
        """Whether code that is compiled under this name would not be taken for the candidate's."""
        return type(file) is str and file.startswith((self._library, self._ours, FILENAME, _FROZEN))

    def is_asked_by_the_candidate(self) -> bool:
        """Whether the audit event that a hook, the caller, was called for is the candidate's."""
        frame: types.FrameType | None = self._get_frame(2)
        excused = True
        while frame is not None:
            code = frame.f_code
            file = code.co_filename
            if file == FILENAME or file.startswith((self._ours, _IMPORT)):
                return False
            if not file.startswith((self._library, _FROZEN)):
                return True
            # It may be asked for the frames above, and for what their variables hold.
            excused = excused and code.co_name != "walk_stack"
            if excused and file in self._harmless and code.co_name not in _GIVE_FRAMES:
                return False
            frame = frame.f_back
        return False
