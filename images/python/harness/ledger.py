"""What a suite's run established: assertions counted, the first failure, how it ended."""

from __future__ import annotations

import importlib
import json
import linecache
import operator
import reprlib
import sys
import types
from collections.abc import Callable
from typing import Any, Protocol

from .handles import ExceptionHandle, is_handle
from .suite import ASKED, CAUGHT, COMPARE, FAILED, FILENAME, HELD, SEEN, TRUTH

_TEXT = 2048
_MOST_BITS_SHOWN = 14_000
#: What suites raise to say that they fail.
_OF_SUITES = (AssertionError, Exception)
#: Methods of `unittest` that say of their two arguments that they, or some, are equal.
_AGREEING = frozenset(
    ["assertIn", "assertCountEqual", "assertEqual", "assertMultiLineEqual"]
    + [f"assert{kind}Equal" for kind in ("Sequence", "List", "Tuple", "Set", "Dict")]
)
_MOST_UNSEEN = 1000
_MOST_CAUSES = 20
#: What `json.dumps` calls: a candidate that shares the process may replace all around it.
_encode: Any = vars(json.encoder)["c_make_encoder"](
    None, repr, json.encoder.encode_basestring_ascii, None, ": ", ", ", False, False, True
)
_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "is": operator.is_,
    "is not": operator.is_not,
    "in": lambda a, b: a in b,
    "not in": lambda a, b: a not in b,
}


class Asserting(Protocol):
    """A text with assertions in it."""

    def assertion(self, index: int) -> tuple[int, str]:
        """Line of assertion `index` from 1, and the source of its expression."""


class Ledger:
    """Counts assertions. The rewritten suite and `unittest` write into it."""

    def __init__(self, suite: Asserting, describe: Callable[[Any], str]) -> None:
        self._suite = suite
        self._describe = describe
        self.passed = 0
        self.failed = 0
        self.first_failure: dict[str, Any] | None = None
        #: Failures that no code of the suite has caught, by identity: the candidate may have.
        self.unseen: dict[int, BaseException] = {}
        #: What unittest reported as failures and as errors.
        self.test_failures = 0
        self.test_errors: list[BaseException] = []

    def helpers(self) -> dict[str, Any]:
        """The names that the rewritten suite uses."""
        return {
            COMPARE: self.compare,
            TRUTH: self.truth,
            HELD: self._held,
            CAUGHT: self._caught,
            SEEN: self._seen,
            FAILED: self._failure,
            ASKED: self.asked,
        }

    def assertions(self) -> dict[str, Any]:
        """As a verdict reports them."""
        return {"passed": self.passed, "failed": self.failed, "first_failure": self.first_failure}

    def fail(self, line: int, expression: str, left: str, right: str) -> None:
        """Counts a failure and keeps it, if it is the first."""
        self.failed += 1
        if self.first_failure is None:
            self.first_failure = {
                "line": line,
                "expression": expression[:_TEXT],
                "left": left,
                "right": right,
            }

    def describe(self, value: Any) -> str:
        """A bounded representation of `value`."""
        return self._describe(value)

    def compare(self, index: int, symbol: str, left: Any, right: Any) -> bool:
        """Counts assertion `index`, which compares; whether it holds."""
        if _COMPARE[symbol](left, right):
            self.passed += 1
            return True
        self._fail_at(index, left, right)
        return False

    def asked(self, symbol: str, left: Any, right: Any) -> Any:
        """What a comparison says that is no assertion by itself."""
        return _COMPARE[symbol](left, right)

    def agreed(self, left: Any, right: Any, *, exactly: bool) -> None:
        """Takes note of the two sides of a method of `unittest` that held."""

    def differed(self, left: Any, right: Any) -> None:
        """Takes note of the two sides of `assertNotEqual`, which held."""

    def truth(self, index: int, value: Any) -> bool:
        """Counts assertion `index`, which asks for the truth of `value`; whether it holds."""
        if value:
            self.passed += index >= 0
            return True
        self._fail_at(index, value)
        return False

    def _held(self, index: int) -> None:
        self.passed += 1

    def _failure(self, *args: Any) -> AssertionError:
        """The error of an assertion that failed just now."""
        return self.note(AssertionError(*args))

    def note(self, error: AssertionError) -> AssertionError:
        """Keeps the error of a failure until the suite has seen it."""
        if len(self.unseen) < _MOST_UNSEEN:
            self.unseen[id(error)] = error
        return error

    def see(self, error: BaseException | None) -> None:
        """Takes note that the suite, or what works for it, has caught `error`."""
        for _ in range(_MOST_CAUSES):
            if error is None or not self.unseen:
                return
            self.unseen.pop(id(error), None)
            error = error.__cause__ or error.__context__

    def _seen(self) -> None:
        """In a handler that catches assertions."""
        self.see(sys.exc_info()[1])

    def _caught(self) -> None:
        """In any other handler: the candidate may have called Exception by the name it catches."""
        error = sys.exc_info()[1]
        if error is not None and type(error) in _OF_SUITES and _is_the_suites(error):
            self.unseen[id(error)] = error
            if self.first_failure is None:
                line = suite_line(error.__traceback__, FILENAME)
                self.fail(line, _line_text(FILENAME, line), "", "")

    def _fail_at(self, index: int, *sides: Any) -> None:
        if self.first_failure is not None:
            self.failed += 1
            return
        line, expression = self._suite.assertion(index) if index >= 0 else (0, "")
        texts = [self._describe(side) for side in sides]
        self.fail(line, expression, texts[0], texts[1] if len(texts) > 1 else "")


