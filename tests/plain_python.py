"""Plain Python as the measure of the Python judge: what a program does where nobody watches it.

For programs of our own making only: they run in a child process, but in no jail.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import signal
import sys
import types
from collections.abc import Callable
from typing import Any

_TIME_S = 10


def verdict(solution: str, suite: str) -> tuple[str, int]:
    """What a suite says of a solution, and the suite's line that ended it (0: none).

    Both run in one namespace, as in one file.
    """
    found: tuple[str, int] = _in_a_child(lambda: _verdict(solution, suite))
    return found


def results(solution: str, calls: list[str]) -> list[str]:
    """The representation of each call's result, in one run; empty where it raised."""
    found: list[str] = _in_a_child(lambda: _results(solution, calls))
    return found


def _verdict(solution: str, suite: str) -> tuple[str, int]:
    namespace = _load(solution)
    try:
        exec(compile(suite, "suite.py", "exec", dont_inherit=True), namespace)
    except AssertionError as e:
        return "ASSERTION_FAILED", _line(e)
    except BaseException as e:  # noqa: BLE001 - whatever a program of the tests raises
        return "RUNTIME_ERROR", _line(e)
    return "PASSED", 0


def _results(solution: str, calls: list[str]) -> list[str]:
    namespace, found = _load(solution), []
    for call in calls:
        try:
            found.append(repr(eval(call, namespace)))
        except Exception:  # noqa: BLE001 - as above
            found.append("")
    return found


def _load(solution: str) -> dict[str, Any]:
    module = types.ModuleType("solution")
    sys.modules["solution"] = sys.modules["__main__"] = module
    exec(compile(solution, "solution.py", "exec", dont_inherit=True), module.__dict__)
    module.__dict__["__name__"] = "__main__"
    return module.__dict__


def _line(error: BaseException) -> int:
    found, at = 0, error.__traceback__
    while at is not None:
        if at.tb_frame.f_code.co_filename == "suite.py":
            found = at.tb_lineno
        at = at.tb_next
    return found


def _in_a_child(run: Callable[[], Any]) -> Any:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            signal.alarm(_TIME_S)
            null = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(null, fd)
            sys.setrecursionlimit(1000)
            os.write(writer, marshal.dumps(run()))
        os._exit(0)
    os.close(writer)
    with open(reader, "rb") as pipe:
        data = pipe.read()
    os.waitpid(child, 0)
    return marshal.loads(data)
