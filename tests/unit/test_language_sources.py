"""What the harnesses of java and rust make of a solution and a suite, before any compiler sees it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from images.cpp.harness import program as cpp
from images.cpp.harness.below import forbidden
from images.cpp.harness.suite import bare_assertions, renamed_helpers
from images.java.harness import files as java
from images.rust.harness import crate as rust
from images.rust.harness import meaning
from images.typescript import harness as typescript


@pytest.fixture
def prepared(tmp_path: Path) -> str:
    (tmp_path / "crates").write_text("md5 libmd5-1.rlib\n", encoding="ascii")
    (tmp_path / "linker").touch()
    return str(tmp_path)


def _rust_suite(suite: str, prepared: str) -> str:
    files = rust.sources("fn f() {}", suite, prepared)["files"]
    (made,) = (text for path, text in files.items() if path.endswith("/suite.rs"))
    assert isinstance(made, str)
    return made


def _first_line(suite: str, solution: str) -> str:
    made = java.sources(solution, suite, "")["files"]["suite.java"]
    assert isinstance(made, str)
    assert made.count("\n") == suite.count("\n")
    return made.partition("\n")[0]


def test_a_suite_gets_the_imports_of_its_solution_and_keeps_its_lines() -> None:
    solution = "// first\nimport java.util.*;\nimport static java.lang.Math.max;\nclass S {}"
    head = _first_line("class Main {\n}\n", solution)
    assert head == "import java.util.*; import static java.lang.Math.max; class Main {"


def test_a_suites_own_import_of_a_name_wins() -> None:
    head = _first_line("import java.util.List;\nclass Main {}", "import java.awt.List;\nclass S {}")
    assert "awt" not in head


def test_an_import_below_the_first_class_is_none() -> None:
    assert "nope" not in _first_line("class Main {}", "class S {}\nimport nope.Nope;")


def test_what_a_suite_calls_by_the_names_of_the_library_is_the_librarys() -> None:
    solution = "import java.util.*;\nclass Arrays {}\nclass Math {}"
    head = _first_line("class Main { int x = Math.abs(Arrays.hashCode(null)); }", solution)
    assert "import java.util.Arrays;" in head
    assert "import java.lang.Math;" in head


def test_a_suite_may_have_a_class_of_a_name_of_the_library_itself() -> None:
    assert "import" not in _first_line("class Main { Error e; } class Error {}", "class S {}")


@pytest.mark.parametrize("word", ["no_mangle", "link_section", "export_name", "global_allocator"])
def test_what_reaches_below_rust_does_not_compile(word: str, prepared: str) -> None:
    made = rust.sources(f"#[{word}] fn f() {{}}", "", prepared)["files"]["solution.rs"]
    assert f'compile_error!("a solution must not use {word}:' in made


def test_inner_attributes_of_a_suite_stay_first(prepared: str) -> None:
    suite = "#![allow(unused)]\n#[test]\nfn t() {}\n"
    made = _rust_suite(suite, prepared)
    assert made.startswith("#![allow(unused)]\n")
    assert made.count("\n") == suite.count("\n")


def test_the_runtimes_name_is_another_each_time(prepared: str) -> None:
    names = {rust.sources("", "#[test] fn t() {}", prepared)["arguments"][-1] for _ in range(2)}
    assert len(names) == 2


@pytest.mark.parametrize(
    ("suite", "number"),
    [("#[test] fn t() { f(); }", 0), ("#[test] fn t() { panic!(); }", 1), ("f().unwrap();", 1)],
)
def test_other_checks_of_a_rust_suite_are_seen(suite: str, number: int, prepared: str) -> None:
    made = _rust_suite(suite, prepared)
    assert f"other_checks({number})" in made


def test_a_solution_cannot_name_the_file_that_its_suite_is_in(prepared: str) -> None:
    for make in (rust.sources, cpp.sources):
        names = [set(make("", "int main() {}", prepared)["files"]) for _ in range(2)]
        assert len(names[0] ^ names[1]) == 2


@pytest.mark.parametrize(
    ("suite", "bare"),
    [
        ("assert((f(1) == 2));", "assert( f(1) == 2 );"),
        ("assert ( (a) == (b) );", "assert ( (a) == (b) );"),
        ("assert((f(\")\") == ')'));", "assert( f(\")\") == ')' );"),
        ("assert((open", "assert((open"),
    ],
)
def test_brackets_around_all_of_an_assertion_are_taken_away(suite: str, bare: str) -> None:
    assert bare_assertions(suite) == bare


def test_a_helper_is_renamed_where_the_solution_defines_it_too_and_nowhere_else() -> None:
    suite = (
        "bool close(double a, double b) {\n return a == b; }\nint main() { if (close(1, 2)) {} }"
    )
    assert renamed_helpers("bool close(double a, double b) { return a < b; }", suite) == [
        "#define close plum_of_the_suite_close"
    ]
    assert renamed_helpers("bool close(double a, double b);", suite) == []
    assert renamed_helpers("void close() {}", suite + "void g() { file.close(); }") == []


@pytest.mark.parametrize(
    "define", ["#define add(a) 1", "%:define add 1", "# /* */ define/**/add 1", "#def\\\nine add 1"]
)
def test_a_macro_of_a_solution_is_none_of_its_suites(define: str, prepared: str) -> None:
    (made,) = cpp.sources(f"{define}\n", "int main() { add(1); }", prepared)["files"].values()
    assert "\n#undef add\n" in made


@pytest.mark.parametrize(
    ("solution", "examined"),
    [
        ("using namespace std;\nint add() { return 0; }", False),
        ("namespace std { struct less; }", True),
        ("using namespace std;\nnamespace std { struct less; }", True),
        ("#define using\nusing namespace std { struct less; }", True),
        ("using /* */ namespace std;", True),
        ("using namespace std;\nbool operator==(A, B);", True),
    ],
)
def test_values_are_examined_where_a_solution_may_have_changed_what_is_equal(
    solution: str, examined: bool, prepared: str
) -> None:
    (made,) = cpp.sources(solution, "int main() {}", prepared)["files"].values()
    assert ("#include <plum_examine.h>" in made) is examined


def test_a_main_class_of_the_solutions_own_gives_way_to_the_suites() -> None:
    made = java.sources("public class Main { Main m; }\nclass S {}", "public class Main {}", "")
    assert made["files"]["solution.java"].startswith("public class MainOfTheSolution { MainOf")


def test_a_suite_imports_nothing_of_the_package_that_the_solution_had() -> None:
    made = java.sources("package a.b;\nclass S {}", "import a.b.S;\nclass Main {}", "")
    assert "a.b" not in made["files"]["suite.java"]


@pytest.mark.parametrize(
    "solution",
    [
        'asm("nop");',
        'int f() { __asm__ volatile("nop"); }',
        'as\\ \f\nm("nop");',
        "template <class A> class std::vector<int, A> { };",
        "namespace std { template <class A> struct basic_string<char, char_traits<char>, A> : A {}; }",
        "#define V vector\nnamespace s = std; template <class A> class s::V<int, A> { };",
    ],
)
def test_what_reaches_below_cpp_is_found(solution: str) -> None:
    assert forbidden(solution) is not None


@pytest.mark.parametrize(
    "solution",
    [
        '// asm("nop")\nconst char* a = "asm"; const char* b = R"(asm("x"))"; int n = 1\'000;',
        "template <> struct std::hash<P> { };",
        "template <class T> class Stack<T*> { };",
        "template <class T> auto f(T t) -> std::vector<T> { return {t}; }",
        "template <class T> struct Node : public std::vector<T> { };",
        "template <class T> std::vector<T> f(T t) { return {t}; }",
    ],
)
def test_what_only_looks_as_if_it_reached_below_cpp_is_not_found(solution: str) -> None:
    assert forbidden(solution) is None


@pytest.mark.parametrize(
    ("suite", "asked"),
    [
        ("assert!(f(1) == 2);", "plum_equal!(f(1) , 2);"),
        ('assert!(f("a, ==)") == g(2, 3), "words {}", 1);', 'plum_equal!(f("a, ==)") , g(2, 3));'),
        ("assert!(a == b && c);", "assert!(a == b && c);"),
        ("assert!(f(|x| x == 1));", "assert!(f(|x| x == 1));"),
        ("assert!(a != b);", "assert!(a != b);"),
        ('let s = "assert!(a == b)";', 'let s = "assert!(a == b)";'),
        ("assert!(a == ", "assert!(a == "),
    ],
)
def test_plain_assertions_of_an_equality_are_asked_again(suite: str, asked: str) -> None:
    assert meaning.asked_again("impl PartialEq<i32> for L {}", suite) == asked
    assert meaning.asked_again("#[derive(PartialEq)] struct L;", suite) == suite


def test_a_suite_with_a_main_function_begins_once() -> None:
    suite = "class Main { public static void main(String[] args) throws Exception { f(); } }"
    made = java.sources("class S {}", suite, "")["files"]["suite.java"]
    (name,) = {*re.findall(r"\bPlum[0-9a-f]{16}\b", made)}
    assert f"throws Exception {{ {name}.more(); f(); }}" in made


def test_a_suite_that_ends_the_program_ends_by_a_class_of_its_own() -> None:
    suite = 'class Main { static void main(String[] a) { say("."); System . exit(0); } }'
    made = java.sources("class S { void f() { System.exit(1); } }", suite, "")["files"]
    (name,) = re.findall(r"\b(Plum[0-9a-f]{16})\.exit\(0\);", made["suite.java"])
    # It is called by no other name that a stack shows.
    assert f"{name}.more()" not in made["suite.java"]
    assert "System.exit(1)" in made["solution.java"]


def test_what_a_solution_imports_is_declared_by_its_names() -> None:
    solution = (
        "import main, { one, type Two as Other, default as three } from 'node:x'\n"
        "import * as whole from \"y\"\nimport type { own } from './own'\n"
        "let a: main.Inner, b: whole.Part, c = whole.delete\n"
    )
    first, second = typescript.sources(solution, "", "")["files"]["modules.d.ts"].splitlines()
    assert first.startswith("declare module 'node:x'")
    for name in ("one", "Two", "three"):
        assert f"export const {name}: any; export type {name}<" in first
    assert "namespace plum_all { export type Inner<" in first
    assert second.startswith("declare module 'y'")
    assert "export type Part<" in second
    assert "delete" not in second


@pytest.mark.parametrize(
    "solution",
    ["import { E } from './suite'", "import x = require('./s\\x75ite')", "import('./suite.ts')"],
)
def test_a_solution_cannot_import_its_suite(solution: str, prepared: str) -> None:
    files = typescript.sources(solution, "test()", prepared)["files"]
    assert "./not-there" in files["solution.ts"]
    other = "import { a } from './other' // suite"
    assert typescript.sources(other, "test()", prepared)["files"]["solution.ts"] == other


@pytest.mark.parametrize("part", ["arch ", "enum A {", "impl <", "trait A<"])
def test_a_rust_solution_that_would_take_long_to_search_does_not_compile(
    part: str, prepared: str
) -> None:
    made = rust.sources(part * 5_000, "#[test] fn t() {}", prepared)["files"]["solution.rs"]
    assert "compile_error!" in made
    assert part * 2 not in made
    assert rust.together(part * 5_000, ["#[test] fn t() {}"] * 2, prepared) == []


@pytest.mark.parametrize("part", ["public\n", "public final\n", ";", "/* */"])
def test_a_long_java_solution_is_searched_at_once(part: str) -> None:
    solution = part * 40_000
    assert java.sources(solution, "class Main {}", "")["files"]["solution.java"] == solution


@pytest.mark.parametrize("part", ["import/**/", "import" + "/**/" * 30, "\\u "])
def test_a_long_typescript_solution_is_searched_at_once(part: str, prepared: str) -> None:
    solution = part * 5_000
    assert typescript.sources(solution, "test()", prepared)["files"]["solution.ts"] == solution


@pytest.mark.parametrize("name", ["import('./s\\u0075ite')", "'./suite'"])
def test_a_typescript_solution_that_could_name_its_suite_is_compiled_alone(
    name: str, prepared: str
) -> None:
    assert typescript.together(f"const s = {name}", ["a()", "b()"], prepared) == []
