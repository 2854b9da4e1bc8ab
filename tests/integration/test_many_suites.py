"""Candidates that meet many suites, through a real server and real compilers."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator

import pytest

from orchestrator.domain import Execution, ExecutionResult
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import embedded_sandbox
from sandbox_server.worker.protocol import MOST_TESTS

_SOLUTION = "int add(int a, int b) {{ return a + b + {}; }}\n"
_SUITE = "#include <cassert>\nint main() {{ assert(add({0}, {1}) == {2}); }}\n"


@pytest.fixture(scope="module")
def client() -> Iterator[SandboxClient]:
    if shutil.which("g++") is None:
        pytest.skip("no g++ on the PATH")
    languages = ["python", "cpp"]
    with (
        embedded_sandbox(slots=2, languages=languages) as address,
        SandboxClient([address]) as made,
    ):
        yield made


def test_a_server_says_of_which_languages_suites_are_worth_sending_together(
    client: SandboxClient,
) -> None:
    assert {language.name: language.suites for language in client.info().languages} == {
        "python": 1,
        "cpp": MOST_TESTS,
    }


@pytest.mark.parametrize("shuffled", [False, True], ids=["by candidate", "in any order"])
def test_each_suite_of_each_candidate_is_answered_with_its_own_verdict(
    client: SandboxClient, shuffled: bool
) -> None:
    pairs = [(wrong, number) for wrong in (0, 1) for number in range(MOST_TESTS + 3)]
    if shuffled:
        random.Random(1).shuffle(pairs)
    executions = [
        Execution(
            f"{wrong}/{number}",
            "cpp",
            _SOLUTION.format(wrong),
            # Every third suite expects what the other candidate gives.
            _SUITE.format(number, number, 2 * number + (number % 3 == 0)),
        )
        for wrong, number in pairs
    ]
    found = {outcome.id: outcome for outcome in client.execute_many(executions)}
    assert len(found) == len(pairs)
    for wrong, number in pairs:
        outcome = found[f"{wrong}/{number}"]
        assert isinstance(outcome, ExecutionResult), outcome
        passes = bool(wrong) == (number % 3 == 0)
        assert outcome.verdict == ("PASSED" if passes else "ASSERTION_FAILED"), outcome
