"""What the judges of the compiled and other languages say of programs with known verdicts.

The cases are data: `cases/<language>/<verdict>/<name>.toml`. A language whose
toolchain is not on this machine is skipped here; its image has it.
"""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from sandbox_server.worker.language import load_language
from sandbox_server.worker.programs.hooks import Hooks
from sandbox_server.worker.programs.prepared import find_or_prepare
from sandbox_server.worker.toolchain import fill
from tests.conformance.conftest import StartWorker
from tests.worker_process import IMAGES

_CASES = Path(__file__).parent / "cases"
LANGUAGES = sorted(path.name for path in _CASES.iterdir() if path.name != "python")
CASES = [(name, path) for name in LANGUAGES for path in sorted((_CASES / name).rglob("*.toml"))]


@pytest.mark.parametrize(
    ("language", "path"), CASES, ids=[f"{n}-{p.parent.name}-{p.stem}" for n, p in CASES]
)
def test_case(worker_of: StartWorker, language: str, path: Path) -> None:
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    limits = case.get("limits", {})
    result = worker_of(language).execute(case["solution"], case["test"], **limits)
    assert result["verdict"] in case["verdict"], result
    assert result["phase"] == case["phase"], result
    assert result["proof"] == case.get("proof"), result


@pytest.mark.parametrize("language", LANGUAGES)
def test_there_are_cases_of_every_verdict_but_those_of_limits(language: str) -> None:
    assert {path.parent.name for name, path in CASES if name == language} >= {
        *("PASSED", "ASSERTION_FAILED", "RUNTIME_ERROR", "COMPILE_ERROR", "TEST_ERROR"),
    }


def test_a_compiler_is_stopped_by_limits_of_its_own(worker_of: StartWorker) -> None:
    worker = worker_of("cpp")
    solution = "template <int N> struct A { A<N - 1> a; A<N - 2> b; };\n" + (
        "template <> struct A<0> {}; template <> struct A<1> {};\nint n = sizeof(A<24>);\n"
    )
    # The limits of an execution are for what is compiled, not for the compiler.
    result = worker.execute(
        solution,
        "#include <cassert>\nint main() { assert(n > 0); }\n",
        cpu_time_s=0.5,
        wall_time_s=1,
    )
    assert result["verdict"] == "PASSED", result


_JAVA_SUITE = """
public class Main {
    public static void main(String[] args) {
        if (new Solution().two() != 2) throw new AssertionError();
    }
}
"""


def test_a_compiler_that_stays_knows_nothing_of_earlier_candidates(
    worker_of: StartWorker,
) -> None:
    worker = worker_of("java")
    own = "class Solution { int two() { return Helper.TWO; } }\n"
    declared = own + "class Helper { static final int TWO = 2; }\nclass Integer {}\n"
    for solution, verdict in [(declared, "PASSED"), (own, "COMPILE_ERROR"), (declared, "PASSED")]:
        result = worker.execute(solution, _JAVA_SUITE)
        assert result["verdict"] == verdict, result


def test_a_compiler_that_stays_outlives_what_is_too_much_for_it(worker_of: StartWorker) -> None:
    worker = worker_of("java")
    too_deep = "class Solution { int two() { return " + "(" * 20_000 + "2" + ")" * 20_000 + "; } }"
    right = "class Solution { int two() { return 2; } }"
    for solution, verdict in [(too_deep, "COMPILE_ERROR"), (right, "PASSED")]:
        result = worker.execute(solution, _JAVA_SUITE)
        assert result["verdict"] == verdict, result


def test_precompiled_headers_are_made_with_the_options_of_the_command(
    worker_of: StartWorker, tmp_path: Path
) -> None:
    assert worker_of("cpp")
    language = load_language(IMAGES / "cpp")
    programs = language.programs
    assert programs is not None
    assert programs.compile is not None
    hooks = Hooks(language)
    prepared = find_or_prepare(language, hooks)
    sources = hooks.sources("#include <bits/stdc++.h>\n", "int main() { return 0; }\n", prepared)
    for name, text in sources.files.items():
        (tmp_path / name).write_text(text)
    places = {**programs.tools, **programs.runtimes, "prepared": prepared}
    command = fill(programs.compile.argv, places, sources.arguments)
    done = subprocess.run(
        [*command, "-H"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    # How the compiler says that it takes one; an `x` says that it does not fit.
    assert re.search(r"^! .*set0\.h\.gch$", done.stderr, re.MULTILINE), done.stderr[:500]


def test_nothing_of_one_candidate_is_there_for_the_next(worker_of: StartWorker) -> None:
    worker = worker_of("javascript")
    solution = """
const fs = require('fs')
const before = fs.readdirSync('.')
fs.writeFileSync('mark', 'x')
fs.writeFileSync('/dev/shm/mark', 'x')
"""
    for _ in range(2):
        result = worker.execute(solution, "console.assert(!before.includes('mark'))")
        assert result["verdict"] == "PASSED", result


def test_a_program_sees_only_its_own_descriptors(worker_of: StartWorker) -> None:
    solution = """
#include <vector>
#include <fcntl.h>
std::vector<int> open_ones() {
    std::vector<int> found;
    for (int fd = 0; fd < 256; ++fd) if (fcntl(fd, F_GETFD) != -1) found.push_back(fd);
    return found;
}
"""
    # The report is 3; the token's descriptor is closed before any of this runs.
    test = (
        "#include <cassert>\nint main() { assert((open_ones() == std::vector<int>{0, 1, 2, 3})); }"
    )
    result = worker_of("cpp").execute(solution, test)
    assert result["verdict"] == "PASSED", result


def test_the_static_check_of_a_compiler_keeps_candidates_apart(worker_of: StartWorker) -> None:
    worker = worker_of("cpp")
    candidates = [
        {"id": "good", "solution": "int f() { return 1; }\n"},
        {"id": "broken", "solution": "\nint f() { return nope; }\n"},
    ]
    worker.send({"op": "check", "seq": 1_000_000, "candidates": candidates})
    seen = {
        row["id"]: (row["status"], [d["line"] for d in row["diagnostics"]])
        for row in worker.receive()["results"]
    }
    assert seen == {"good": ("CHECKED", []), "broken": ("SYNTAX_ERROR", [2])}
