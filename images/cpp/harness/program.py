"""Makes one C++ program of a solution and a suite."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from .precompile import arguments

#: What no solution has a good reason to define as a macro, and a suite is made of.
_KEPT = (
    *("main", "assert", "if", "else", "for", "while", "do", "switch", "case", "default", "return"),
    *("true", "false", "static_cast", "bool", "operator", "sizeof", "throw", "try", "catch"),
    *("plum_held", "plum_failed", "plum_other_checks", "plum_compares_right", "extern", "const"),
    *("abort", "exit", "void", "unsigned"),
)
_SEAM = """
#line 1 "seam"
{undefined}
#undef NDEBUG
#undef PLUM_SIDE
#define PLUM_SIDE 1
#include <assert.h>
#line 1 "suite.cpp"
{suite}
#line 1 "seam"
extern "C" {{ extern const int plum_other_checks; bool plum_compares_right(unsigned); }}
const int plum_other_checks = {other_checks};
bool plum_compares_right(unsigned random) {{ {comparisons} return true; }}
"""
#: Fails where the solution has made unequal values equal; each for a header that is included.
_COMPARISONS = """
(void)random;
#ifdef _GLIBCXX_VECTOR
{
    std::vector<int> a{(int)random}, b{(int)~random};
    std::vector<float> c{1.0f * (random % 9999)}, d{-1.0f};
    std::vector<double> e{1.0 * random}, f{-1.0};
    if (a == b || c == d || e == f || !(a != b)) return false;
}
#endif
#ifdef _GLIBCXX_STRING
{
    std::string a(1 + random % 7, 'a'), b(1 + random % 7, 'b');
    if (a == b || a == b.c_str() || !(a != b)) return false;
}
#endif
#if defined _GLIBCXX_STRING && defined _GLIBCXX_VECTOR
{
    std::vector<std::string> a(1 + random % 7, "a"), b(1 + random % 7, "b");
    if (a == b || !(a != b)) return false;
}
#endif
#ifdef _GLIBCXX_MAP
{
    std::map<std::string, int> a{{"a", (int)random}}, b{{"a", (int)~random}};
    if (a == b || !(a != b)) return false;
}
#endif
"""
_OTHER_CHECK = re.compile(r"\breturn\s*[^;\s0]|\b(?:exit|abort|_Exit|quick_exit)\s*\(|\bthrow\b")
_BROKEN = re.compile(
    r"^(?:expected|stray|missing terminating|unterminated|extended character)"
    r"|undefined reference to [`'](?:main|__real_main)'"
)


def sources(solution: str, suite: str, prepared: str) -> dict[str, Any]:
    """The one file, and the arguments that choose a precompiled header for it.

    Without a suite: the solution alone, to be checked.
    """
    text = f'#line 1 "solution.cpp"\n{solution}\n'
    if suite:
        # Operators are what comparisons can be bent with, however they come to be spelt.
        bendable = "operator" in solution or "##" in solution or "\\\n" in solution
        text += _SEAM.format(
            undefined="\n".join(f"#undef {name}" for name in _KEPT),
            suite=suite,
            other_checks=int(_OTHER_CHECK.search(suite) is not None),
            comparisons=f"\n{_COMPARISONS}\n" if bendable else "(void)random;",
        )
    return {"files": {"program.cpp": text}, "arguments": arguments(solution, suite, prepared)}


def broken_suite(messages: Sequence[str]) -> bool:
    """Whether the compiler could not even read the suite, or the suite has no main function."""
    return any(_BROKEN.search(message) for message in messages)
