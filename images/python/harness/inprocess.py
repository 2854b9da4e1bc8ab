"""The fallback: suite and candidate in one process, under checks that are hard to get round.

Used only where the suite's text needs what cannot cross between processes; the
candidate has no say in it. The suite and an unguessable witness reach the
process after the solution has loaded. The report counts only if it comes with
the witness, and it does not come with it where

- what Python gives every program (builtins, unittest, math, operator) was changed,
- the candidate looked at frames, at the collector's objects or at memory,
- an object that an assertion found equal is equal to unguessable values too.

This is weaker than the separated run, and a pass says so.
"""

from __future__ import annotations

import builtins
import contextlib
import importlib
import importlib.util
import io
import linecache
import os
import socket
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

from . import chance, decoys, prepared, strangers
from .channel import Channel, ChannelClosed, PinnedChannel
from .classify import parse_report
from .doubts import Suspicions, kind_of
from .excuses import is_excused
from .judge import Report, await_load, harden
from .ledger import BoundedRepr, Ledger, encode_report, watch_unittest
from .loading import flush, line_of, load, read_all, reseed
from .outcome import Outcome
from .plain import MUTABLE, VALUE_KINDS
from .prying import HARMLESS, refuse_prying
from .recursion import count_from_here
from .suite import FILENAME, Suite, read_suite
from .unimported import module_meant

_WITNESS_BYTES = 16
_WATCHED_MODULES = ("builtins", "math", "operator", "unittest", "unittest.case", "functools")
#: Who says what an object is equal to.
_OF_THE_SUITE, _OF_PYTHON, _OF_THE_CANDIDATE = "suite", "python", "candidate"
#: What a class says of itself, past what its own class may say instead.
_mro: Any = vars(type)["__mro__"].__get__
_namespace: Any = vars(type)["__dict__"].__get__
_EXACT = MUTABLE | set(VALUE_KINDS) | {int, float, str, bytes, bool, complex, tuple, frozenset}


# -- the reporting process ---------------------------------------------------------------------


def witness(channel_fd: int, suite_fd: int, report_fd: int) -> int:
    """Entry of the role that holds the witness and the report."""
    harden()
    report = Report(report_fd)
    channel = PinnedChannel(socket.socket(fileno=channel_fd))
    text = read_all(suite_fd)
    code = prepared.encode(read_suite(text.decode("utf-8")))
    await_load(channel, report)
    secret = os.urandom(_WITNESS_BYTES)
    try:
        channel.send(secret + prepared.pack(text, code))
        answer = channel.receive()
    except ChannelClosed:
        report.finish("RUNTIME_ERROR", "TEST", "", died=True)
    found = parse_report(answer[_WITNESS_BYTES:])
    if found is None or answer[:_WITNESS_BYTES] != secret:
        report.finish("TAMPERED", "TEST", "a report came without the witness")
    verdict, message = found["verdict"], found["message"]
    report.finish(verdict, "TEST", message, assertions=found["assertions"])


# -- the process of candidate and suite --------------------------------------------------------


def main(channel_fd: int, solution_fd: int) -> int:
    """Entry of the role that runs both."""
    reseed()
    count_from_here(4)
    chance.reseed()
    channel = Channel(channel_fd)
    os.register_at_fork(after_in_child=channel.close)
    for name in (*_WATCHED_MODULES, *HARMLESS):
        importlib.import_module(name)
    before = {name: dict(vars(sys.modules[name])) for name in _WATCHED_MODULES}
    prying: list[str] = []
    run = _Run(before, prying).run
    leave = os._exit
    refuse_prying(prying)
    _hide_ourselves()
    try:
        module = load(channel, read_all(solution_fd), in_its_file=True)
        if module is not None:
            finder = _SolutionFinder(str(module.__file__))
            module.__spec__ = finder.find_spec(module.__name__)
            sys.meta_path.append(finder)
            frame = channel.receive()
            body = run(module, frame[_WITNESS_BYTES:])
            flush()
            channel.send(frame[:_WITNESS_BYTES] + body)
    except ChannelClosed:
        pass
    except BaseException:
        traceback.print_exc()
    flush()
    leave(0)


def _hide_ourselves() -> None:
    """Takes our modules from where the candidate would find, and change, them."""
    for name in [n for n in sys.modules if n.partition(".")[0] == __name__.partition(".")[0]]:
        del sys.modules[name]


class _SolutionFinder:
    """Finds the solution in its file, for suites that load it once more."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._make = importlib.util.spec_from_file_location

    def find_spec(
        self, name: str, path: Any = None, target: Any = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Its specification; None for any other module."""
        return self._make(name, self._path) if name == "solution" else None


