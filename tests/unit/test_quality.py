"""Which suites are kept: the variants that try them, and the decisions drawn from the trials."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import Assertions, ExecutionResult, Phase, Usage, Verdict
from orchestrator.quality.assertions import distinct_assertions, suite_key
from orchestrator.quality.examine import Examiner, Finding, SuiteText, Trial
from orchestrator.quality.mutants import python_mutants
from orchestrator.quality.python_code import parse
from orchestrator.quality.reorder import python_reordered
from orchestrator.quality.stub import python_stub
from orchestrator.recipe_generation import QualitySection

REFERENCE = """\
def clamp(x, low=0, high=9):
    if x < low:
        return low
    return min(x, high)
"""
SUITE = "assert clamp(5) == 5\nassert clamp(-1) == 0\nassert clamp(10) == 9\n"
EVERYTHING = QualitySection(2, True, True, 4, 2, True, 0.5)
NOTHING = QualitySection(0, False, False, 0, 0, False, 0.0)

PASSED = (Verdict.PASSED, Phase.TEST)
WRONG = (Verdict.ASSERTION_FAILED, Phase.TEST)
CRASHED = (Verdict.RUNTIME_ERROR, Phase.TEST)
NOT_LOADED = (Verdict.RUNTIME_ERROR, Phase.LOAD)
ENDLESS = (Verdict.TIME_LIMIT_EXCEEDED, Phase.TEST)

Outcome = tuple[Verdict, Phase]


def result(outcome: Outcome) -> ExecutionResult:
    verdict, phase = outcome
    return ExecutionResult(
        "x", verdict, phase, "", Assertions(), None, Usage(0, 0, 0), b"", b"", 0, 0
    )


def examine(
    suites: list[SuiteText],
    sandbox: Callable[[Trial], Outcome | None],
    settings: QualitySection = EVERYTHING,
    language: str = "python",
    hash_seeds: int = 2,
) -> tuple[list[Finding], list[Trial]]:
    """Asks and executes until nothing new is needed; returns the trials in their order, too."""
    known: dict[Trial, ExecutionResult] = {}
    trials: list[Trial] = []
    examiner = Examiner(settings, language, seed=3, hash_seeds=hash_seeds)
    while True:
        findings = examiner.examine(suites, known.get)
        needed = [t for finding in findings for t in finding.needed if t not in trials]
        if not needed:
            return findings, trials
        trials += needed
        known |= {t: result(outcome) for t in needed if (outcome := sandbox(t)) is not None}


def kind(trial: Trial) -> str:
    """What a trial of the one suite is for."""
    if trial.hash_seed:
        assert (trial.candidate, trial.test) == (REFERENCE, SUITE)
        return "seed"
    if trial.candidate == python_stub(REFERENCE):
        return "stub"
    if trial.candidate in python_mutants(REFERENCE, 4, 3):
        return "mutant"
    if trial.test != SUITE:
        return "again" if trial.test.rstrip("\n") == SUITE.rstrip("\n") else "order"
    return "own"


def sandbox(**outcomes: Outcome | None) -> Callable[[Trial], Outcome | None]:
    """Executes trials of the one suite as a sound suite would come out, but for `outcomes`."""
    sound = {"own": PASSED, "again": PASSED, "seed": PASSED, "order": PASSED}
    sound |= {"stub": WRONG, "mutant": WRONG}
    return lambda trial: {**sound, **outcomes}[kind(trial)]


ONE = [SuiteText(REFERENCE, SUITE, None)]


def test_a_sound_suite_is_kept_after_one_trial_of_each_kind() -> None:
    findings, trials = examine(ONE, sandbox())
    assert findings == [Finding()]
    assert [kind(t) for t in trials] == ["own", "again", "seed", "order", "stub", "mutant"]


@pytest.mark.parametrize(
    ("outcomes", "reason"),
    [
        ({"own": WRONG}, "reference: ASSERTION_FAILED (TEST)"),
        ({"own": (Verdict.COMPILE_ERROR, Phase.COMPILE)}, "reference: COMPILE_ERROR (COMPILE)"),
        ({"again": WRONG}, "flaky: run again: ASSERTION_FAILED"),
        ({"again": ENDLESS}, "flaky: run again: TIME_LIMIT_EXCEEDED"),
        ({"seed": WRONG}, "flaky: other hash seed: ASSERTION_FAILED"),
        ({"seed": WRONG, "again": WRONG}, "flaky: run again: ASSERTION_FAILED"),
        ({"order": WRONG}, "flaky: in another order: ASSERTION_FAILED"),
        ({"stub": PASSED}, "vacuous: an empty stub passes"),
        ({"mutant": PASSED}, "vacuous: no mutant fails an assertion"),
        ({"stub": CRASHED, "mutant": WRONG}, None),
        ({"mutant": CRASHED}, None),
        ({"mutant": ENDLESS}, None),
        ({"stub": NOT_LOADED}, None),
        ({"order": NOT_LOADED}, None),
    ],
)
def test_what_the_trials_say_decides(outcomes: dict[str, Outcome], reason: str | None) -> None:
    assert [f.dropped for f in examine(ONE, sandbox(**outcomes))[0]] == [reason]


@pytest.mark.parametrize("missing", ["own", "again", "seed", "order", "stub", "mutant"])
def test_a_suite_waits_for_every_trial_that_could_not_be_executed(missing: str) -> None:
    (finding,), _ = examine(ONE, sandbox(**{missing: None}))
    assert finding.needed
    assert finding.dropped is None


def test_checks_that_are_switched_off_cost_nothing_and_drop_nothing() -> None:
    findings, trials = examine(ONE * 3, sandbox(), NOTHING)
    assert findings == [Finding()] * 3
    assert {kind(t) for t in trials} == {"own"}


def test_checks_that_cannot_be_made_are_named() -> None:
    suite = SuiteText("int f() { return 1; }", "assert(f() == 1);", None)
    (finding,), trials = examine(
        [suite], lambda trial: PASSED, replace(EVERYTHING, min_assertions=1), "cpp"
    )
    assert finding == Finding(
        skipped=("no reordering for cpp", "no stub: nothing to leave out", "no mutation for cpp")
    )
    assert trials[1].test == "assert(f() == 1);\n"  # the same in a language without comments


def test_the_start_code_is_the_stub_of_other_languages() -> None:
    suite = SuiteText("int f() { return 1; }", "assert(true);", "int f() { return 0; }")
    settings = replace(NOTHING, stub=True)
    (finding,), _ = examine([suite], lambda trial: PASSED, settings, "cpp")
    assert finding.dropped == "vacuous: an empty stub passes"


def test_too_few_assertions_are_found_without_a_trial() -> None:
    suite = SuiteText(REFERENCE, "assert clamp(5) == 5\nassert clamp(5)  ==  5\n", None)
    (finding,), trials = examine([suite], lambda trial: PASSED)
    assert finding.dropped == "fewer than 2 different assertions"
    assert len(trials) == 1


def variants(count: int) -> list[SuiteText]:
    """Suites that differ, each with a reference of its own."""
    return [
        SuiteText(f"{REFERENCE}# {n}\n", f"{SUITE}assert clamp({n}) == {n}\n", None)
        for n in range(count)
    ]


def agreeing(suites: list[SuiteText], wrong: set[int]) -> Callable[[Trial], Outcome]:
    """References pass every suite, but that those of `wrong` ask for something else."""

    def run(trial: Trial) -> Outcome:
        test = next(i for i, suite in enumerate(suites) if suite.test == trial.test)
        return PASSED if test not in wrong or trial.candidate == suites[test].reference else WRONG

    return run


AGREEMENT = replace(NOTHING, agreement=0.5)


def test_a_suite_that_most_other_references_fail_is_dropped_alone() -> None:
    suites = variants(3)
    findings, trials = examine(suites, agreeing(suites, {1}), AGREEMENT)
    reasons = [finding.dropped for finding in findings]
    assert reasons == [None, "suspect: most other references fail it", None]
    assert len(trials) == 9


def test_two_that_disagree_accuse_nobody() -> None:
    suites = variants(2)
    findings, trials = examine(suites, agreeing(suites, {1}), AGREEMENT)
    assert [finding.dropped for finding in findings] == [None, None]
    assert len(trials) == 2


def test_equal_suites_are_merged_into_the_first() -> None:
    suites = [*ONE, SuiteText(f"{REFERENCE}#\n", f"# mine\n{SUITE}", None), *variants(1)]
    settings = replace(NOTHING, merge_equal=True)
    findings, _ = examine(suites, lambda trial: PASSED, settings)
    assert [f.dropped for f in findings] == [None, "same suite as an earlier one", None]


def test_a_suite_for_other_names_than_the_first_is_dropped() -> None:
    starts = [None, "def clamp(x): pass", "def limit(x): pass", "def clamp(y): pass"]
    suites = [replace(s, start_code=c) for s, c in zip(variants(4), starts, strict=True)]
    findings, _ = examine(suites[1:], lambda trial: PASSED, NOTHING)
    reasons = [finding.dropped for finding in findings]
    assert reasons == [None, "asks for other names than the first suite", None]


def test_while_one_suite_is_open_none_is_compared_with_it() -> None:
    suites = variants(3)
    findings, _ = examine(
        suites, lambda t: None if t.candidate == suites[0].reference else PASSED, AGREEMENT
    )
    assert [bool(finding.needed) for finding in findings] == [True, False, False]
    assert [finding.dropped for finding in findings] == [None, None, None]


def test_a_stub_keeps_signatures_and_drops_what_they_do() -> None:
    source = (
        "from typing import List\nLIMIT = 3\nclass A:\n    '''Text.'''\n    kind: int = 1\n"
        "    def __init__(self, n: int = LIMIT) -> None:\n        self.n = n\n"
        "    @property\n    def twice(self): return 2 * self.n\n"
        "async def go(): return 1\nprint(A().twice)\n"
    )
    assert python_stub(source) == (
        'from typing import List\nLIMIT = 3\n\nclass A:\n    """Text."""\n    kind: int = 1\n\n'
        "    def __init__(self, n: int=LIMIT) -> None:\n        pass\n\n"
        "    @property\n    def twice(self):\n        pass\n\nasync def go():\n    pass\n"
    )
    assert python_stub("x = 1\n") is None


def test_mutants_differ_in_one_place_each_and_from_each_other() -> None:
    mutants = python_mutants(REFERENCE, 10, 0)
    assert python_mutants(REFERENCE, 10, 0) == mutants
    assert len(set(mutants)) == len(mutants) >= 5
    assert all(python_mutants(REFERENCE, count, 0) == mutants[:count] for count in (1, 3))
    original = ast.unparse(ast.parse(REFERENCE)).splitlines()
    for mutant in mutants:
        assert sum(a != b for a, b in zip(mutant.splitlines(), original, strict=True)) == 1


def test_conditions_and_counters_of_while_loops_are_left_alone() -> None:
    source = "def f(n):\n    while n > 0:\n        n -= 1\n    return n\n"
    assert python_mutants(source, 10, 0) == (
        "def f(n):\n    while n > 0:\n        n -= 1\n    return [n]\n",
    )


def test_assertions_that_share_a_variable_keep_their_order() -> None:
    suite = (
        "s = Stack()\nassert s.take() == 2\nassert s.take() == 1\nx = 1\n"
        "assert f(1) == 1\nassert f(2) == 2\nassert f(3) == 3\n"
    )
    found = python_reordered("def f(x): return x\n", suite, 0)
    assert found is not None
    before, after = suite.splitlines(), found[1].splitlines()
    assert after[:4] == before[:4]
    assert sorted(after[4:]) == before[4:] != after[4:]


def test_what_is_rewritten_keeps_docstring_and_future_imports_in_front() -> None:
    reference = (
        "'''Doc.'''\nfrom __future__ import annotations\n"
        "def first(a: Missing, b): return sorted([a, b], key=id)[0] is a\n"
    )
    found = python_reordered(reference, "assert first([], {})", 0)
    assert found is not None
    names: dict[str, Callable[..., object]] = {}
    changed: dict[str, Callable[..., object]] = {}
    exec(compile(reference, "a", "exec"), names)
    exec(compile(found[0], "b", "exec"), changed)
    assert str(changed["__doc__"]) == "Doc."
    one, other = object(), object()
    assert changed["first"](one, other) is not names["first"](one, other)


@pytest.mark.parametrize(
    ("reruns", "hash_seeds", "seeds"),
    [(0, 3, []), (1, 3, [1]), (2, 3, [1, 2]), (4, 3, [0, 0, 1, 2]), (2, 1, [0, 0])],
)
def test_reruns_take_every_hash_seed_there_is_and_then_the_usual_one(
    reruns: int, hash_seeds: int, seeds: list[int]
) -> None:
    only = replace(NOTHING, reruns=reruns)
    findings, trials = examine(ONE, sandbox(), only, hash_seeds=hash_seeds)
    assert findings == [Finding()]
    assert [trial.hash_seed for trial in trials] == [0, *seeds]
    assert len({(trial.candidate, trial.test, trial.hash_seed) for trial in trials}) == len(trials)


@pytest.mark.parametrize(
    ("suite", "count"),
    [
        ("assert f(1) == 1\nassert f( 1 )==1\nassert f(2) == 2", 2),
        ("for x in range(9):\n    assert f(x) == x", 1),
        ("self.assertEqual(f(1), 1)\nself.fail()\nself.other()", 2),
        ("with pytest.raises(ValueError):\n    f(0)", 1),
        ("if f(1) != 1:\n    raise AssertionError('no')", 1),
        ("x = 1", 0),
        ("assert (", 0),
    ],
)
def test_different_assertions_are_counted(suite: str, count: int) -> None:
    assert distinct_assertions(suite, "python") == count


def test_assertions_of_other_languages_are_counted_by_line() -> None:
    suite = "  assert(f(1) == 1);\nassert(f(1)  == 1);\nint x = 2;\nEXPECT_EQ(f(2), 2);\n"
    assert distinct_assertions(suite, "cpp") == 2


def test_layout_and_comments_make_no_other_suite() -> None:
    assert suite_key("assert f(1)==1 # one\n", "python") == suite_key("assert f(1) == 1", "python")
    assert suite_key("assert f(1) == 1", "python") != suite_key("assert f(2) == 2", "python")
    assert suite_key("  a;\n\n b;", "cpp") == suite_key("a;\nb;\n", "cpp")


@given(st.text(), st.text())
def test_arbitrary_text_never_raises(reference: str, suite: str) -> None:
    assert distinct_assertions(suite, "python") >= 0
    stub = python_stub(reference)
    assert stub is None or parse(stub) is not None
    assert len(python_mutants(reference, 3, 0)) <= 3
    found = python_reordered(reference, suite, 0)
    assert found is None or all(found)


OUTCOMES = st.sampled_from([PASSED, WRONG, CRASHED, ENDLESS, NOT_LOADED, None])


@given(st.integers(1, 4), st.data())
def test_whatever_comes_out_every_suite_is_decided_or_waits_and_none_is_kept_in_doubt(
    count: int, data: st.DataObject
) -> None:
    suites = variants(count)
    outcomes: dict[Trial, Outcome | None] = {}

    def run(trial: Trial) -> Outcome | None:
        outcomes[trial] = data.draw(OUTCOMES)
        return outcomes[trial]

    findings, trials = examine(suites, run)
    assert len(findings) == count
    assert len(trials) == len(set(trials))
    for suite, finding in zip(suites, findings, strict=True):
        own = outcomes[Trial(suite.reference, suite.test)]
        assert not (finding.needed and finding.dropped)
        if own is not None and own != PASSED:
            assert finding.dropped is not None
        if finding.dropped is None and not finding.needed:
            assert own == PASSED
            assert outcomes[Trial(python_stub(suite.reference) or "", suite.test)] != PASSED
