"""Several suites of one candidate, judged together, get the verdicts that each gets alone."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox_server.worker.protocol import MOST_TESTS
from tests.adversarial.jailed import processes
from tests.conformance.conftest import StartWorker
from tests.worker_process import WorkerProcess, descendants

_CASES = Path(__file__).parent / "cases"
COMPILED = ("cpp", "go", "java", "rust", "typescript")
_FACTS = ("verdict", "phase", "message", "assertions", "proof")
#: Names of files that are drawn by chance, numbers that a runtime gives out as it likes, addresses.
_CHANCE = re.compile(r"0x[0-9a-f]+|[0-9a-f]{32}|goroutine \d+|/tmp/cc\w+")


#: A right and a wrong assertion about a solution that adds, and what is no suite.
SUITES = {
    "cpp": (
        "#include <cassert>\nint main() {{\n  assert(add(1, 2) == {});\n}}\n",
        "int main() {{ assert(; }} // {}\n",
    ),
    "go": (
        "func TestAdd(t *testing.T) {{\n\tassert.Equal(t, {}, Add(1, 2))\n}}\n",
        "func TestAdd(t *testing.T {{ // {}\n",
    ),
    "java": (
        "public class Main {{\n  public static void main(String[] args) {{\n"
        "    if (new Solution().add(1, 2) != {}) throw new AssertionError();\n  }}\n}}\n",
        "public class Main {{ // {}\n",
    ),
    "rust": (
        "#[test]\nfn adds() {{\n    assert_eq!(add(1, 2), {});\n}}\n",
        "#[test]\nfn adds( {{ // {}\n",
    ),
    "typescript": (
        "import * as assert from 'node:assert'\nassert.strictEqual(add(1, 2), {})\n",
        "assert.strictEqual( // {}\n",
    ),
}
SOLUTIONS = {
    "cpp": "int add(int a, int b) {{ {}; return a + b; }}\n",
    "go": 'package main\n\nimport "os"\n\nvar _ = os.Args\n\n'
    "func Add(a, b int) int {{ {}; return a + b }}\n",
    "java": "class Solution {{ int add(int a, int b) {{ {}; return a + b; }} }}\n",
    "rust": "fn add(a: i64, b: i64) -> i64 {{ {}; a + b }}\n",
    "typescript": "const add = (a: number, b: number): number => {{ {}; return a + b }}\n",
}
_EXITS = {
    "cpp": "__builtin_exit(0)",
    "go": "os.Exit(0)",
    "java": "Runtime.getRuntime().halt(0)",
    "rust": "std::process::exit(0)",
    "typescript": "process.exit(0)",
}


def _suite(language: str, number: int) -> str:
    return SUITES[language][0].format(number)


def _facts(result: dict[str, Any]) -> str:
    return _CHANCE.sub("", str({name: result[name] for name in _FACTS}))


def _together(worker: WorkerProcess, solution: str, *tests: str, **limits: Any) -> list[str]:
    """The verdicts, which are those of single executions."""
    alone = [worker.execute(solution, test, **limits) for test in tests]
    found = worker.execute_together(solution, *tests, **limits)
    assert [_facts(result) for result in found] == [_facts(result) for result in alone]
    return [result["verdict"] for result in found]


def _some_cases() -> Iterator[tuple[str, Path]]:
    """One of each verdict that takes no time, and more of what is not as it seems."""
    for language in COMPILED:
        for verdict in sorted((_CASES / language).iterdir()):
            if "LIMIT" in verdict.name:
                continue
            cases = sorted(verdict.glob("*.toml"))
            many = 2 if verdict.name == "TAMPERED" else 1
            yield from ((language, path) for path in cases[:many])


CASES = list(_some_cases())


@pytest.mark.parametrize(
    ("language", "path"), CASES, ids=[f"{n}-{p.parent.name}-{p.stem}" for n, p in CASES]
)
def test_a_case_is_judged_as_it_is_alone(worker_of: StartWorker, language: str, path: Path) -> None:
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    worker, limits = worker_of(language), case.get("limits", {})
    alone = worker.execute(case["solution"], case["test"], **limits)
    for found in worker.execute_together(case["solution"], *[case["test"]] * 2, **limits):
        assert _facts(found) == _facts(alone)


@pytest.mark.parametrize("language", COMPILED)
def test_each_suite_has_its_own_verdict(worker_of: StartWorker, language: str) -> None:
    solution = SOLUTIONS[language].format("")
    right, wrong = _suite(language, 3), _suite(language, 4)
    found = _together(worker_of(language), solution, right, wrong, right)
    assert found == ["PASSED", "ASSERTION_FAILED", "PASSED"]


@pytest.mark.parametrize("language", COMPILED)
def test_a_broken_suite_costs_only_itself(worker_of: StartWorker, language: str) -> None:
    solution, broken = SOLUTIONS[language].format(""), SUITES[language][1].format("")
    right, wrong = _suite(language, 3), _suite(language, 4)
    found = _together(worker_of(language), solution, right, broken, "", wrong)
    assert found == ["PASSED", "TEST_ERROR", "TEST_ERROR", "ASSERTION_FAILED"]


@pytest.mark.parametrize("language", COMPILED)
def test_a_solution_that_does_not_compile_says_so_for_each(
    worker_of: StartWorker, language: str
) -> None:
    solution = SOLUTIONS[language].format("nope()")
    found = _together(worker_of(language), solution, _suite(language, 3), _suite(language, 4))
    assert found == ["COMPILE_ERROR"] * 2


@pytest.mark.parametrize("language", COMPILED)
def test_an_early_exit_passes_no_suite(worker_of: StartWorker, language: str) -> None:
    solution = SOLUTIONS[language].format(_EXITS[language])
    found = _together(worker_of(language), solution, _suite(language, 3), _suite(language, 4))
    assert "PASSED" not in found


def test_a_suite_is_not_helped_by_what_another_declares(worker_of: StartWorker) -> None:
    worker = worker_of("cpp")
    head = "#include <cassert>\n"
    helper = f"{head}int two() {{ return 2; }}\nint main() {{ assert(add(1, 1) == two()); }}\n"
    without = f"{head}int main() {{ assert(add(1, 1) == two()); }}\n"
    found = _together(worker, SOLUTIONS["cpp"].format(""), helper, without, helper)
    assert found == ["PASSED", "COMPILE_ERROR", "PASSED"]
    rust = "#[test]\nfn compares() {{ assert_eq!(One, 1); }}\n{}"
    own = "impl PartialEq<i32> for One { fn eq(&self, other: &i32) -> bool { *other == 1 } }\n"
    found = _together(
        worker_of("rust"), "#[derive(Debug)]\nstruct One;\n", rust.format(own), rust.format("")
    )
    assert found[1] == "COMPILE_ERROR"
    suite = "func TestAdd(t *testing.T) {{ assert.Equal(t, {}, Add(1, 1)) }}\n{}"
    tests = suite.format("two()", "func two() int { return 2 }\n"), suite.format("two()", "")
    found = _together(worker_of("go"), SOLUTIONS["go"].format(""), *tests)
    assert found == ["PASSED", "COMPILE_ERROR"]


def test_what_one_suite_imports_does_not_mend_a_solution_for_another(
    worker_of: StartWorker,
) -> None:
    solution = "package main\n\nfunc Up(s string) string { return strings.ToUpper(s) }\n"
    uses = 'func TestUp(t *testing.T) { assert.Equal(t, strings.ToUpper("a"), Up("a")) }\n'
    plain = 'func TestUp(t *testing.T) { assert.Equal(t, "A", Up("a")) }\n'
    found = _together(worker_of("go"), solution, uses, plain)
    assert found == ["PASSED", "COMPILE_ERROR"]
    unused = 'package main\n\nimport "math"\n\nfunc One() float64 { return 1 }\n'
    tests = [
        f"func TestOne(t *testing.T) {{ assert.Equal(t, {one}, One()) }}\n"
        for one in ("math.Abs(-1)", "1.0")
    ]
    assert _together(worker_of("go"), unused, *tests) == ["PASSED", "COMPILE_ERROR"]


def test_a_solution_that_only_a_suite_completes_is_as_good_as_it_is_alone(
    worker_of: StartWorker,
) -> None:
    template = "template <class T> T add(T a, T b) { return a.nope(b); }\n"
    unused = "#include <cassert>\nint main() { assert(1 + 2 == 3); }\n"
    found = _together(worker_of("cpp"), template, unused, _suite("cpp", 3))
    assert found == ["PASSED", "COMPILE_ERROR"]
    calls = "class Solution { int add(int a, int b) { return Main.sum(a, b); } }\n"
    helps = _suite("java", 3).replace(
        "{\n", "{\n  static int sum(int a, int b) { return a + b; }\n", 1
    )
    assert _together(worker_of("java"), calls, helps, _suite("java", 3))[0] == "PASSED"
    names = "package main\n\nvar Known = TestAdd\n\nfunc Add(a, b int) int { return a + b }\n"
    other = _suite("go", 3).replace("TestAdd", "TestOther")
    assert _together(worker_of("go"), names, _suite("go", 3), other)[0] == "PASSED"


def test_a_candidate_that_tells_suites_apart_gains_nothing(worker_of: StartWorker) -> None:
    # It runs a suite that it passes in the place of the one that is asked for.
    solution = """