class _Run:
    """Runs the suite beside the candidate."""

    def __init__(self, before: dict[str, dict[str, Any]], prying: list[str]) -> None:
        self._before = before
        self._prying = prying
        self._encode = encode_report
        self._read = prepared.restore
        self._unpack = prepared.unpack
        self._lie = ""

    def run(self, module: types.ModuleType, packed: bytes) -> bytes:
        """The report of running the suite, as `prepared.pack` made it, against `module`."""
        changed = self._changed()
        self._restore()
        text, code = self._unpack(packed)
        suite = self._read(text.decode("utf-8"), code)
        ledger = _CanaryLedger(suite, BoundedRepr(repr).bounded, self._note_lie)
        error = self._execute(suite, ledger, module)
        path = str(module.__file__)
        outcome = Outcome(suite, ledger, lambda e: _origin(e, path))
        verdict, message = outcome.of(error)
        if verdict == "PASSED" or (verdict == "RUNTIME_ERROR" and self._prying):
            changed = changed or self._changed()
            lie = self._lie or ledger.suspicions.first()
            if changed or self._prying or lie:
                verdict = "TAMPERED"
                message = lie or (
                    f"the candidate changed {changed}" if changed else f"it used {self._prying[0]}"
                )
        return self._encode(
            {
                "verdict": verdict,
                "phase": "TEST",
                "message": " ".join(message.split("\n"))[:4096],
                "assertions": ledger.assertions(),
            }
        )

    def _execute(
        self, suite: Suite, ledger: Ledger, solution: types.ModuleType
    ) -> BaseException | None:
        main_module = _MainModule(solution)
        namespace = main_module.__dict__
        names = _Names(self._before["builtins"], solution)
        namespace["__builtins__"] = names
        for name, attributes in suite.unimported.items():
            module = module_meant(name, attributes)
            if module is not None and name in vars(solution):
                names[name] = module
        helpers = ledger.helpers()
        namespace.update(helpers)
        sys.modules["__main__"] = main_module
        sys.argv = [FILENAME]
        lines = suite.source.splitlines(True)
        linecache.cache[FILENAME] = (len(suite.source), None, lines, FILENAME)
        public = vars(solution).get("__all__", [n for n in vars(solution) if n[:1] != "_"])
        free = [n for n in public if n.isidentifier() and n not in self._before["builtins"]]
        vars(solution)["__all__"] = free  # a star shadows nothing that the suite takes for Python's
        if "unittest" in suite.imports:
            watch_unittest(ledger, FILENAME)
            for name in _WATCHED_MODULES:  # what was put there just now is ours
                self._before[name] = dict(vars(sys.modules[name]))
        if suite.wants_names or "__main__" in suite.source:
            for name, value in vars(solution).items():
                if name[:2] != "__" and name not in self._before["builtins"]:
                    namespace.setdefault(name, value)
        error: BaseException | None = None
        try:
            exec(suite.code, namespace)
        except BaseException as e:
            error = e
        if any(namespace.get(name) is not helper for name, helper in helpers.items()):
            self._note_lie("the suite's assertions were replaced")
        return error

    def _changed(self) -> str:
        for name, before in self._before.items():
            now = vars(sys.modules[name])
            for key, value in before.items():
                if now.get(key) is not value and key != "_":
                    return f"{name}.{key}"
        return ""

    def _restore(self) -> None:
        for name, before in self._before.items():
            vars(sys.modules[name]).update(before)

    def _note_lie(self, what: str) -> None:
        self._lie = self._lie or what


def _origin(error: BaseException, path: str) -> str | None:
    at, last = error.__traceback__, None
    while at is not None:
        last, at = at, at.tb_next
    if last is None or last.tb_frame.f_code.co_filename == FILENAME:
        return None
    line = line_of(error, path)
    return f"solution.py:{line}" if line else None


class _MainModule(types.ModuleType):
    """The suite's module: what is set in it from outside, the candidate sees too."""

    def __init__(self, solution: types.ModuleType) -> None:
        super().__init__("__main__")
        self.__dict__["@solution"] = solution

    def __setattr__(self, name: str, value: Any) -> None:
        solution = self.__dict__["@solution"]
        if name in vars(solution):
            setattr(solution, name, value)
        super().__setattr__(name, value)


