"""From how a suite's run ended to a verdict and a line for people."""

from __future__ import annotations

import linecache
from collections.abc import Callable

from .ledger import Ledger, suite_line
from .suite import FILENAME, Suite


class Outcome:
    """Weighs the exception that left the suite, if one did, and what the ledger holds."""

    def __init__(
        self, suite: Suite, ledger: Ledger, origin: Callable[[BaseException], str | None]
    ) -> None:
        """origin: where in the candidate an exception was raised; None where it was not."""
        self._suite = suite
        self._ledger = ledger
        self._origin = origin

    def of(self, error: BaseException | None) -> tuple[str, str]:
        """Verdict and message."""
        if isinstance(error, AssertionError) and not self._is_theirs(error):
            return self._assertion_left(error)
        if error is not None and not self._is_plain_end(error):
            return self._error(error)
        return self._end()

    def _end(self) -> tuple[str, str]:
        ledger = self._ledger
        theirs = [e for e in ledger.test_errors if self._is_theirs(e)]
        own = [e for e in ledger.test_errors if not self._is_theirs(e)]
        if ledger.test_failures and any(isinstance(e, AssertionError) for e in own):
            return self._failed("")
        if ledger.test_errors:
            return self._error((theirs or own)[0])
        if ledger.unseen:
            return self._failed("its error was caught, but not by the suite")
        if ledger.passed == 0:
            return "TEST_ERROR", self._why_nothing()
        return "PASSED", held_text(ledger)

    def _is_plain_end(self, error: BaseException) -> bool:
        if not isinstance(error, SystemExit) or self._is_theirs(error):
            return False
        return error.code in (None, 0, False) or bool(self._ledger.test_errors)

    def _assertion_left(self, error: AssertionError) -> tuple[str, str]:
        if self._ledger.failed == 0:
            line = suite_line(error.__traceback__, FILENAME)
            text = linecache.getline(FILENAME, line).strip()
            self._ledger.fail(line, text, self._ledger.describe(error), "")
        return self._failed(text_of(error).removeprefix("AssertionError").removeprefix(": "))

    def _failed(self, detail: str) -> tuple[str, str]:
        return "ASSERTION_FAILED", failure_text(self._ledger, detail)

    def _error(self, error: BaseException) -> tuple[str, str]:
        theirs = self._origin(error)
        line = suite_line(error.__traceback__, FILENAME)
        message = text_of(error) + at_line(line, theirs)
        if isinstance(error, MemoryError):
            return "MEMORY_LIMIT_EXCEEDED", message
        if isinstance(error, ModuleNotFoundError) and theirs is None and error.name != "solution":
            return "TEST_ERROR", f"the suite needs what is not here: {message}"
        return "RUNTIME_ERROR", message

    def _is_theirs(self, error: BaseException) -> bool:
        return self._origin(error) is not None

    def _why_nothing(self) -> str:
        functions = [n for n in self._suite.code.co_names if n.lower().startswith("test")]
        if functions:
            return f"the suite checks nothing: it defines {functions[0]} but does not call it"
        return "the suite checks nothing: no assertion was evaluated"


def held_text(ledger: Ledger) -> str:
    """How many assertions held."""
    return f"{ledger.passed} assertion{'s' * (ledger.passed != 1)} held"


def failure_text(ledger: Ledger, detail: str) -> str:
    """The first assertion that failed, with the values on both sides."""
    failure = ledger.first_failure
    if failure is None:
        return detail or "an assertion is false"
    sides = [f"{k} {failure[k]}" for k in ("left", "right") if failure[k]]
    shown = f" ({', '.join(sides)})" if sides else ""
    more = f": {detail}" if detail else ""
    return f"line {failure['line']}: {failure['expression']}{shown}{more}"


def text_of(error: BaseException) -> str:
    """Kind and text of an exception, bounded."""
    try:
        text = str(error)[:2048]
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def at_line(line: int, theirs: str | None) -> str:
    """Where something happened, in brackets: in the candidate, and in the suite."""
    if not theirs:
        return f" (line {line} of the suite)" if line else ""
    return f" ({theirs}, called from line {line} of the suite)" if line else f" ({theirs})"
