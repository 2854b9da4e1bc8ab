"""The vocabulary of plum as types. Everything else in the orchestrator speaks in these.

Stubs of the wire stay in `orchestrator.sandbox.convert`; nothing else sees them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Verdict(StrEnum):
    """What an execution says about its candidate, or (TEST_ERROR) about its suite."""

    PASSED = "PASSED"
    ASSERTION_FAILED = "ASSERTION_FAILED"
    RUNTIME_ERROR = "RUNTIME_ERROR"
    COMPILE_ERROR = "COMPILE_ERROR"
    TIME_LIMIT_EXCEEDED = "TIME_LIMIT_EXCEEDED"
    MEMORY_LIMIT_EXCEEDED = "MEMORY_LIMIT_EXCEEDED"
    OUTPUT_LIMIT_EXCEEDED = "OUTPUT_LIMIT_EXCEEDED"
    TAMPERED = "TAMPERED"
    TEST_ERROR = "TEST_ERROR"


class Phase(StrEnum):
    """How far an execution had come when its verdict was reached."""

    COMPILE = "COMPILE"
    LOAD = "LOAD"
    TEST = "TEST"


class Proof(StrEnum):
    """How a pass was established, from the strongest to the weakest."""

    SEPARATED = "separated"
    IN_PROCESS = "in_process"
    WITNESS = "witness"


@dataclass(frozen=True)
class Limits:
    """What an execution may use; None takes the language's default."""

    cpu_time_s: float | None = None
    wall_time_s: float | None = None
    memory_bytes: int | None = None
    processes: int | None = None
    output_bytes: int | None = None
    file_bytes: int | None = None
    open_files: int | None = None


@dataclass(frozen=True)
class Execution:
    """One candidate and one suite, to be run together in a fresh jail.

    hash_seed: below `LanguageInfo.hash_seeds` of the language; 0 is its usual order of hashes.
    """

    id: str
    language: str
    solution: str
    test: str
    limits: Limits = field(default_factory=Limits)
    hash_seed: int = 0


@dataclass(frozen=True)
class AssertionFailure:
    """The first assertion that did not hold; texts are bounded by the sandbox."""

    line: int  # in the suite, from 1
    expression: str
    left: str
    right: str


@dataclass(frozen=True)
class Assertions:
    """Assertions of an execution, counted as they were evaluated."""

    passed: int = 0
    failed: int = 0
    first_failure: AssertionFailure | None = None


@dataclass(frozen=True)
class Usage:
    """What an execution was measured to use, all its processes together."""

    cpu_time_s: float
    wall_time_s: float
    memory_bytes: int


@dataclass(frozen=True)
class ExecutionResult:
    """What came of one execution."""

    id: str
    verdict: Verdict
    phase: Phase
    message: str
    assertions: Assertions
    proof: Proof | None
    usage: Usage
    stdout: bytes
    stderr: bytes
    stdout_bytes: int
    stderr_bytes: int


@dataclass(frozen=True)
class ExecutionError:
    """Why an execution did not take place. Says nothing about the candidate."""

    id: str
    code: str  # name of a gRPC status code, for example "UNAVAILABLE"
    message: str


class CheckStatus(StrEnum):
    """Whether a candidate could be checked statically."""

    CHECKED = "CHECKED"
    SYNTAX_ERROR = "SYNTAX_ERROR"
    NOT_CHECKED = "NOT_CHECKED"


class Severity(StrEnum):
    """How grave a checker calls a finding."""

    ERROR = "ERROR"
    WARNING = "WARNING"
    NOTE = "NOTE"


@dataclass(frozen=True)
class Diagnostic:
    """One finding of a static check."""

    line: int  # in the candidate, from 1
    severity: Severity
    code: str  # the checker's name for its class, for example "name-defined"
    message: str


@dataclass(frozen=True)
class CheckResult:
    """What the static check says about one candidate."""

    id: str
    status: CheckStatus
    diagnostics: tuple[Diagnostic, ...]
    message: str = ""