class _Names(dict[str, Any]):
    """Python's builtins as they were before the candidate, and behind them its globals."""

    def __init__(self, before: dict[str, Any], solution: types.ModuleType) -> None:
        super().__init__(before)
        for name in ("input", "print", "open"):
            del self[name]
        self._globals = solution.__dict__

    def __missing__(self, name: str) -> Any:
        if name in ("input", "print", "open"):
            return getattr(builtins, name)
        return self._globals[name]


class _CanaryLedger(Ledger):
    """Asks objects that passed a comparison about values that nobody expects."""

    def __init__(
        self, suite: Suite, describe_value: Callable[[Any], str], lie: Callable[[str], None]
    ) -> None:
        super().__init__(suite, describe_value)
        self._note = lie
        self._source = suite.source
        self.suspicions = Suspicions()

    def compare(self, index: int, symbol: str, left: Any, right: Any) -> bool:
        held = super().compare(index, symbol, left, right)
        if symbol in ("==", "!=") and held is (symbol == "!="):
            self._deny_both(left, right)
        if held and symbol in ("==", "!=", "<", "<=", ">", ">=", "in"):
            self._try_both(left, right, symbol == "==")
        return held

    def asked(self, symbol: str, left: Any, right: Any) -> Any:
        said = super().asked(symbol, left, right)
        if type(said) not in _EXACT:
            return said  # an expression, not an answer
        if bool(said) is not (symbol == "!="):
            self._try_both(left, right, symbol != "in")
        elif symbol in ("==", "!="):
            self._deny_both(left, right)
        return said

    def agreed(self, left: Any, right: Any, *, exactly: bool) -> None:
        self._try_both(left, right, exactly)

    def differed(self, left: Any, right: Any) -> None:
        self._deny_both(left, right)

    def _deny_both(self, left: Any, right: Any) -> None:
        for value, other in ((left, right), (right, left)):
            if type(value) not in _EXACT and not _is_equal(value, other):
                self.suspicions.deny((type(value), "__eq__", kind_of(other)))

    def _try_both(self, left: Any, right: Any, equal: bool) -> None:
        self._try(left, right if equal else None, 0)
        self._try(right, left if equal else None, 0)

    def _try(self, value: Any, other: Any, depth: int) -> None:
        """other: what it was found to be equal to; None where it was not asked."""
        kind = type(value)
        if kind in (list, tuple, set, frozenset) and depth < 4:
            items = list(value)[:50]
            aligned = type(other) is kind and kind in (list, tuple) and len(other) == len(value)
            others = list(other)[:50] if aligned else [None] * len(items)
            for item, its_other in zip(items, others, strict=True):
                self._try(item, its_other, depth + 1)
        elif kind is dict and depth < 4:
            for item in list(value.values())[:50]:
                self._try(item, None, depth + 1)
        elif kind not in _EXACT and (made_by := self._maker_of_equality(kind)) != _OF_THE_SUITE:
            by_candidate = made_by == _OF_THE_CANDIDATE and type(other) in _EXACT
            self._question(value, other, decoys.chain(other) if by_candidate else [])

    def _maker_of_equality(self, kind: type) -> str:
        """Whose the code is that says what an object of this class is equal to."""
        for cls in _mro(kind):
            method = _namespace(cls).get("__eq__")
            if method is not None:
                break
        if type(method) is not types.FunctionType:
            is_mock = type(method).__module__ == "unittest.mock" and "mock" in self._source
            return _OF_THE_SUITE if is_mock else _OF_PYTHON
        file = method.__code__.co_filename
        if file == FILENAME or (os.path.basename(file) == "mock.py" and "ANY" in self._source):
            return _OF_THE_SUITE
        installed = os.path.isabs(file) and os.path.basename(file) != "solution.py"
        return _OF_PYTHON if installed else _OF_THE_CANDIDATE

    def _question(self, value: Any, other: Any, near: list[Any]) -> None:
        # Not the number: an honest object may be equal to it modulo something.
        for stranger in strangers.strangers()[1:]:
            if _is_equal(value, stranger):
                self._note(f"an object of {type(value).__name__!r} equals {stranger!r:.60}")
        said = [(item, _is_equal(value, item)) for item in near]
        if not is_excused(other, said, lambda item: _is_equal(value, item)):
            equal = next(item for item, says in said if says)
            what = f"an object of {type(value).__name__!r} equals {equal!r:.60} as well"
            self.suspicions.note((type(value), "__eq__", kind_of(other)), what)


def _is_equal(value: Any, other: Any) -> bool:
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            return bool(value == other) or not bool(value.__ne__(other))
    except Exception:
        return False