class BoundedRepr(reprlib.Repr):
    """Representations that are never long and never ask a hostile object without a bound."""

    def __init__(self, ask: Callable[[Any], str]) -> None:
        super().__init__()
        self.maxlevel = 6
        self.maxlist = self.maxtuple = self.maxset = self.maxdict = self.maxdeque = 60
        self.maxfrozenset = self.maxarray = 60
        self.maxstring = self.maxother = self.maxlong = 800
        self._ask = ask

    def repr1(self, x: Any, level: int) -> str:
        """Asks the candidate for its own objects, and Python for plain ones."""
        if is_handle(x) or isinstance(x, ExceptionHandle):
            return self._ask(x)
        return super().repr1(x, level)

    def repr_int(self, x: int, level: int) -> str:
        """As the base class; a number whose text would take long is described."""
        if x.bit_length() > _MOST_BITS_SHOWN:
            return f"<int of {x.bit_length()} bits>"
        return super().repr_int(x, level)

    def bounded(self, value: Any) -> str:
        """At most 2 KiB of the representation of `value`."""
        try:
            text = self.repr(value)
        except Exception as e:
            text = f"<{type(value).__name__}: its representation raised {type(e).__name__}>"
        return text if len(text) <= _TEXT else text[: _TEXT - 3] + "..."


def suite_line(traceback: types.TracebackType | None, filename: str) -> int:
    """The innermost line of the suite in a traceback; 0 where there is none."""
    found, at = 0, traceback
    while at is not None:
        if at.tb_frame.f_code.co_filename == filename:
            found = at.tb_lineno
        at = at.tb_next
    return found


def _is_the_suites(error: BaseException) -> bool:
    """Whether it was raised by the suite itself, or by what `unittest` does for it."""
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    if at is None:
        return False
    module = str(at.tb_frame.f_globals.get("__name__"))
    return at.tb_frame.f_code.co_filename == FILENAME or module.partition(".")[0] == "unittest"


def watch_unittest(ledger: Ledger, filename: str) -> None:
    """Counts the assertions of `unittest`, and what its results report."""
    unittest = sys.modules["unittest"]
    depth = [0]

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            depth[0] += 1
            try:
                value = real(self, *args, **kwargs)
            except self.failureException as e:
                if depth[0] == 1:
                    _failed(ledger, filename, args)
                    ledger.note(e)
                raise
            finally:
                depth[0] -= 1
            if depth[0] == 0 and value is None:
                ledger.passed += 1
                if len(args) > 1 and real.__name__ == "assertNotEqual":
                    ledger.differed(args[0], args[1])
                elif len(args) > 1 and (real.__name__ == "assertIn" or "Equal" in real.__name__):
                    ledger.agreed(args[0], args[1], exactly=real.__name__ in _AGREEING)
            return value

        method.__name__ = real.__name__
        return method

    case = unittest.case
    for name in [n for n in vars(case.TestCase) if n.startswith("assert") or n == "fail"]:
        setattr(case.TestCase, name, counted(vars(case.TestCase)[name]))
    _watch_contexts(case, ledger, filename, depth)
    _watch_results(unittest.result.TestResult, ledger)


def _failed(ledger: Ledger, filename: str, args: tuple[Any, ...]) -> None:
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename != filename:
        frame = frame.f_back
    line = frame.f_lineno if frame is not None else 0
    texts = [ledger.describe(a) for a in args[:2]] if ledger.first_failure is None else []
    texts += ["", ""]
    ledger.fail(line, _line_text(filename, line), texts[0], texts[1])


def _line_text(filename: str, line: int) -> str:
    return linecache.getline(filename, line).strip()


def _watch_contexts(case: Any, ledger: Ledger, filename: str, depth: list[int]) -> None:
    logs = importlib.import_module("unittest._log")._AssertLogsContext
    for kind in (case._AssertRaisesContext, case._AssertWarnsContext, logs):
        real = kind.__exit__

        def leave(self: Any, *info: Any, _real: Any = real) -> Any:
            try:
                value = _real(self, *info)
            except AssertionError as e:
                if depth[0] == 0:
                    _failed(ledger, filename, ())
                    ledger.note(e)
                raise
            if value:
                ledger.see(info[1])
            if depth[0] == 0 and (value or info[0] is None):
                ledger.passed += 1
            return value

        kind.__exit__ = leave


def _watch_results(kind: Any, ledger: Ledger) -> None:
    add_failure, add_error, add_subtest = kind.addFailure, kind.addError, kind.addSubTest
    add_expected = kind.addExpectedFailure

    def expected(self: Any, test: Any, err: Any) -> None:
        ledger.see(err[1])
        add_expected(self, test, err)

    def failure(self: Any, test: Any, err: Any) -> None:
        ledger.test_failures += 1
        ledger.test_errors.append(err[1])
        add_failure(self, test, err)

    def error(self: Any, test: Any, err: Any) -> None:
        ledger.test_errors.append(err[1])
        add_error(self, test, err)

    def subtest(self: Any, test: Any, inner: Any, err: Any) -> None:
        if err is not None:
            ledger.test_errors.append(err[1])
            ledger.test_failures += issubclass(err[0], AssertionError)
        add_subtest(self, test, inner, err)

    def unexpected(self: Any, test: Any) -> None:
        ledger.test_failures += 1
        ledger.test_errors.append(AssertionError("unexpected success"))

    kind.addFailure, kind.addError, kind.addSubTest = failure, error, subtest
    kind.addUnexpectedSuccess, kind.addExpectedFailure = unexpected, expected


def encode_report(report: dict[str, Any]) -> bytes:
    """The report as one line of ASCII."""
    return "".join(_encode(report, 0)).encode("ascii") + b"\n"
