"""What a C++ solution must not use, found in its text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.cpp.harness.below import forbidden
from images.cpp.harness.program import hoisted_headers

_VECTOR = "#include <vector>\n"


@pytest.mark.parametrize(
    "text",
    [
        "template <> bool std::vector<int>::empty() const noexcept { return false; }",
        "typedef std::vector<int> V;\ntemplate <> bool V::empty() const noexcept { return false; }",
        "using V = std::vector<int>;\ntemplate <> bool V::empty() const noexcept;",
        "struct H { typedef std::deque<int> D; };\ntemplate <> bool H::D::empty() const noexcept {}",
        "template <> bool decltype(std::deque<int>())::empty() const noexcept { return false; }",
        "template <> bool (std::deque<int>::empty)() const noexcept { return false; }",
        "template <> __attribute__((noinline)) bool std::vector<int>::empty() const noexcept {}",
        "template <> alignas(8) bool std::vector<int>::empty() const noexcept { return false; }",
        "template <> decltype(sizeof(0)) std::vector<int>::size() const noexcept { return 3; }",
        "template <> const int& std::max<int>(const int& a, const int&) { return a; }",
        "namespace std { template <> const int& max<int>(const int& a, const int&) { return a; } }",
        "template <> constexpr bool std::is_same_v<double, int> = true;",
        "template <class T> constexpr bool std::is_same_v<T, int> = true;",
        "template <class T> struct std::is_same<T, int> { static constexpr bool value = true; };",
        "template <> struct alignas(8) std::vector<int> { };",
        "namespace std { template <> struct equal_to<int> { }; }",
        "#define J(a, b) a##b\nJ(temp, late) <> bool f();",
        "#define J(a, b) K(a, b)\n#define K(a, b) a %:%: b\nJ(J(t, em), plate) <> bool f();",
        "#define J(a, b) a##b\ntemplate <> bool std::J(vec, tor)<int>::empty() const noexcept;",
        "#define T(...) templ ## __VA_OPT__(ate)\nT(1) <> bool f();",
        "#define J(a, b) a##b\nint J(mem, cmp)(const void*, const void*, unsigned long);",
        'extern "C" int memcmp(const void*, const void*, unsigned long) { return 0; }',
        'extern "C" { int abs(int); int abs(int x)\n{ return x; } }',
        'extern "C" int abs(int) __attribute__((alias("mine")));',
        'extern "C" __attribute__((aligned(1 == 1 ? 16 : 16))) int abs(int x) { return x; }',
        '#define return\nextern "C" { return int abs(int x) { } }',
        '#define A =\nextern "C" int abs(int x) { return x; }',
        "struct Q {};\ntypedef int R;\nint abs(R x) noexcept { return x; }",
        'struct Q {};\nextern "C" Q abs(Q x) noexcept { return x; }',
        'extern "C" int mine(int);\n#pragma weak abs = mine',
        "int strcmp(const char*, const char*) noexcept { return 0; }",
        "#define H <deque>\n#include H",
        "#include </usr/include/c++/12/deque>",
        '#include "../deque"',
        "# /* x\n*/ include <bits/../deque>",
        "#import </usr/include/c++/12/deque>",
    ],
)
def test_what_reaches_below_the_language_is_refused(text: str) -> None:
    assert forbidden(f"{_VECTOR}{text}\n") is not None


@pytest.mark.parametrize(
    "text",
    [
        'extern "C" { int f(const char* s) { return 2 * strlen(s); } }',
        'extern "C" { int f(int n) { if (abs(n) > 2) { return 1; } int m = abs(n); strlen(0); } }',
        "struct Q { int a; };\nQ abs(const Q& q) noexcept { return q; }",
        "template <class T> struct Box { T area() const; };\ntemplate <> int Box<int>::area() const {}",
        "namespace n { template <class T> T f(T); }\ntemplate <> int n::f<int>(int x) { return x; }",
        "template <class T> std::string show(T);\ntemplate <> std::string show(bool) { return {}; }",
        "template <class T> constexpr bool is = false;\ntemplate <> constexpr bool is<int> = true;",
        "template <class T> constexpr bool is = false;\n"
        "template <class T> constexpr bool is<std::vector<T>> = true;",
        "struct P { };\ntemplate <> struct std::hash<P> { int operator()(const P&) const; };",
        "struct P { };\nnamespace std { template <> void swap<P>(P&, P&) { } }",
        "template <int N> struct F { };\ntemplate <> struct F<0> { };",
        "#define CAT(a, b) a##b\nint CAT(me, mo)[5]; std::vector<int> v;",
        "int strcmp_like(const char* a, const char* b) { return 0; } int abs(int x) { return x; }",
        '// #include "../old.h"\n#include "helper.h"\n#include <sys/types.h> // x',
        "void f() { std::vector<int> v; v.empty(); std::max<int>(1, 2); }",
    ],
)
def test_what_a_solution_says_of_its_own_is_not(text: str) -> None:
    assert forbidden(f"{_VECTOR}{text}\n") is None


@given(st.text(alphabet="(){}[];:<>=*&,\n nopqrstv", max_size=60))
def test_what_names_nothing_of_this_is_never_refused(text: str) -> None:
    assert forbidden(f"{_VECTOR}{text}") is None


@pytest.mark.parametrize(
    "part",
    ["template <", "template <>", "template <a> ", "#define a", "# /*", "#/**/", "include <"],
)
def test_what_would_take_long_to_search_is_refused_unsearched(part: str) -> None:
    assert forbidden(part * 20_000) is not None


@pytest.mark.parametrize("part", ["typedef ", "abs(", "decltype(", "namespace std {", "a::"])
def test_long_texts_are_searched_at_once(part: str) -> None:
    assert forbidden(f"int f();\n{part * 20_000}") is None


def test_headers_behind_macros_are_included_before_these() -> None:
    behind = '#include <a>\n#define x y\n%:include <c++/12/b>\n#include_next "c"\n'
    assert hoisted_headers(behind) == ["a", "c++/12/b", "c"]
    assert hoisted_headers("#include <a>\n#include <b>\n#define x y\n") == []
    assert hoisted_headers("#define BOOST_X\n#include <boost/any.hpp>\n#include <b>\n") == ["b"]
