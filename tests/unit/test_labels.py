"""The label policy holds its promises for every combination of outcomes."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import (
    Assertions,
    CheckResult,
    CheckStatus,
    Diagnostic,
    ExecutionError,
    ExecutionResult,
    Phase,
    Severity,
    Usage,
    Verdict,
)
from orchestrator.labels import (
    Label,
    LabelPolicy,
    LabelReason,
    label_candidate,
    label_problem,
)

POLICY = LabelPolicy()
FATAL_CODES = sorted(POLICY.fatal_codes)


def result(verdict: Verdict, phase: Phase = Phase.TEST) -> ExecutionResult:
    usage = Usage(0.0, 0.0, 0)
    return ExecutionResult("x", verdict, phase, "why", Assertions(), None, usage, b"", b"", 0, 0)


def checked(code: str, severity: Severity = Severity.ERROR) -> CheckResult:
    return CheckResult("x", CheckStatus.CHECKED, (Diagnostic(1, severity, code, "found"),))


ERROR = ExecutionError("x", "UNAVAILABLE", "lost")
OUTCOMES = st.one_of(
    st.none(),
    st.just(ERROR),
    st.builds(result, st.sampled_from(Verdict), st.sampled_from(Phase)),
    st.just(result(Verdict.PASSED)),
    st.just(result(Verdict.ASSERTION_FAILED)),
)
CHECKS = st.one_of(
    st.none(),
    st.builds(
        lambda status, code, severity: CheckResult(
            "x", status, (Diagnostic(1, severity, code, "m"),)
        ),
        st.sampled_from(CheckStatus),
        st.sampled_from([*FATAL_CODES, "arg-type", "attr-defined"]),
        st.sampled_from(Severity),
    ),
)


def does_not_run(check: CheckResult | None) -> bool:
    if check is None:
        return False
    fatal = any(d.severity is Severity.ERROR and d.code in FATAL_CODES for d in check.diagnostics)
    return check.status is CheckStatus.SYNTAX_ERROR or (
        check.status is CheckStatus.CHECKED and fatal
    )


@given(CHECKS, st.lists(OUTCOMES, max_size=5))
def test_desirable_is_exactly_passed_by_every_suite(
    check: CheckResult | None, outcomes: list[ExecutionResult | ExecutionError | None]
) -> None:
    label = label_candidate(check, outcomes, POLICY)
    passes = [isinstance(o, ExecutionResult) and o.verdict is Verdict.PASSED for o in outcomes]
    wanted = bool(outcomes) and all(passes) and not does_not_run(check)
    assert (label.value is True) == wanted
    assert (label.reason is LabelReason.PASSED) == wanted


@given(CHECKS, st.lists(OUTCOMES, max_size=5))
def test_undesirable_is_exactly_runs_and_fails_with_nothing_unknown(
    check: CheckResult | None, outcomes: list[ExecutionResult | ExecutionError | None]
) -> None:
    label = label_candidate(check, outcomes, POLICY)
    telling = [
        o
        for o in outcomes
        if isinstance(o, ExecutionResult)
        and o.verdict not in {Verdict.TAMPERED, Verdict.TEST_ERROR, Verdict.COMPILE_ERROR}
        and (o.verdict is Verdict.PASSED or o.phase is Phase.TEST)
    ]
    wanted = (
        len(telling) == len(outcomes)
        and any(o.verdict is not Verdict.PASSED for o in telling)
        and not does_not_run(check)
    )
    assert (label.value is False) == wanted
    assert (label.reason is LabelReason.FAILED) == wanted


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("phase", Phase)
def test_every_verdict_and_phase_has_a_label(verdict: Verdict, phase: Phase) -> None:
    label = label_candidate(None, [result(verdict, phase)], POLICY)
    assert (label.value is None) == (label.reason not in {LabelReason.PASSED, LabelReason.FAILED})


@pytest.mark.parametrize("status", CheckStatus)
def test_every_check_status_is_read(status: CheckStatus) -> None:
    check = CheckResult("x", status, ())
    label = label_candidate(check, [result(Verdict.PASSED)], POLICY)
    assert (label.value is True) == (status is not CheckStatus.SYNTAX_ERROR)


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ([], LabelReason.NO_SUITE),
        ([None], LabelReason.NOT_EXECUTED),
        ([ERROR, result(Verdict.ASSERTION_FAILED)], LabelReason.NOT_EXECUTED),
        ([result(Verdict.PASSED), result(Verdict.TEST_ERROR)], LabelReason.SUITE_BROKEN),
        ([result(Verdict.ASSERTION_FAILED), result(Verdict.TAMPERED)], LabelReason.TAMPERED),
        ([None, result(Verdict.TAMPERED)], LabelReason.TAMPERED),
        ([result(Verdict.RUNTIME_ERROR, Phase.LOAD)], LabelReason.DOES_NOT_LOAD),
        ([result(Verdict.TIME_LIMIT_EXCEEDED, Phase.LOAD)], LabelReason.DOES_NOT_LOAD),
        ([result(Verdict.COMPILE_ERROR, Phase.COMPILE)], LabelReason.DOES_NOT_COMPILE),
    ],
)
def test_what_is_dropped_and_why(
    outcomes: list[ExecutionResult | ExecutionError | None], reason: LabelReason
) -> None:
    label = label_candidate(None, outcomes, POLICY)
    assert (label.value, label.reason) == (None, reason)


def test_a_rerun_after_a_sandbox_failure_does_not_change_what_the_candidate_did() -> None:
    seen = result(Verdict.RUNTIME_ERROR, Phase.LOAD)
    before = label_candidate(None, [ERROR, seen], POLICY)
    assert before == label_candidate(None, [result(Verdict.PASSED), seen], POLICY)


def test_a_remark_of_the_checker_drops_nothing() -> None:
    passed = [result(Verdict.PASSED)]
    assert label_candidate(checked("arg-type"), passed, POLICY).value is True
    assert label_candidate(checked("name-defined", Severity.NOTE), passed, POLICY).value is True


def test_the_recipe_decides_which_codes_are_fatal() -> None:
    strict = LabelPolicy(frozenset({"arg-type"}))
    passed = [result(Verdict.PASSED)]
    dropped = label_candidate(checked("arg-type"), passed, strict)
    assert dropped.reason is LabelReason.STATIC_ERROR
    assert "arg-type" in dropped.detail
    assert label_candidate(checked("name-defined"), passed, strict).value is True


def test_a_cut_or_codeless_completion_is_dropped_whatever_else_is_known() -> None:
    passed = [result(Verdict.PASSED)]
    assert label_candidate(None, passed, POLICY, truncated=True).reason is LabelReason.TRUNCATED
    assert label_candidate(None, [], POLICY, extracted=False).reason is LabelReason.NO_CODE


LABELS = st.sampled_from(
    [
        Label(True, LabelReason.PASSED),
        Label(False, LabelReason.FAILED),
        Label(None, LabelReason.TAMPERED),
    ]
)


@given(st.lists(LABELS, max_size=8))
def test_a_problem_without_a_desirable_candidate_is_dropped_whole_and_counts_add_up(
    labels: list[Label],
) -> None:
    final = label_problem(labels)
    assert len(final) == len(labels)
    if any(label.value for label in labels):
        assert final == labels
    else:
        assert all(label.value is None for label in final)
        reasons = Counter(label.reason for label in final)
        assert reasons[LabelReason.TAMPERED] == sum(x.value is None for x in labels)
