"""Makes one C++ program of a solution and several suites.

Suites that differ in nothing but what stands within their main functions: what is before
these (includes, macros, helpers) stands once, and each main function becomes a function of
its own, of which a program runs one. So nothing that one suite declares can be seen by
another, and each means what it means alone. Others are compiled by themselves.
"""

from __future__ import annotations

import re
import secrets
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .below import forbidden
from .program import has_other_checks, macros_of, one_file, seam_macros, shown_suite
from .suite import closing_bracket

_NAME_BYTES = 8
#: Of the same length, so that places in the text stay what they are.
_NOT_CODE = re.compile(
    r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|(?<!\w)\'(?:\\.|[^\'\\\n])*\'', re.DOTALL
)
_MAIN = re.compile(r"\bint\s+main\s*\(\s*(?:void)?\s*\)\s*(?=\{)")
#: With these the text is not what it looks like, or one function could notice others.
_ODD = re.compile(r"\\\r?\n|%:|<%|%>|\bR\"|\b(?:LR|UR|uR|u8R)\"|\b__\w|\basm\b|\bplum_|\r")
#: What a solution's templates define when they are first used, wherever that is: one of the latter
#: behind the former.
_TEMPLATE = re.compile(r"\btemplate\b")
_DEFINED_BY_USE = re.compile(r"\b(?:friend|static|thread_local)\b")
#: What the text is made of that is put around the suites' functions.
_OWN_WORDS = frozenset(
    ["case", "const", "extern", "int", "noexcept", "return", "static", "switch", "unsigned"]
)
#: With these a solution counts what is compiled, or looks at how it is laid out in memory.
_NOTICES = re.compile(r"__COUNTER__|__INCLUDE_LEVEL__|\bextern\b|\basm\b|\b__asm")
_FUNCTION = """#line {line} "suite.cpp"
static int {name}() {{ {body} return 0; }}
"""
_DISPATCH = """#line 1 "seam"
int main() {{
switch (PLUM_CHOSEN()) {{ {cases} }}
__builtin_trap();
}}
"""


@dataclass(frozen=True)
class Parts:
    """A suite, around its main function."""

    before: str
    body: str
    #: On which the body begins.
    line: int


def together(solution: str, suites: Sequence[str], prepared: str) -> list[dict[str, Any]]:
    """A program for each set of suites that differ in their main functions' bodies only."""
    template = _TEMPLATE.search(solution)
    if template is not None and _DEFINED_BY_USE.search(solution, template.end()) is not None:
        return []
    if _NOTICES.search(solution) is not None:
        return []
    if _OWN_WORDS & {*macros_of(solution)} or forbidden(solution) is not None:
        return []
    alike: dict[tuple[str, ...], list[int]] = defaultdict(list)
    parts: dict[int, Parts] = {}
    for index, suite in enumerate(suites):
        found = parts_of(shown_suite(solution, suite))
        if found is not None:
            parts[index] = found
            alike[(found.before, *seam_macros(solution, suite))].append(index)
    return [
        _unit(solution, list(seam), {index: parts[index] for index in places}, suites, prepared)
        for (_, *seam), places in alike.items()
    ]


def parts_of(suite: str) -> Parts | None:
    """None where it cannot be told for sure, or anything follows the main function."""
    if _ODD.search(suite):
        return None
    code = _NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), suite)
    mains = list(_MAIN.finditer(code))
    if len(mains) != 1 or len(re.findall(r"\bmain\b", code)) != 1:
        return None
    start = mains[0].end()
    end = closing_bracket(code, start + 1, "{}")
    # Whatever opens before the main function and closes in it would be cut in two.
    before = code[: mains[0].start()]
    if end < 0 or code[end + 1 :].strip() or "#" in code[start:] or '"' in code or "'" in code:
        return None
    if before.count("{") != before.count("}") or _OWN_WORDS & {*macros_of(before)}:
        return None
    line = suite.count("\n", 0, start) + 1
    return Parts(suite[: mains[0].start()], suite[start : end + 1], line)


def _unit(
    solution: str,
    seam: Sequence[str],
    parts: dict[int, Parts],
    suites: Sequence[str],
    prepared: str,
) -> dict[str, Any]:
    # Names that a solution cannot guess.
    stem = f"plum_{secrets.token_hex(_NAME_BYTES)}"
    functions, cases, checks = [], [], []
    for number, (index, part) in enumerate(parts.items()):
        name = f"{stem}_{number}"
        functions.append(_FUNCTION.format(line=part.line, name=name, body=part.body))
        cases.append(f"case {number}: return {name}();")
        checks.append(str(int(has_other_checks(suites[index]))))
    before = next(iter(parts.values())).before
    text = f"{before}\n{''.join(functions)}{_DISPATCH.format(cases=' '.join(cases))}"
    other_checks = f"(const int[]){{{', '.join(checks)}}}[PLUM_CHOSEN()]"
    made = one_file(solution, seam, text, other_checks, prepared)
    return {**made, "suites": list(parts), "one_program": True}
