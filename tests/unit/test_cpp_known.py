"""Which C++ programs are compiled with functions of the library that are compiled already."""

from __future__ import annotations

from pathlib import Path

import pytest

from images.cpp.harness.known import declarations, definitions, may_use
from images.cpp.harness.precompile import arguments

_USUAL = """\
#include <vector>
using namespace std;
// namespace std, extern "C" and #pragma in a comment
struct Point { int x; bool operator<(const Point& other) const { return x < other.x; } };
template <class T> T first(vector<T> items) { return items[0] + __builtin_popcount(1); }
const char* words = "template <> struct";
"""
_SUITE = "#include <cassert>\nint main() { assert(first(vector<int>{1}) == 2); }\n"


@pytest.fixture
def prepared(tmp_path: Path) -> str:
    (tmp_path / "known").mkdir()
    (tmp_path / "known" / "libplumknown.so").touch()
    (tmp_path / "linker").touch()
    return str(tmp_path)


def _links_known(solution: str, suite: str, prepared: str) -> bool:
    return any(word.endswith(".so") for word in arguments(solution, suite, prepared))


def test_a_usual_program_gets_them(prepared: str) -> None:
    assert may_use(_USUAL)
    assert _links_known(_USUAL, _SUITE, prepared)


@pytest.mark.parametrize(
    "text",
    [
        "namespace std { struct less; }",
        "namespace /* */ std { }",
        "namespace library = std;",
        "template <> bool f<int>() { return true; }",
        "template <class T> struct std::hash<vector<T>> { };",
        'extern "C" void f();',
        "int _ZNKSt6vectorIiSaIiEE4sizeEv;",
        "int f() __attribute__((alias));",
        "[[gnu::noinline]] int f();",
        "<:<:gnu::noinline:>:> int f();",
        "#pragma GCC optimize(3)",
        '_Pragma("GCC optimize(3)")',
        "#define JOINED(a, b) a##b",
        "%:define f g",
        "ex\\\ntern int f();",
        'void f() asm("g");',
    ],
)
def test_who_could_tell_is_compiled_without(text: str, prepared: str) -> None:
    assert not _links_known(f"{_USUAL}{text}\n", _SUITE, prepared)
    assert not _links_known(_USUAL, f"{text}\n{_SUITE}", prepared)


def test_without_a_set_of_headers_nothing_is_declared_and_nothing_linked(prepared: str) -> None:
    assert not _links_known("int f() { return 1; }", _SUITE, prepared)


def test_where_the_library_is_of_another_form_there_is_nothing_to_link(prepared: str) -> None:
    Path(prepared, "known", "libplumknown.so").unlink()
    assert not _links_known(_USUAL, _SUITE, prepared)


def test_what_is_declared_is_defined_and_once() -> None:
    declared = [
        line.replace("template <> ", "")
        for part in declarations()
        for line in part.splitlines()
        if not line.startswith("#")
    ]
    defined = [line.removeprefix("template ") for line in definitions().splitlines()]
    assert declared == defined
    assert len(set(defined)) == len(defined)
