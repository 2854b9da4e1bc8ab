"""What a language's harness and the jail ask of each other.

A harness (``images/<language>/harness``) imports nothing of ours, so it meets
these types by shape. It offers three functions:

``warm() -> None``
    Called once in the worker, before the first slot is made: imports and
    compiles whatever every execution would otherwise load again.
``execute(task, jail) -> dict``
    Judges one candidate and returns ``verdict, phase, message, assertions
    {passed, failed, first_failure: None | {line, expression, left, right}}, proof``.
    It runs in the slot's supervisor, outside the jail. No role is ever forked
    from the supervisor, so nothing that `execute` holds (the suite, above all)
    is in the memory of a process that runs candidate code; what a role needs
    it gets through a descriptor.
``check(candidates, jail) -> list[dict]``
    The static check, in the shape `protocol` gives it.

One that compiles candidates has two functions more, see `CompilesTogether`, and one that has
stages in lean jails another, see `WarmsLean`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from sandbox_server.worker.protocol import Limits, Usage


@dataclass(frozen=True)
class Task:
    """One candidate and one suite."""

    solution: str
    test: str
    limits: Limits


class Role(Protocol):
    """One process of a stage, before it is forked."""

    name: str
    #: "module:function" within the harness package. Called as
    #: ``function(*fds)`` in a confined process that was forked from one that
    #: has never held a suite or a candidate. What it returns is the exit
    #: status; an exception that leaves it gives 70.
    entry: str
    #: Descriptors of the supervisor that the process gets, as its arguments in
    #: this order (their numbers may change on the way). It has no others above 2.
    #: They stay open in the supervisor, which closes its own copies itself.
    fds: Sequence[int]
    #: True for a process that runs the candidate's code. It gets the
    #: candidate's user where the platform has a second one to give.
    untrusted: bool


@dataclass(frozen=True)
class Program:
    """A program of the toolchain as the one role of a stage; for languages with `[run]`."""

    #: Path of the program inside the jail, and its arguments. It starts in the scratch folder.
    argv: Sequence[str]
    #: Descriptors of the supervisor that it gets, numbered from 3 on.
    fds: Sequence[int] = ()
    #: Descriptors with an archive each (`files.pack`, or what an earlier stage collected),
    #: unpacked into the scratch folder before it starts. It does not get these.
    archives: Sequence[int] = ()
    #: Paths in the scratch folder that are collected where it exits with 0.
    collect: Sequence[str] = ()
    #: Set beside what every process of a jail has.
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Of the archives' numbered folders, the one whose files it gets; None: no folder is special.
    part: int | None = None


@dataclass(frozen=True)
class Exit:
    """How a process ended. Both None: it was still running and was killed with the jail."""

    status: int | None
    signal: int | None


@dataclass(frozen=True)
class StageFacts:
    """What was observed of one stage. Facts only; the harness draws the conclusions."""

    exits: dict[str, Exit]
    #: "cpu", "wall", "memory" or "output" where that limit ended the stage.
    limit: str | None
    #: What the leader wrote to the report descriptor; None beyond the bound.
    report: bytes | None


class Attendant(Protocol):
    """Talks with a process of a stage while it runs, from outside of the jail."""

    #: How long the stage may still go on once `readable` has said no, in seconds.
    grace_s: float

    def fileno(self) -> int:
        """A non-blocking descriptor to wait for."""

    def readable(self) -> bool:
        """Takes what has come, without waiting; whether there is more to wait for."""


class Jail(Protocol):
    """Confines the stages of one execution."""

    #: Scratch folder inside the jail: the working folder and home of every role.
    scratch: str

    def run_stage(
        self,
        roles: Sequence[Role],
        report_fd: int | None = None,
        close_after_fork: Sequence[int] = (),
        attend: Attendant | None = None,
        lean: bool = False,
    ) -> StageFacts:
        """Forks one confined process per role and waits for the first role, the leader, to end.

        The stage also ends when a limit is reached; limits and usage count over
        all stages of the execution. Whatever still runs is then killed, and
        temporary files and everything else that could carry over is gone
        before this returns. Standard output and error of all roles are
        captured; standard input is empty.

        report_fd: the read end of a pipe whose write end is among the leader's
            `fds` (the harness closes its own write end once the stage has
            begun: `run_stage` does it for every descriptor of `close_after_fork`).
            At most 1 MiB is read from it.
        attend: is told when its descriptor is readable, the last time when all processes
            are gone; the stage ends once it wants no more.
        lean: the roles need no more in memory than `warm_lean` loads. They run where no more
            is, if there is such a jail.

        Raises:
            JailError: the sandbox failed; says nothing about the candidate.
        """

    def run_program(
        self, program: Program, limits: Limits, report_fd: int | None = None
    ) -> tuple[StageFacts, int]:
        """Runs `program` as the candidate's user in a stage of its own, under `limits`.

        As `run_stage`, but for the exit, which is called "program", and for what
        the kernel bounds in each process: not its address space, of which
        runtimes reserve far more than they use.

        Returns: the facts, and a descriptor with the archive of what was collected (empty
        where it failed), which is closed when the execution ends.

        Raises:
            JailError: the sandbox failed; says nothing about the candidate.
        """

    @property
    def has_resident(self) -> bool:
        """Whether there is a jail beside this one for a program that stays."""

    def ask_resident(
        self, program: Program, request: bytes, limits: Limits
    ) -> tuple[StageFacts, int]:
        """What `program` answers to `request`, as from `run_program`; it stays for the next one.

        limits: of this request alone. See `resident` for what is sent.

        Raises:
            JailError: the sandbox failed; says nothing about the candidate.
        """

    def output(self) -> tuple[bytes, bytes]:
        """What is kept of the standard output and error of the last stage."""

    def hand_over(self, data: bytes) -> int:
        """A descriptor that reads as `data` from its start, to put among a role's `fds`.

        It is closed when the execution ends.
        """

    def usage(self) -> Usage:
        """What the stages run so far have used."""


class Harness(Protocol):
    """A harness, as the head of this module describes it."""

    def warm(self) -> None:
        """Loads what every execution would otherwise load again."""

    def execute(self, task: Task, jail: Jail) -> dict[str, Any]:
        """Judges one candidate."""

    def check(self, candidates: Sequence[dict[str, Any]], jail: Jail) -> list[dict[str, Any]]:
        """The static check."""


@runtime_checkable
class WarmsLean(Protocol):
    """A harness that has roles in jails with little in memory; see `lean`."""

    def warm_lean(self) -> None:
        """Loads what these roles would load again, and no more."""


@dataclass(frozen=True)
class Compiled:
    """What came of compiling a suite together with others, where that can be used for it."""

    #: Descriptor of an archive with what runs; None where the solution does not compile.
    archive: int | None
    #: The suite's number in it.
    part: int
    #: Whether it is a program for all suites, which is told the number; else the archive has a
    #: numbered folder for each.
    one_program: bool
    #: The verdict on a solution that does not compile.
    verdict: dict[str, Any] | None


@runtime_checkable
class CompilesTogether(Protocol):
    """A harness that compiles a candidate once for several suites."""

    def compile_together(
        self, solution: str, tests: Sequence[str], jail: Jail
    ) -> dict[int, Compiled]:
        """By place in `tests`, what can be used; a suite that is not in it is executed by itself.

        jail: its descriptors stay open until the last of the suites is judged.
        """

    def execute_compiled(self, task: Task, compiled: Compiled, jail: Jail) -> dict[str, Any]:
        """As `Harness.execute`, and with the same result."""
