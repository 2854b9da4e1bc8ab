"""The judge's process: runs the suite against the candidate's process and reports.

The report descriptor, the suite and the verdict exist in this process only.
Progress is written as it is made, so that a run that a limit ends still shows
how far it came: first the suite's code where it was not known yet
(`prepared`), ``C`` once the solution compiled, ``L`` once it loaded, then one
line of JSON.
"""

from __future__ import annotations

import builtins
import ctypes
import linecache
import os
import signal
import socket
import sys
import types
from typing import Any, NoReturn

from . import chance, prepared
from .channel import ChannelClosed, PinnedChannel, ProtocolBreach
from .handles import ExceptionHandle, unpickle_through
from .judge_peer import JudgePeer
from .ledger import BoundedRepr, Ledger, encode_report, watch_unittest
from .library import import_nothing_writable, redirect_library
from .loading import read_all, reseed
from .outcome import Outcome, at_line
from .recursion import count_from_here
from .suite import FILENAME, Suite, read_suite
from .suite_names import MainModule, Names, SolutionModule
from .under_test import builtins_under_test
from .unimported import module_meant
from .wire import COMPILED, LOADED, NOT_COMPILED, NOT_LOADED

_PR_SET_DUMPABLE = 4
#: Looked up here, since the first look at it costs a freshly forked process thirty pages.
_prctl = ctypes.CDLL(None).prctl
#: Without the wrapper of `signal`, which makes an enum member of every signal.
_block_signals = vars(signal)["_signal"].pthread_sigmask
#: Signals that never reach the judge. Real faults, the CPU limit and the alarms that a
#: suite may set do; a judge that is killed has not reported, which is never a pass.
_HELD_BACK = frozenset(map(int, signal.valid_signals())) - {
    signal.SIGSEGV,
    signal.SIGBUS,
    signal.SIGFPE,
    signal.SIGILL,
    signal.SIGXCPU,
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
}
#: How long the representation of a candidate's object may take before it is given up, in seconds.
_REPR_PATIENCE_S = 2.0


