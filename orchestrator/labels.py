"""The label policy: from what is known about a candidate to desirable, undesirable or dropped.

Pure. A candidate meets the kept suites of its problem in their order, until one settles its
label. It is *desirable* if it passes every kept suite, *undesirable* if it runs and fails one,
and *dropped* where anything says that it does not run, that it cheated,
that a suite is broken, or that something needed is not known. A problem without a desirable
candidate is dropped whole. Every candidate gets exactly one label, with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from orchestrator.check_codes import fatal_codes
from orchestrator.domain import (
    CheckResult,
    CheckStatus,
    ExecutionError,
    ExecutionResult,
    Phase,
    Severity,
    Verdict,
)


class LabelReason(StrEnum):
    """Why a candidate has its label. Only the first two carry one; the rest are drops."""

    PASSED = "passed every suite"
    FAILED = "runs and fails a suite"
    TRUNCATED = "cut by the length limit"
    NO_CODE = "no code in the completion"
    SYNTAX_ERROR = "does not parse"
    STATIC_ERROR = "static check says it does not run"
    DOES_NOT_COMPILE = "does not compile"
    DOES_NOT_LOAD = "does not load"
    TAMPERED = "interfered with its judging"
    NO_SUITE = "no kept suite"
    NOT_EXECUTED = "not executed"
    SUITE_BROKEN = "a suite is broken"
    NO_PASSING_CANDIDATE = "no passing candidate"


@dataclass(frozen=True)
class LabelPolicy:
    """What a recipe may choose about labels."""

    fatal_codes: frozenset[str] = fatal_codes({})


@dataclass(frozen=True)
class Label:
    """True is desirable, False undesirable, None dropped."""

    value: bool | None
    reason: LabelReason
    detail: str = ""
    suite: str | None = None  # SHA-256 of the suite that decided, where one did


def label_candidate(
    check: CheckResult | None,
    outcomes: Sequence[ExecutionResult | ExecutionError | None],
    policy: LabelPolicy,
    *,
    extracted: bool = True,
    truncated: bool = False,
) -> Label:
    """The label of one candidate, before its siblings are looked at.

    `outcomes` has one entry per kept suite, None where it was not executed. `check` is None
    where no static check was asked for; `decisive` says which outcomes to give. `extracted` is False where the completion holds no
    code, `truncated` True where the length limit cut it: then the rest is not looked at.
    """
    if truncated:
        return Label(None, LabelReason.TRUNCATED)
    if not extracted:
        return Label(None, LabelReason.NO_CODE)
    found = _from_check(check, policy)
    if found is not None:
        return found
    if not outcomes:
        return Label(None, LabelReason.NO_SUITE)
    read = [_read(outcome) for outcome in outcomes]
    return min(read, key=lambda label: _PRECEDENCE.index(label.reason))


def decisive(
    outcomes: Sequence[ExecutionResult | ExecutionError | None],
) -> Sequence[ExecutionResult | ExecutionError | None]:
    """Of a candidate's outcomes in the order of the suites, those that its label is made of.

    They end with the first suite that is not known to be passed: that one settles the label, and
    what came of later suites does not count. So a label is the same whether or not the rest is
    executed, and the executions that it needs are made one after the other.
    """
    for index, outcome in enumerate(outcomes):
        if not isinstance(outcome, ExecutionResult) or outcome.verdict is not Verdict.PASSED:
            return outcomes[: index + 1]
    return outcomes


def label_problem(labels: Sequence[Label]) -> list[Label]:
    """The final labels of all candidates of one problem, in their order.

    Without a desirable candidate there is nothing to prefer, and the undesirable ones may
    owe it to a suite that nobody can pass: they are dropped.
    """
    if any(label.value is True for label in labels):
        return list(labels)
    return [
        label
        if label.value is None
        else Label(None, LabelReason.NO_PASSING_CANDIDATE, suite=label.suite)
        for label in labels
    ]


#: Over all suites of a candidate, the first of these that occurs decides. What the candidate
#: did comes before what is unknown, so that a rerun after a sandbox failure cannot change it.
_PRECEDENCE = (
    LabelReason.TAMPERED,
    LabelReason.DOES_NOT_COMPILE,
    LabelReason.DOES_NOT_LOAD,
    LabelReason.NOT_EXECUTED,
    LabelReason.SUITE_BROKEN,
    LabelReason.FAILED,
    LabelReason.PASSED,
)


def _from_check(check: CheckResult | None, policy: LabelPolicy) -> Label | None:
    """The drop that the static check asks for, if any."""
    if check is None:
        return None
    match check.status:
        case CheckStatus.SYNTAX_ERROR:
            first = check.diagnostics[0].message if check.diagnostics else check.message
            return Label(None, LabelReason.SYNTAX_ERROR, first)
        case CheckStatus.NOT_CHECKED:
            return None  # says nothing about the candidate; its execution will
        case CheckStatus.CHECKED:
            for found in check.diagnostics:
                if found.severity is Severity.ERROR and found.code in policy.fatal_codes:
                    detail = f"line {found.line}: {found.message} [{found.code}]"
                    return Label(None, LabelReason.STATIC_ERROR, detail)
            return None
        case _:
            assert_never(check.status)


def _read(outcome: ExecutionResult | ExecutionError | None) -> Label:
    """What one suite alone says about a candidate."""
    if outcome is None:
        return Label(None, LabelReason.NOT_EXECUTED)
    if isinstance(outcome, ExecutionError):
        return Label(None, LabelReason.NOT_EXECUTED, f"{outcome.code}: {outcome.message}")
    match outcome.verdict:
        case Verdict.PASSED:
            return Label(True, LabelReason.PASSED)
        case Verdict.TAMPERED:
            return Label(None, LabelReason.TAMPERED, outcome.message)
        case Verdict.TEST_ERROR:
            return Label(None, LabelReason.SUITE_BROKEN, outcome.message)
        case (
            Verdict.ASSERTION_FAILED
            | Verdict.RUNTIME_ERROR
            | Verdict.COMPILE_ERROR
            | Verdict.TIME_LIMIT_EXCEEDED
            | Verdict.MEMORY_LIMIT_EXCEEDED
            | Verdict.OUTPUT_LIMIT_EXCEEDED
        ):
            return _read_failure(outcome)
        case _:
            assert_never(outcome.verdict)


def _read_failure(outcome: ExecutionResult) -> Label:
    """Does not run, or runs and is wrong: the phase tells."""
    if outcome.verdict is Verdict.COMPILE_ERROR:
        return Label(None, LabelReason.DOES_NOT_COMPILE, outcome.message)
    detail = f"{outcome.verdict}: {outcome.message}"
    match outcome.phase:
        case Phase.COMPILE:
            return Label(None, LabelReason.DOES_NOT_COMPILE, detail)
        case Phase.LOAD:
            return Label(None, LabelReason.DOES_NOT_LOAD, detail)
        case Phase.TEST:
            return Label(False, LabelReason.FAILED, detail)
        case _:
            assert_never(outcome.phase)
