"""The supervisor's side: asks for the results of a table's calls, and checks them.

It runs outside of the jail, so it takes nothing from the candidate but bounded
frames of flat data, and never waits for any: the supervisor calls `readable`
when something has come.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator
from typing import Any

from ..channel import ChannelClosed, PinnedChannel, ProtocolBreach
from ..ledger import BoundedRepr, Ledger
from ..outcome import at_line, failure_text, held_text, text_of
from ..wire import ANSWER, COMPILED, LOADED, MISSING, NOT_COMPILED, NOT_FLAT, NOT_LOADED, RAISED
from . import flat
from .table import MAX_REQUEST_BYTES, NAMES, Check, Table, TooMuchError

_MAX_FRAME_BYTES = flat.MAX_BYTES + 1
#: How long a candidate that has closed its channel may take to end, in seconds.
_LAST_WORDS_S = 0.1
#: Exceptions that are told as they are; the judge's process deals with any other.
_PLAIN_ERRORS = frozenset(
    {
        *("ArithmeticError", "AttributeError", "BufferError", "EOFError", "Exception"),
        *("FloatingPointError", "IndexError", "KeyError", "LookupError", "NameError"),
        *("NotImplementedError", "OverflowError", "RecursionError", "RuntimeError", "TypeError"),
        *("UnboundLocalError", "ValueError", "ZeroDivisionError", "MemoryError"),
    }
)
#: Results that are the same whatever is called after them.
_SETTLED = frozenset({type(None), bool, int, float, str})


class _UnsuitableError(Exception):
    """What came is nothing that a table can judge."""


class Asker:
    """One conversation about one candidate."""

    def __init__(self, channel: PinnedChannel, table: Table) -> None:
        #: What was found; None where a limit ended the stage before anything was.
        self.report: dict[str, Any] | None = None
        #: Whether the suite must run in the judge's process after all.
        self.unsuitable = False
        self.phase = "COMPILE"
        #: How long the stage may go on once `readable` has said that this is over, in seconds.
        self.grace_s = 0.0
        self._channel = channel
        self._table = table
        self._ledger = Ledger(table, BoundedRepr(repr).bounded)
        self._line = 0
        self._requests = deque(request for check in table.checks for _, request in check.calls)
        self._unanswered_bytes = 0
        # They wait in the socket while the solution loads: a turn less for both sides.
        self._ask()
        self._talk = self._conversation()
        next(self._talk)

    def fileno(self) -> int:
        """What to wait for."""
        return self._channel.fileno()

    def readable(self) -> bool:
        """Takes what has come; whether there is more to wait for."""
        try:
            for frame in self._channel.receive_now(_MAX_FRAME_BYTES):
                self._talk.send(frame)
            return True
        except StopIteration as e:
            self.report = e.value
        except _UnsuitableError:
            self.unsuitable = True
        except ChannelClosed:
            self.grace_s = _LAST_WORDS_S
            self.report = self._died()
        except ProtocolBreach as e:
            self.report = self._ended("RUNTIME_ERROR", f"the candidate broke the protocol: {e}")
        return False

    def _died(self) -> dict[str, Any]:
        message = at_line(self._line, None) if self.phase == "TEST" else ""
        return {**self._ended("RUNTIME_ERROR", message), "died": True}

    def _ended(self, verdict: str, message: str) -> dict[str, Any]:
        return {
            "verdict": verdict,
            "phase": self.phase,
            "message": " ".join(message.split("\n"))[:4096],
            "assertions": self._ledger.assertions(),
        }

    def _conversation(self) -> Generator[None, bytes, dict[str, Any]]:
        frame = yield
        if frame[:1] == NOT_COMPILED:
            return self._ended("COMPILE_ERROR", _text(frame[1:]))
        if frame[:1] != COMPILED:
            raise ProtocolBreach("an unknown first message")
        self.phase = "LOAD"
        frame = yield
        if frame[:1] == NOT_LOADED:
            verdict = "MEMORY_LIMIT_EXCEEDED" if frame[1:2] == b"M" else "RUNTIME_ERROR"
            return self._ended(verdict, _text(frame[2:]))
        if frame[:1] != LOADED:
            raise ProtocolBreach("an unknown second message")
        self.phase = "TEST"
        if self._table.pure & set(_text(frame[1:]).split()):
            raise _UnsuitableError  # which of the two a name means is for the judge to find out
        for check in self._table.checks:
            ended = yield from self._check(check)
            if ended is not None:
                return ended
        return self._ended("PASSED", held_text(self._ledger))

    def _ask(self) -> None:
        """Sends requests ahead, as many as wait in the socket without filling it.

        Many at once, and the next ones when half of them are answered: the kernel counts a
        short write as a long one. Each answer is still taken in its turn: what follows a failure
        is not looked at.
        """
        if self._unanswered_bytes > MAX_REQUEST_BYTES // 2:
            return
        together = []
        while self._requests and (
            self._unanswered_bytes + len(self._requests[0]) <= MAX_REQUEST_BYTES
        ):
            together.append(self._requests.popleft())
            self._unanswered_bytes += len(together[-1])
        if together:
            self._channel.send_together(together)

    def _check(self, check: Check) -> Generator[None, bytes, dict[str, Any] | None]:
        self._line = check.line
        results: dict[str, Any] = {"__builtins__": NAMES}
        for number, (function, request) in enumerate(check.calls):
            frame = yield
            self._unanswered_bytes -= len(request)
            self._ask()
            if frame[:1] == MISSING:
                message = f"NameError: name '{function}' is not defined"
                return self._ended("RUNTIME_ERROR", message + at_line(check.line, None))
            if frame[:1] == RAISED:
                return self._raised(frame[1:])
            if frame[:1] == NOT_FLAT:
                raise _UnsuitableError
            if frame[:1] != ANSWER:
                raise ProtocolBreach("an unknown answer")
            try:
                result = flat.decode(frame[1:], in_order=check.in_order)
            except flat.NotFlatError:
                raise _UnsuitableError from None
            except ValueError as e:
                raise ProtocolBreach(str(e)) from None
            if type(result) not in _SETTLED and len(check.calls) > 1:
                raise _UnsuitableError  # another call may change it, or return the same object
            results[f"@{number}"] = result
        return self._weigh(check, results)

    def _weigh(self, check: Check, results: dict[str, Any]) -> dict[str, Any] | None:
        try:
            sides = [eval(code, results) for code in (check.left, check.right) if code is not None]
            held = (
                self._ledger.compare(check.index, check.operator, *sides)
                if check.operator
                else self._ledger.truth(check.index, *sides)
            )
        except TooMuchError:
            raise _UnsuitableError from None
        except Exception as e:
            return self._ended("RUNTIME_ERROR", text_of(e) + at_line(check.line, None))
        if held:
            return None
        return self._ended("ASSERTION_FAILED", failure_text(self._ledger, check.message))

    def _raised(self, data: bytes) -> dict[str, Any]:
        try:
            kind, text, origin = flat.decode(data)
        except (ValueError, TypeError, flat.NotFlatError):
            raise ProtocolBreach("an exception that is none") from None
        if kind not in _PLAIN_ERRORS or type(text) is not str or type(origin) is not str:
            raise _UnsuitableError
        verdict = "MEMORY_LIMIT_EXCEEDED" if kind == "MemoryError" else "RUNTIME_ERROR"
        message = f"{kind}: {text[:2048]}" if text else kind
        return self._ended(verdict, message + at_line(self._line, origin[:64] or "solution.py"))


def _text(data: bytes) -> str:
    return data[:4096].decode("utf-8", "replace")
