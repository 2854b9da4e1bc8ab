"""Decides which suites of a problem are kept: from facts, and asking for those that lack.

Nothing is executed here. `examine` is given what is known and says what it still needs; asked
again with that, it goes on. The same facts always lead to the same decisions, so that a run
that was killed comes to the end that it would have had.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from orchestrator.domain import ExecutionResult, Phase, Verdict
from orchestrator.quality.assertions import distinct_assertions, suite_key
from orchestrator.quality.mutants import python_mutants
from orchestrator.quality.reorder import python_reordered
from orchestrator.quality.stub import python_stub
from orchestrator.recipe_generation import QualitySection

KEPT = "reference passes"


@dataclass(frozen=True)
class SuiteText:
    """A suite as its answer gave it."""

    reference: str
    test: str
    start_code: str | None


@dataclass(frozen=True)
class Trial:
    """A program, and the suite that it is to be run against. hash_seed: 0 is the usual one."""

    candidate: str
    test: str
    hash_seed: int = 0


@dataclass(frozen=True)
class Finding:
    """What is known of one suite. It is decided where nothing is needed.

    dropped: why the suite is not kept, or None.
    needed: what has to be executed before more can be said.
    skipped: checks that could not be made on it, with their reasons.
    """

    dropped: str | None = None
    needed: tuple[Trial, ...] = ()
    skipped: tuple[str, ...] = ()


#: The result of a trial, or None where there is none.
Results = Callable[[Trial], ExecutionResult | None]


@dataclass(frozen=True)
class Examiner:
    """Examines suites of one language by one set of rules.

    seed: of what is shuffled.
    hash_seeds: how many the sandbox has for the language, the usual one included.
    """

    settings: QualitySection
    language: str
    seed: int
    hash_seeds: int

    def examine(self, suites: Sequence[SuiteText], results: Results) -> list[Finding]:
        """One finding for each suite of a problem, in their order.

        A suite that is dropped for itself is dropped at once. The others are compared with
        each other when all of them are known.
        """
        findings = [self._alone(suite, results) for suite in suites]
        if any(finding.needed for finding in findings):
            return findings
        left = [i for i, finding in enumerate(findings) if finding.dropped is None]
        reasons = self._other_names(suites, left)
        left = [i for i in left if i not in reasons]
        reasons |= self._equal(suites, left)
        left = [i for i in left if i not in reasons]
        needed, doubted = self._doubted(suites, left, results)
        for index, reason in (reasons | doubted).items():
            findings[index] = replace(findings[index], dropped=reason)
        for index, trials in needed.items():
            findings[index] = replace(findings[index], needed=trials)
        return findings

    def _alone(self, suite: SuiteText, results: Results) -> Finding:
        own = Trial(suite.reference, suite.test)
        result = results(own)
        if result is None:
            return Finding(needed=(own,))
        if result.verdict is not Verdict.PASSED:
            return Finding(dropped=f"reference: {result.verdict} ({result.phase})")
        least = self.settings.min_assertions
        if least > 1 and distinct_assertions(suite.test, self.language) < least:
            return Finding(dropped=f"fewer than {least} different assertions")
        first = _together(
            [check(suite, results) for check in (self._again, self._reordered, self._stub)]
        )
        if first.needed or first.dropped:
            return first
        return _together([first, self._mutants(suite, results)])

    def _again(self, suite: SuiteText, results: Results) -> Finding:
        """Under other hash seeds first, as far as there are any."""
        seeds = range(1, min(self.settings.reruns + 1, self.hash_seeds))
        seeded = [Trial(suite.reference, suite.test, seed) for seed in seeds]
        # An empty line makes it another suite, which is executed, where the same one would be
        # known; and it means nothing in any language.
        same = [
            Trial(suite.reference, suite.test + "\n" * number)
            for number in range(1, self.settings.reruns - len(seeded) + 1)
        ]
        return _together(
            [
                # Which fails under the usual seed, too, fails for another reason than the seed.
                _must_pass(same, results, "flaky: run again"),
                _must_pass(seeded, results, "flaky: other hash seed"),
            ]
        )

    def _reordered(self, suite: SuiteText, results: Results) -> Finding:
        if not self.settings.reorder:
            return Finding()
        if self.language != "python":
            return Finding(skipped=(f"no reordering for {self.language}",))
        other = python_reordered(suite.reference, suite.test, self.seed)
        if other is None:
            return Finding(skipped=("nothing to reorder",))
        result = results(Trial(*other))
        if result is not None and _says_nothing(result):
            return Finding(skipped=("reordering does not run",))
        return _must_pass([Trial(*other)], results, "flaky: in another order")

    def _stub(self, suite: SuiteText, results: Results) -> Finding:
        if not self.settings.stub:
            return Finding()
        if self.language == "python":
            stub = python_stub(suite.reference)
        else:
            stub = suite.start_code if suite.start_code != suite.reference else None
        if stub is None or not stub.strip():
            return Finding(skipped=("no stub: nothing to leave out",))
        result = results(Trial(stub, suite.test))
        if result is None:
            return Finding(needed=(Trial(stub, suite.test),))
        if _says_nothing(result):
            return Finding(skipped=("stub does not run",))
        if result.verdict is Verdict.PASSED:
            return Finding(dropped="vacuous: an empty stub passes")
        return Finding()

    def _mutants(self, suite: SuiteText, results: Results) -> Finding:
        if not self.settings.mutants:
            return Finding()
        if self.language != "python":
            return Finding(skipped=(f"no mutation for {self.language}",))
        # The first alone: nearly every suite notices it.
        first = self._must_notice(suite, 1, results)
        alone_is_enough = not (first.dropped or first.skipped)
        return (
            first if alone_is_enough else self._must_notice(suite, self.settings.mutants, results)
        )

    def _must_notice(self, suite: SuiteText, count: int, results: Results) -> Finding:
        mutants = python_mutants(suite.reference, count, self.seed)
        if not mutants:
            return Finding(skipped=("no mutant: nothing to change",))
        trials = [Trial(mutant, suite.test) for mutant in mutants]
        known = [results(trial) for trial in trials]
        verdicts = {result.verdict for result in known if result is not None}
        if Verdict.ASSERTION_FAILED in verdicts:
            return Finding()
        missing = tuple(t for t, r in zip(trials, known, strict=True) if r is None)
        if missing:
            return Finding(needed=missing)
        # A crash is noticed by the emptiest suite: it speaks neither for a suite nor against it.
        if Verdict.PASSED in verdicts:
            return Finding(dropped="vacuous: no mutant fails an assertion")
        return Finding(skipped=("every mutant crashes",))

    def _other_names(self, suites: Sequence[SuiteText], left: list[int]) -> dict[int, str]:
        """Suites that call other names than the first one: no candidate can pass both."""
        if not left:
            return {}
        names = defined_names(suites[left[0]].start_code)
        return {
            index: "asks for other names than the first suite"
            for index in left[1:]
            if names and not names >= defined_names(suites[index].start_code)
        }

    def _equal(self, suites: Sequence[SuiteText], left: list[int]) -> dict[int, str]:
        """Suites that repeat an earlier one."""
        if not self.settings.merge_equal:
            return {}
        seen: set[str] = set()
        repeated = {}
        for index in left:
            key = suite_key(suites[index].test, self.language)
            if key in seen:
                repeated[index] = "same suite as an earlier one"
            seen.add(key)
        return repeated

    def _doubted(
        self, suites: Sequence[SuiteText], left: list[int], results: Results
    ) -> tuple[dict[int, tuple[Trial, ...]], dict[int, str]]:
        """What is needed to compare suites with each other's references, and who stands alone."""
        needed: dict[int, tuple[Trial, ...]] = {}
        doubted: dict[int, str] = {}
        for index in left if self.settings.agreement > 0 else []:
            own = suites[index]
            others = {suites[i].reference for i in left} - {own.reference}
            if len(others) < 2:
                continue  # of two that disagree, nobody knows which one is wrong
            trials = [Trial(other, own.test) for other in sorted(others)]
            known = [results(trial) for trial in trials]
            missing = tuple(t for t, r in zip(trials, known, strict=True) if r is None)
            if missing:
                needed[index] = missing
                continue
            passed = sum(r is not None and r.verdict is Verdict.PASSED for r in known)
            if passed < self.settings.agreement * len(trials):
                doubted[index] = "suspect: most other references fail it"
        return (needed, {}) if needed else ({}, doubted)


