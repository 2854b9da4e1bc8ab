"""Judges one candidate: compiles it in one stage, runs it in the next.

Theory of operation. Every stage is one program of the toolchain in the jail,
confined as the candidate's user: a compiler is given untrusted input too. What
the compiler makes goes from its stage to the next one as an archive that is
opened nowhere else. The program that is run reports on descriptor 3, and reads
a token from descriptor 4 before it runs any of the candidate's code; a pass
must carry that token (`report`), so that a candidate that ends the program
early, however it does so, passes nothing.

Several suites of one candidate are compiled with it at once where that gives each the
verdict that it would have alone (`Hooks.together`); each still runs in a stage, and with
a token, of its own. Whatever is in doubt is compiled by itself.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from sandbox_server.worker.files import pack
from sandbox_server.worker.jail_contract import Compiled, Exit, Jail, Program, StageFacts, Task
from sandbox_server.worker.language import Language
from sandbox_server.worker.program import TOO_MUCH_TO_COLLECT
from sandbox_server.worker.programs.classify import (
    Diagnostic,
    by_limit,
    classify_run,
    read_diagnostics,
    verdict,
)
from sandbox_server.worker.programs.hooks import Hooks, Sources, Unit
from sandbox_server.worker.programs.report import quote_suite, read_report
from sandbox_server.worker.protocol import Limits
from sandbox_server.worker.toolchain import HOME, Command, fill

#: What a harness has a compiler call the text that it puts around a suite.
SEAM = "seam"
_TOKEN_BYTES = 16
_DIAGNOSTICS = 100
_DIAGNOSTIC_TEXT = 1024


class ProgramHarness:
    """The harness of a language with `[run]` in its ``language.toml``.

    prepared: folder with what `Hooks.prepare` has made; empty where it makes nothing.
    """

    def __init__(self, language: Language, hooks: Hooks, prepared: str) -> None:
        assert language.programs is not None
        self._programs = language.programs
        self._hooks = hooks
        self._prepared = prepared
        self._places = {
            **self._programs.tools,
            HOME: self._programs.home,
            **self._programs.runtimes,
            "prepared": prepared,
        }
        given = self._programs.environment
        self._environment = dict(zip(given, fill(given.values(), self._places), strict=True))

    @property
    def folders(self) -> tuple[str, ...]:
        """What the jails of this language show beside what every jail has."""
        return (*self._programs.folders, *([self._prepared] if self._prepared else []))

    @property
    def links(self) -> Mapping[str, str]:
        """Symbolic links that those jails have, by path."""
        places = self._programs.links
        return dict(zip(places, fill(places.values(), self._places), strict=True))

    def warm(self) -> None:
        """See `jail_contract`. Nothing is left to load."""

    def execute(self, task: Task, jail: Jail) -> dict[str, Any]:
        """See `jail_contract`."""
        if not task.test.strip():
            return verdict("TEST_ERROR", "COMPILE", "the suite checks nothing: it is empty")
        sources = self._hooks.sources(task.solution, task.test, self._prepared)
        if self._programs.compile is None:
            archive = jail.hand_over(_pack(sources))
            return self._run(task, Program(self._run_argv(task, sources), archives=[archive]), jail)
        facts, made = self._stage(self._programs.compile, sources, jail)
        if facts.limit is not None:
            return by_limit(facts, "COMPILE")
        if facts.exits["program"] != Exit(0, None):
            return self._not_compiled(task, facts, jail)
        program = Program(self._run_argv(task, Sources({}, ())), archives=[made])
        return self._run(task, program, jail)

    def compile_together(
        self, solution: str, tests: Sequence[str], jail: Jail
    ) -> dict[int, Compiled]:
        """See `jail_contract`."""
        suites = {place: test for place, test in enumerate(tests) if test.strip()}
        found: dict[int, Compiled] = {}
        if self._programs.compile is not None and len(suites) > 1:
            for unit in self._hooks.together(solution, suites, self._prepared):
                found |= self._compile_unit(self._programs.compile, solution, unit, jail)
        return found

    def _compile_unit(
        self, command: Command, solution: str, unit: Unit, jail: Jail
    ) -> dict[int, Compiled]:
        collect = command.collect
        if not unit.one_program:
            parts = range(len(unit.places))
            collect += tuple(f"{part}/{path}" for part in parts for path in command.collect)
        facts, made = self._stage(replace(command, collect=collect), unit.sources, jail)
        if facts.limit is not None:
            return {}
        if facts.exits["program"] == Exit(0, None):
            return {
                place: Compiled(made, part, unit.one_program, None)
                for part, place in enumerate(unit.places)
            }
        found, _ = self._errors(jail)
        if facts.exits["program"].status is None or not found:
            return {}
        if not set(found) <= set(self._errors_alone(solution, jail)):
            return {}
        judged = verdict("COMPILE_ERROR", "COMPILE", _shown(found, ""))
        return {place: Compiled(None, 0, False, judged) for place in unit.places}

    def _errors_alone(self, solution: str, jail: Jail) -> list[Diagnostic]:
        """The errors of the solution that are not of a suite's making."""
        if self._programs.check is None:
            return []
        sources = self._hooks.sources(solution, "", self._prepared)
        facts, _ = self._stage(self._programs.check, sources, jail)
        return self._errors(jail)[0] if facts.limit is None else []

    def execute_compiled(self, task: Task, compiled: Compiled, jail: Jail) -> dict[str, Any]:
        """See `jail_contract`."""
        assert compiled.archive is not None
        program = Program(
            self._run_argv(task, Sources({}, ())),
            archives=[compiled.archive],
            part=None if compiled.one_program else compiled.part,
        )
        chosen = bytes([compiled.part]) if compiled.one_program else b""
        return self._run(task, program, jail, chosen)

    def _stage(self, command: Command, sources: Sources, jail: Jail) -> tuple[StageFacts, int]:
        if self._programs.resident and jail.has_resident:
            argv = self._argv(self._programs.resident, sources, command.limits)
            resident = Program(argv=argv, environment=self._environment)
            return jail.ask_resident(resident, _pack(sources), command.limits)
        program = Program(
            argv=self._argv(command.argv, sources, command.limits),
            archives=[jail.hand_over(_pack(sources))],
            collect=command.collect,
            environment=self._environment,
        )
        return jail.run_program(program, command.limits)

    def _argv(self, command: Sequence[str], sources: Sources, limits: Limits) -> list[str]:
        places = {**self._places, "memory_mib": str(limits.memory_bytes >> 20)}
        return fill(command, places, sources.arguments)

    def _not_compiled(self, task: Task, facts: StageFacts, jail: Jail) -> dict[str, Any]:
        if facts.exits["program"].status == TOO_MUCH_TO_COLLECT:
            return verdict("COMPILE_ERROR", "COMPILE", "what the compiler makes of it is too large")
        found, text = self._errors(jail)
        if any(self._is_suite(d) for d in found) and all(self._is_suite(d) for d in found):
            return self._suite_not_compiled(task, found, jail)
        if not found and self._hooks.broken_suite([text]):
            return verdict("TEST_ERROR", "COMPILE", f"the suite does not link: {_shown([], text)}")
        return verdict("COMPILE_ERROR", "COMPILE", _shown(found, text))

    def _suite_not_compiled(
        self, task: Task, found: Sequence[Diagnostic], jail: Jail
    ) -> dict[str, Any]:
        """A solution that leaves something open breaks the suite behind it, so it is tried alone."""
        suite_says = _shown(found, "")
        if self._programs.check is not None:
            sources = self._hooks.sources(task.solution, "", self._prepared)
            facts, _ = self._stage(self._programs.check, sources, jail)
            if facts.exits["program"] != Exit(0, None):
                own, text = self._errors(jail)
                return verdict("COMPILE_ERROR", "COMPILE", _shown(own, text))
        if self._hooks.broken_suite([d.message for d in found]):
            return verdict("TEST_ERROR", "COMPILE", f"the suite does not compile: {suite_says}")
        message = f"the suite does not compile with this solution: {suite_says}"
        return verdict("COMPILE_ERROR", "COMPILE", message)

    def _errors(self, jail: Jail) -> tuple[list[Diagnostic], str]:
        text = b"".join(jail.output()).decode("utf-8", "replace")
        return read_diagnostics(text, self._programs.diagnostic), text

    def _is_suite(self, diagnostic: Diagnostic) -> bool:
        return os.path.basename(diagnostic.file) in (self._programs.suite_file, SEAM)

    def _run_argv(self, task: Task, sources: Sources) -> list[str]:
        return self._argv(self._programs.run.argv, sources, task.limits)

    def _run(self, task: Task, program: Program, jail: Jail, chosen: bytes = b"") -> dict[str, Any]:
        """chosen: what tells a program for several suites which of them it is to run."""
        token = secrets.token_hex(_TOKEN_BYTES)
        token_in, token_out = os.pipe()
        os.write(token_out, token.encode("ascii") + chosen)
        os.close(token_out)
        report_in, report_out = os.pipe()
        run = replace(program, fds=[report_out, token_in], environment=self._environment)
        try:
            facts, _ = jail.run_program(run, task.limits, report_in)
        finally:
            os.close(report_in)
        _, stderr = jail.output()
        report = quote_suite(read_report(facts.report, token), task.test)
        return classify_run(facts, report, stderr.decode("utf-8", "replace"))

    def check(self, candidates: Sequence[dict[str, Any]], jail: Jail) -> list[dict[str, Any]]:
        """See `jail_contract`: each candidate compiled by itself, without a suite."""
        if self._programs.check is None:
            why = "nothing can be said of this language without running it"
            return [_checked(c["id"], "NOT_CHECKED", message=why) for c in candidates]
        return [self._check(c, self._programs.check, jail) for c in candidates]

    def _check(self, candidate: dict[str, Any], command: Command, jail: Jail) -> dict[str, Any]:
        sources = self._hooks.sources(candidate["solution"], "", self._prepared)
        facts, _ = self._stage(command, sources, jail)
        identity = candidate["id"]
        if facts.limit is not None:
            return _checked(identity, "NOT_CHECKED", message=f"the {facts.limit} limit was reached")
        if facts.exits["program"] == Exit(0, None):
            return _checked(identity, "CHECKED")
        found, text = self._errors(jail)
        found = found or [Diagnostic("", 1, _shown([], text))]
        return _checked(identity, "SYNTAX_ERROR", found)


def _pack(sources: Sources) -> bytes:
    return pack({path: text.encode("utf-8", "replace") for path, text in sources.files.items()})


def _shown(found: Sequence[Diagnostic], text: str) -> str:
    if not found:
        return text.strip() or "it does not compile"
    return "\n".join(f"{os.path.basename(d.file)}:{d.line}: {d.message}" for d in found[:5])


def _checked(
    identity: str, status: str, found: Sequence[Diagnostic] = (), message: str = ""
) -> dict[str, Any]:
    diagnostics = [
        {
            "line": d.line,
            "severity": "ERROR",
            "code": "",
            "message": d.message[:_DIAGNOSTIC_TEXT],
        }
        for d in found[:_DIAGNOSTICS]
    ]
    return {"id": identity, "status": status, "diagnostics": diagnostics, "message": message}
