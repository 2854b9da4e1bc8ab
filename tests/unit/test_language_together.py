"""Which suites of a candidate are compiled together: only those that cannot notice each other."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.cpp.harness import several as cpp
from images.java.harness import files as java
from images.rust.harness import crate as rust
from images.typescript import harness as typescript

_HEAD = "#include <cassert>\n"
_ADD = "int add(int a, int b) { return a + b; }\n"


@pytest.fixture
def prepared(tmp_path: Path) -> str:
    (tmp_path / "crates").write_text("md5 libmd5-1.rlib\n", encoding="ascii")
    (tmp_path / "linker").touch()
    return str(tmp_path)


def _main(body: str) -> str:
    return f"{_HEAD}int main() {{ {body} }}\n"


def _sets(solution: str, suites: list[str], prepared: str) -> list[list[int]]:
    units = cpp.together(solution, suites, prepared)
    return [unit["suites"] for unit in units if len(unit["suites"]) > 1]


def test_cpp_suites_that_differ_in_their_main_functions_are_one_program(prepared: str) -> None:
    suites = [_main("assert(add(1, 2) == 3);"), _main('assert(add(1, 1) == 2); puts("}");')]
    (unit,) = cpp.together(_ADD, suites, prepared)
    assert unit["suites"] == [0, 1]
    (text,) = unit["files"].values()
    assert text.count("#include <cassert>") == 1
    assert text.count("int main() {") == 1


def test_cpp_suites_of_different_heads_are_different_programs(prepared: str) -> None:
    other = "#include <string>\n"
    one, two = _main("assert(add(1, 2) == 3);"), other + _main("assert(add(1, 2) == 3);")
    assert _sets(_ADD, [one, two, one, two, f"{_HEAD}{one}"], prepared) == [[0, 2], [1, 3]]


@pytest.mark.parametrize(
    "odd",
    [
        "int main() { assert(1); }\nint after;\n",
        "int main() {\n#define X 1\nassert(X); }\n",
        "int main() { assert(1); \n",
        "int helper() { main(); }\nint main() { assert(1); }\n",
        "signed main() { assert(1); }\n",
        "int main(int argc, char** argv) { assert(argc); }\n",
        'int main() { assert(R"(})" != nullptr); }\n',
        "int main() { int n = 1'000; assert(n); }\n",
        "int main() { // \\\n}\nassert(1); }\n",
        "int main() { assert(__LINE__); }\n",
        "namespace n {\nint main() { assert(1); }\n",
        "#define static\nint main() { assert(1); }\n",
    ],
)
def test_a_cpp_suite_of_which_that_cannot_be_told_is_compiled_alone(
    odd: str, prepared: str
) -> None:
    assert _sets(_ADD, [_HEAD + odd, _HEAD + odd], prepared) == []


@pytest.mark.parametrize(
    "solution",
    [
        "template <class T> struct A { friend int f(A) { return 1; } };\n",
        "template <class T> struct A { static int n; }; template <class T> int A<T>::n = 1;\n",
        "#define switch if\n",
        "int f() { return __COUNTER__; }\n",
        "extern char __executable_start;\n",
    ],
)
def test_a_cpp_solution_that_could_notice_other_suites_is_compiled_for_each(
    solution: str, prepared: str
) -> None:
    suite = _main("assert(1 + 1 == 2);")
    assert _sets(solution, [suite, suite], prepared) == []
    assert _sets(_ADD, [suite, suite], prepared) == [[0, 1]]


def test_a_cpp_suite_that_asks_the_library_for_numbers_is_compiled_alone(prepared: str) -> None:
    solution = f"int abs(int a) {{ return a; }}\n{_ADD}"
    speaks, silent = _main("assert(abs(-1) == 1);"), _main("assert(add(1, 2) == 3);")
    assert _sets(solution, [speaks, silent, speaks, silent], prepared) == [[1, 3]]


@given(st.text(alphabet="{}()\"'/*#\\\n;ma in", max_size=30))
def test_the_body_of_a_cpp_suite_is_found_whole_or_not_at_all(body: str) -> None:
    suite = f"{_HEAD}int main() {{{body}}}\n"
    found = cpp.parts_of(suite)
    if found is not None:
        assert found.before + "int main() " == suite[: suite.index("{")]
        assert found.body == f"{{{body}}}"


def test_a_long_cpp_solution_is_searched_at_once(prepared: str) -> None:
    suites = ["int main() {}", "int main() { }"]
    assert cpp.together("template " * 40_000, suites, prepared) == []


def test_rust_suites_that_reach_beyond_their_module_are_compiled_alone(prepared: str) -> None:
    plain = "#[test]\nfn adds() { assert_eq!(add(1, 2), 3); }\n"
    far = [
        f"impl Clone for A {{ fn clone(&self) -> A {{ A }} }}\n{plain}",
        f"#[derive(Debug)] struct A;\n{plain}",
        f"#[macro_export] macro_rules! m {{ () => {{}} }}\n{plain}",
        f"mod other {{ #![allow(unused)] }}\nuse crate::adds;\n{plain}",
    ]
    (unit,) = rust.together("fn add() {}", [plain, *far, plain], prepared)
    assert unit["suites"] == [0, 5]
    modules = unit["files"]["solution.rs"]
    assert "mod plum_suite_0;" in modules
    assert "mod plum_suite_1;" in modules
    assert rust.together("mod plum_suite_0 {}", [plain, plain], prepared) == []
    assert rust.together("#[no_mangle] fn f() {}", [plain, plain], prepared) == []


def test_java_suites_are_compiled_against_a_solution_that_does_not_speak_of_them() -> None:
    suite = "class Main { public static void main(String[] a) {} }"
    helper = "class Helper {} class Main { public static void main(String[] a) {} }"
    (unit,) = java.together("class Solution {}", [suite, helper, suite], "")
    assert unit["suites"] == [0, 1, 2]
    assert sorted(unit["files"]) == [
        *("0/suite.java", "1/suite.java", "2/suite.java", "solution.java")
    ]
    (unit,) = java.together("class Solution { Helper h; }", [suite, helper, suite], "")
    assert unit["suites"] == [0, 2]
    (unit,) = java.together("class Solution { int \\u0061; }", [suite, suite], "")
    assert unit["suites"] == []


def test_typescript_suites_are_compiled_beside_each_other_unless_they_look_around() -> None:
    plain = "console.assert(add(1, 2) === 3)\n"
    far = ["declare global { var x: number }\n", "import './solution'\n", "/// <reference />\n"]
    (unit,) = typescript.together("const add = 1", [plain, *far, plain], "")
    assert unit["suites"] == [0, 4]
    assert typescript.together("import './suite'", [plain, plain], "") == []
    assert typescript.together("import './\\u0073uite'", [plain, plain], "") == []
