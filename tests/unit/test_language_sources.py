"""What the harnesses of java and rust make of a solution and a suite, before any compiler sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.java.harness import files as java
from images.rust.harness import crate as rust


@pytest.fixture
def prepared(tmp_path: Path) -> str:
    (tmp_path / "crates").write_text("md5 libmd5-1.rlib\n", encoding="ascii")
    return str(tmp_path)


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
    made = rust.sources("fn f() {}", suite, prepared)["files"]["suite.rs"]
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
    made = rust.sources("fn f() {}", suite, prepared)["files"]["suite.rs"]
    assert f"other_checks({number})" in made