extern "C" unsigned plum_chosen() noexcept { return 0; }
int add(int a, int b) { return 3; }
"""
    other = "#include <cassert>\nint main() {\n  assert(add(2, 2) == 4);\n}\n"
    found = _together(worker_of("cpp"), solution, _suite("cpp", 3), other)
    assert found[1] != "PASSED"
    solution = "fn add(a: i64, b: i64) -> i64 { 3 }\nmod plum_suite_1 { #[test] fn adds() {} }\n"
    other = "#[test]\nfn adds() {\n    assert_eq!(add(2, 2), 4);\n}\n"
    found = _together(worker_of("rust"), solution, _suite("rust", 3), other)
    assert found[1] != "PASSED"


@pytest.mark.parametrize("language", ["cpp", "java"])
def test_a_limit_ends_one_suite_and_not_the_others(worker_of: StartWorker, language: str) -> None:
    loop = {"cpp": "while (a == 9) {}", "java": "while (a == 9) {}"}[language]
    solution = SOLUTIONS[language].format(loop)
    right = _suite(language, 3)
    slow = right.replace("add(1, 2)", "add(9, 2)")
    worker = worker_of(language)
    found = worker.execute_together(solution, right, slow, right, cpu_time_s=0.8)
    assert [result["verdict"] for result in found] == ["PASSED", "TIME_LIMIT_EXCEEDED", "PASSED"]


def test_one_suite_of_several_can_be_taken_back(worker_of: StartWorker) -> None:
    worker = worker_of("cpp")
    solution = SOLUTIONS["cpp"].format("while (a == 9) {}")
    right = _suite("cpp", 3)
    seq = worker.start(
        solution,
        *(right, right.replace("add(1, 2)", "add(9, 2)"), right, right),
        cpu_time_s=600,
        wall_time_s=600,
    )
    first = worker.receive()
    for place in (1, 2):
        worker.send({"op": "cancel", "seq": seq, "test": place})
    answers = [first, *(worker.receive() for _ in range(3))]
    assert [answer["op"] for answer in answers] == ["result", "failed", "failed", "result"]
    assert {answer["seq"] for answer in answers} == {seq}
    assert worker.execute(solution, right)["verdict"] == "PASSED"


def test_the_death_of_a_slot_answers_every_suite(worker_of: StartWorker) -> None:
    worker = worker_of("rust")
    solution = SOLUTIONS["rust"].format("while a == 9 {}")
    right = _suite("rust", 3)
    seq = worker.start(
        solution,
        right,
        right.replace("add(1, 2)", "add(9, 2)"),
        right,
        cpu_time_s=600,
        wall_time_s=600,
    )
    first = worker.receive()
    supervisors = set(processes(os.getpid(), "supervisor"))
    (supervisor,) = supervisors & set(descendants(worker.process.pid))
    os.kill(supervisor, 9)
    answers = [first, *(worker.receive() for _ in range(2))]
    assert [answer["op"] for answer in answers] == ["result", "failed", "failed"]
    assert {answer["seq"] for answer in answers} == {seq}
    assert worker.execute(SOLUTIONS["rust"].format(""), right)["verdict"] == "PASSED"


def test_a_worker_takes_as_many_suites_as_it_says(worker_of: StartWorker) -> None:
    worker = worker_of("cpp")
    assert worker.first["tests"] == MOST_TESTS
    tests = [_suite("cpp", 3 + number % 2) for number in range(MOST_TESTS)]
    found = worker.execute_together(SOLUTIONS["cpp"].format(""), *tests)
    assert [result["verdict"] for result in found] == ["PASSED", "ASSERTION_FAILED"] * (
        MOST_TESTS // 2
    )