class Report:
    """The way out: writes progress, and the verdict once."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def progress(self, mark: bytes) -> None:
        """Tells how far the run has come."""
        self._write(mark)

    def finish(self, verdict: str, phase: str, message: str, **more: Any) -> NoReturn:
        """Reports and ends the process, whatever it was doing."""
        for stream in (sys.stdout, sys.stderr, sys.__stdout__):
            try:
                if stream is not None:
                    stream.flush()
            except Exception:
                continue
        text = " ".join(message.split("\n"))[:4096]
        self._write(encode_report({"verdict": verdict, "phase": phase, "message": text, **more}))
        os._exit(0)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._fd, data) :]


def main(channel_fd: int, suite_fd: int, report_fd: int) -> int:
    """Entry of the role."""
    harden()
    report = Report(report_fd)
    channel = PinnedChannel(socket.socket(fileno=channel_fd))
    suite = _read(*prepared.unpack(read_all(suite_fd)), report)
    if suite.in_process:
        report.finish("IN_PROCESS", "TEST", suite.in_process)
    overridden = await_load(channel, report)
    sys.argv = [FILENAME]
    count_from_here(2)
    Run(channel, report, suite, overridden).run()


def _read(text: bytes, code: bytes, report: Report) -> Suite:
    """The suite; where its code is not known yet, the report gets it, before all else."""
    if code:
        return prepared.restore(text.decode("utf-8"), code)
    try:
        suite = read_suite(text.decode("utf-8"))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as e:
        line = getattr(e, "lineno", None)
        what = getattr(e, "msg", None) or str(e)
        place = f" (line {line} of the suite)" if line else ""
        report.finish(
            "TEST_ERROR", "TEST", f"the suite does not compile: {type(e).__name__}: {what}{place}"
        )
    if not suite.in_process:
        report.progress(prepared.announce(suite))
    return suite


def harden() -> None:
    """Keeps the candidate, a process of perhaps the same user, out of this one."""
    _prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    _block_signals(signal.SIG_BLOCK, _HELD_BACK)
    # The candidate may have lifted it for the one program that both are in its eyes.
    sys.set_int_max_str_digits(0)
    reseed()
    chance.reseed()


def await_load(channel: PinnedChannel, report: Report) -> frozenset[str]:
    """Follows the candidate's start; returns the builtin names that it defines.

    Ends the run where the solution does not compile or load.
    """
    phase = "COMPILE"
    try:
        frame = channel.receive()
        if frame[:1] == NOT_COMPILED:
            report.finish("COMPILE_ERROR", "COMPILE", _text(frame[1:]))
        if frame[:1] != COMPILED:
            raise ProtocolBreach("an unknown first message")
        phase = "LOAD"
        report.progress(b"C")
        frame = channel.receive()
        if frame[:1] == NOT_LOADED:
            verdict = "MEMORY_LIMIT_EXCEEDED" if frame[1:2] == b"M" else "RUNTIME_ERROR"
            report.finish(verdict, "LOAD", _text(frame[2:]))
        if frame[:1] != LOADED:
            raise ProtocolBreach("an unknown second message")
    except ChannelClosed:
        report.finish("RUNTIME_ERROR", phase, "", died=True)
    except ProtocolBreach as e:
        report.finish("RUNTIME_ERROR", phase, f"the candidate broke the protocol: {e}")
    report.progress(b"L")
    return frozenset(_text(frame[1:]).split())


def _text(data: bytes) -> str:
    return data[:4096].decode("utf-8", "replace")


class Run:
    """One suite against one candidate that has loaded."""

    def __init__(
        self, channel: PinnedChannel, report: Report, suite: Suite, overridden: frozenset[str]
    ) -> None:
        self._report = report
        self._suite = suite
        self._channel = channel
        self._peer = JudgePeer(
            channel,
            ended=self._ended,
            tampered=self._tampered,
            at_line=lambda: at_line(self._line_now(), None),
            suite_knows_stop="StopIteration" in suite.source or "StopAsync" in suite.source,
        )
        self._ledger = Ledger(suite, BoundedRepr(self._ask_repr).bounded)
        self._helpers = self._ledger.helpers()
        self._overridden = overridden

    def run(self) -> NoReturn:
        """Runs the suite to its end and reports."""
        module = self.main_module()
        self._take_over(module)
        verdict, message = self.outcome_in(module.__dict__)
        more = {"proof": "separated"} if verdict == "PASSED" else {}
        self._finish(verdict, message, **more)

    def outcome_in(self, namespace: dict[str, Any]) -> tuple[str, str]:
        """Runs the suite; the verdict and a line for people."""
        error: BaseException | None = None
        try:
            exec(self._suite.code, namespace)
        except BaseException as e:
            error = e
        if any(namespace.get(name) is not helper for name, helper in self._helpers.items()):
            self._tampered("the suite's assertions were replaced")
        verdict, message = Outcome(self._suite, self._ledger, self._origin).of(error)
        suspicion = self._peer.suspicions.first()
        if verdict == "PASSED" and suspicion is not None:
            return "TAMPERED", suspicion
        return verdict, message

    def _origin(self, error: BaseException) -> str | None:
        found = self._peer.origins.get(id(error))
        return None if found is None else found[1]

    def main_module(self) -> MainModule:
        """The suite's module, empty but for what its text is rewritten to use."""
        names = Names(self._peer)
        module = MainModule(self._peer, names)
        namespace = module.__dict__
        namespace["__builtins__"] = names
        namespace["__file__"] = FILENAME
        namespace.update(self._helpers)
        return module

    def _take_over(self, module: MainModule) -> None:
        """Makes this process the suite's."""
        namespace = module.__dict__
        sys.modules["__main__"] = module
        self._peer.namespace = namespace
        source = self._suite.source
        linecache.cache[FILENAME] = (len(source), None, source.splitlines(True), FILENAME)
        unpickle_through(self._peer)
        if self._suite.imports & {"unittest"}:
            import unittest  # noqa: F401  (for the watch)

            watch_unittest(self._ledger, FILENAME)
        redirect_library(self._peer, self._suite.imports | self._take_modules(namespace))
        import_nothing_writable()
        if "solution" in source:
            sys.modules["solution"] = SolutionModule(self._peer, namespace)
        if self._overridden:
            for name in builtins_under_test(source, self._overridden):
                namespace[name] = self._peer.request("global", name)[1]
        if self._suite.wants_names:
            self._fill(namespace)

    def _take_modules(self, namespace: dict[str, Any]) -> set[str]:
        """Lets modules that the suite uses as the solution imports them be Python's own."""
        names = namespace["__builtins__"]
        for name, attributes in self._suite.unimported.items():
            module = module_meant(name, attributes)
            if module is not None and self._peer.request("has", name):
                names[name] = module
        return set(self._suite.unimported)

    def _fill(self, namespace: dict[str, Any]) -> None:
        for name in self._peer.request("names"):
            if type(name) is str and not hasattr(builtins, name):
                namespace.setdefault(name, self._peer.request("global", name)[1])

    # -- how it ends -----------------------------------------------------------------------

    def _ended(self, why: str) -> NoReturn:
        line = self._line_now()
        if self._peer.impatient:
            self._finish("ASSERTION_FAILED", "an assertion is false")
        if not why.startswith("broke"):
            self._finish("RUNTIME_ERROR", at_line(line, None), died=True)
        self._finish("RUNTIME_ERROR", f"the candidate {why}{at_line(line, None)}")

    def _tampered(self, what: str) -> NoReturn:
        self._finish("TAMPERED", f"{what}{at_line(self._line_now(), None)}")

    def _line_now(self) -> int:
        frame: types.FrameType | None = sys._getframe(1)
        while frame is not None and frame.f_code.co_filename != FILENAME:
            frame = frame.f_back
        return frame.f_lineno if frame is not None else 0

    def _finish(self, verdict: str, message: str, **more: Any) -> NoReturn:
        self._report.finish(verdict, "TEST", message, assertions=self._ledger.assertions(), **more)

    def _ask_repr(self, value: Any) -> str:
        """Representation of a candidate's object; a candidate that does not answer ends the run."""
        self._peer.impatient = True
        self._channel.deadline(_REPR_PATIENCE_S)
        try:
            return str(repr(value))[:2048]
        except Exception as e:
            kind = type(value).__name__
            text = f"<{kind}: its representation raised {type(e).__name__}>"
            return BaseException.__repr__(value) if isinstance(value, ExceptionHandle) else text
        finally:
            self._channel.deadline(None)
            self._peer.impatient = False