def defined_names(start_code: str | None) -> frozenset[str]:
    """Functions and classes at the top level of Python code; none for other languages."""
    return frozenset(
        re.findall(r"^(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", start_code or "", re.MULTILINE)
    )


def _must_pass(trials: Sequence[Trial], results: Results, reason: str) -> Finding:
    known = [results(trial) for trial in trials]
    missing = tuple(t for t, r in zip(trials, known, strict=True) if r is None)
    if missing:
        return Finding(needed=missing)
    failed = [r for r in known if r is not None and r.verdict is not Verdict.PASSED]
    return Finding(dropped=f"{reason}: {failed[0].verdict}") if failed else Finding()


def _says_nothing(result: ExecutionResult) -> bool:
    """Whether a program that we made did not come as far as the suite, or the suite broke on it."""
    return result.phase is not Phase.TEST or result.verdict is Verdict.TEST_ERROR


def _together(findings: Sequence[Finding]) -> Finding:
    """The findings as one; while anything is needed nothing is decided, so that no order counts."""
    needed = tuple(trial for finding in findings for trial in finding.needed)
    skipped = tuple(reason for finding in findings for reason in finding.skipped)
    dropped = next((finding.dropped for finding in findings if finding.dropped), None)
    return Finding(None if needed else dropped, needed, skipped)
