"""What is changed in a C++ suite so that a solution's names and types do not get in its way."""

from __future__ import annotations

import re

_DEFINITION = r"\s*\([^;{}]*\)\s*(?:const\s*)?(?:noexcept\s*)?(?:->[^;{}]*)?\{"
_HELPER = re.compile(rf"^[\w:<>,&*\s]*?[\w>&*]\s+[&*]*(\w+){_DEFINITION}", re.MULTILINE)
_NOT_NAMES = frozenset({"main", "if", "for", "while", "switch", "catch", "return", "else"})
_OWN = r"\s*\([^(){};]*\)\s*(?:const\s*)?(?:noexcept\s*)?(?:->[^;{}]{0,200})?\{"
_DOUBLE = re.compile(r"\bassert\s*\(\s*\(")
_LITERAL = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'', re.DOTALL)


def renamed_helpers(solution: str, suite: str) -> list[str]:
    """Macros that give the suite's functions other names, where the solution has functions so named.

    They would be defined twice, or the solution's would be called for the suite's own.
    """
    renamed = []
    for name in dict.fromkeys(_HELPER.findall(suite)):
        elsewhere = re.search(rf"(?:::|\.|->)\s*{name}\b", suite)
        if name in _NOT_NAMES or elsewhere is not None:
            continue
        if re.search(rf"\b{name}{_DEFINITION}", solution):
            renamed.append(f"#define {name} plum_of_the_suite_{name}")
    return renamed


def asking_the_library(solution: str, suite: str) -> str:
    """The suite with other names for functions of numbers that the solution has functions so named
    like: how far numbers are apart is not for the solution to say, but for its own types."""
    literals = "".join(_LITERAL.findall(suite))
    for name in ("abs", "fabs"):
        theirs = re.search(rf"(?:::|\.|->)\s*{name}\b|\b{name}{_DEFINITION}", suite)
        if re.search(rf"\b{name}{_OWN}", solution) and not theirs and name not in literals:
            suite = re.sub(rf"\b{name}(?=\s*\()", f"plum_{name}", suite)
    return suite


def bare_assertions(suite: str) -> str:
    """The suite with `assert(...)` for `assert((...))`: what stands in it can be looked at then."""
    if 'R"' in suite:
        return suite
    text = list(suite)
    # Of the same length, so that brackets of literals are not counted.
    code = _LITERAL.sub(lambda match: "_" * len(match[0]), suite)
    for match in _DOUBLE.finditer(code):
        end = closing_bracket(code, match.end(), "()")
        rest = code[end + 1 :].lstrip()
        if end > 0 and rest.startswith(")"):
            text[match.end() - 1] = text[end] = " "
    return "".join(text)


def closing_bracket(code: str, at: int, pair: str) -> int:
    """Where the bracket of `pair` is closed that opens before `at`; -1 where it is not."""
    depth = 1
    for place in range(at, len(code)):
        depth += {pair[0]: 1, pair[1]: -1}.get(code[place], 0)
        if depth == 0:
            return place
    return -1
