"""Makes one C++ program of a solution and a suite."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any

from .below import SPACE, SPLICE, code_of, forbidden, without_splices
from .precompile import arguments
from .suite import asking_the_library, bare_assertions, renamed_helpers

#: Macros that a suite is made of, whether a solution defines them or a header.
_KEPT = (
    *("main", "assert", "NDEBUG"),
    *("PLUM_SIDE", "PLUM_TEXT", "PLUM_HOLDS", "PLUM_HELD", "PLUM_FAILED"),
    "PLUM_CHOSEN",
)
#: Macros of headers that solutions define again.
_STANDARD = {
    "EOF": "(-1)",
    "INT_MAX": "__INT_MAX__",
    "INT_MIN": "(-__INT_MAX__ - 1)",
    "LLONG_MAX": "__LONG_LONG_MAX__",
    "LLONG_MIN": "(-__LONG_LONG_MAX__ - 1)",
    "LONG_MAX": "__LONG_MAX__",
    "LONG_MIN": "(-__LONG_MAX__ - 1)",
    "M_PI": "3.14159265358979323846",
    "NULL": "__null",
}
_DEFINED = re.compile(rf"(?:#|%:){SPACE}*define{SPACE}+(\w+)")
#: With these a solution may say what is equal, also of the library's types.
_BENDS = re.compile(
    rf"\boperator\b|##|%:%:|{SPLICE}|(?<!\busing )\bnamespace\s+std\b|\btemplate\s*<\s*>"
)
#: With these also for types among which none is its own.
_SAYS_EQUAL = re.compile(r"\boperator\s*[=!]=\s*\((?![^(),]*\))|##|%:|\bdefine\b[^\n]*\boperator\b")
#: A main function of the solution's own is a function like any other; the built-in macro would say
#: what the file is called. No name that a suite's part needs of the runtime, or of the seam before
#: it, is one that a solution knows: it could give the name to something of its own, or have the seam
#: left out by what it leaves open.
_PROGRAM = """{hoisted}#define __BASE_FILE__ "solution.cpp"
#define main plum_main_of_the_solution
#line 1 "solution.cpp"
{solution}

#line 1 "seam"
{undefined}
#define PLUM_SIDE 1
#define PLUM_TEXT(text) ""
#define PLUM_HELD plum_held_{key}
#define PLUM_FAILED plum_failed_{key}
#define PLUM_CHOSEN plum_chosen_{key}
typedef bool plum_truth_{key};
extern "C" {{
void PLUM_HELD(int side) noexcept;
[[noreturn]] void PLUM_FAILED(int side, const char* expression, const char* file, int line,
                              const char* function) noexcept;
unsigned PLUM_CHOSEN() noexcept;
}}
{examined}
#include <assert.h>
#line 1 "suite.cpp"
{suite}
#line 1 "seam"
extern "C" {{ int plum_other_checks_{key}(); bool plum_compares_right_{key}(); }}
int plum_other_checks_{key}() {{ return {other_checks}; }}
bool plum_compares_right_{key}() {{ plum_truth_{key} right = {compares_right}; return right; }}
"""
#: Headers that a solution includes behind macros of its own mean what they mean without: with these
#: it could make another library of them. None but the compiler's own, which ask for no macros.
_HOISTED = "#if __has_include(<{name}>)\n#include <{name}>\n#endif\n"
_HEADER = re.compile(r"[<\"]\s*(?!boost/)([\w+./-]+?)\s*[>\"]")
_DIRECTIVE = re.compile(rf"(?:#|%:){SPACE}*(include|import|define|undef)(?:_next)?\b([^\n]*)")
_EXAMINED = """#include <plum_examine.h>
#define PLUM_HOLDS(...) plum_examine([&] { return plum_ask(PlumProbe() <= __VA_ARGS__); }, \\
                                     [&] { return static_cast<bool>(__VA_ARGS__); })"""
_LIBRARY_EXAMINED = "\n#include <plum_library.h>"
_NOT_EXAMINED = "#define PLUM_HOLDS(...) static_cast<bool>(__VA_ARGS__)"
#: What the linker takes for a name, the unknown ones first where the runtime has what they name.
_LINKED = (
    *("plum_held_{key}=plum_held", "plum_failed_{key}=plum_failed"),
    "plum_chosen_{key}=plum_chosen",
    *(
        "plum_other_checks=plum_other_checks_{key}",
        "plum_compares_right=plum_compares_right_{key}",
    ),
)
_REFUSED = '\n#error "a solution must not use {what}: it reaches below the language"\n'
#: The name of a file that a solution cannot guess: it could put its text into the program.
_NAME_BYTES = 16
_KEY_BYTES = 8
_OTHER_CHECK = re.compile(r"\breturn\s*[^;\s0]|\b(?:exit|abort|_Exit|quick_exit)\s*\(|\bthrow\b")
_BROKEN = re.compile(
    r"^(?:expected|stray|missing terminating|unterminated|extended character)"
    r"|undefined reference to [`'](?:main|__real_main)'"
)


def sources(solution: str, suite: str, prepared: str) -> dict[str, Any]:
    """The one file, and the arguments that choose a precompiled header for it.

    Without a suite: the solution alone, to be checked.
    """
    if (what := forbidden(solution)) is not None:
        solution = _REFUSED.format(what=what)
    if not suite:
        return {"files": {"program.cpp": f'#line 1 "solution.cpp"\n{solution}\n'}}
    other_checks = str(int(has_other_checks(suite)))
    seam = seam_macros(solution, suite)
    return one_file(solution, seam, shown_suite(solution, suite), other_checks, prepared)


def one_file(
    solution: str, seam: Sequence[str], suite: str, other_checks: str, prepared: str
) -> dict[str, Any]:
    """The file and the compiler's arguments.

    seam: lines of the preprocessor between solution and suite. other_checks: an expression.
    """
    examined, compares_right = _examined(solution)
    hoisted = hoisted_headers(solution)
    key = secrets.token_hex(_KEY_BYTES)
    text = _PROGRAM.format(
        hoisted="".join(_HOISTED.format(name=name) for name in hoisted),
        key=key,
        solution=solution,
        undefined="\n".join(seam),
        examined=examined,
        suite=suite,
        other_checks=other_checks,
        compares_right=compares_right,
    )
    name = f"{secrets.token_hex(_NAME_BYTES)}.cpp"
    linked = [f"-Wl,--defsym={pair.format(key=key)}" for pair in _LINKED]
    # A library serves what stands before it.
    included = "".join(f"#include <{header}>\n" for header in hoisted)
    given = [*linked, name, *arguments(included + solution, suite, prepared)]
    return {"files": {name: text}, "arguments": given}


def _examined(solution: str) -> tuple[str, str]:
    """What stands before the suite to look at its assertions again, and whether these were told
    the truth, as an expression."""
    if not _bends(solution):
        return _NOT_EXAMINED, "true"
    if _SAYS_EQUAL.search(code_of(solution)) is None:
        return _EXAMINED, "!plum_lied"
    return _EXAMINED + _LIBRARY_EXAMINED, "plum_library_is_as_it_was()"


def seam_macros(solution: str, suite: str) -> list[str]:
    """What takes from the suite the solution's macros, and gives its functions other names."""
    asked = asking_the_library(solution, suite) != suite
    numbers = ["#include <plum_numbers.h>"] if asked else []
    return [*_undefined(solution), *numbers, *renamed_helpers(solution, suite)]


def shown_suite(solution: str, suite: str) -> str:
    """The suite as the compiler is given it."""
    suite = asking_the_library(solution, suite)
    return bare_assertions(suite) if _bends(solution) else suite


def _bends(solution: str) -> bool:
    """Whether it may have made library types equal to what they are not."""
    # `using namespace std` opens nothing, as long as `using` is the language's.
    return _BENDS.search(solution) is not None or "using" in macros_of(solution)


def hoisted_headers(solution: str) -> list[str]:
    """The headers that `solution` includes, where macros of its own come before one of them."""
    directives = _DIRECTIVE.findall(without_splices(solution))
    kinds = [kind for kind, _ in directives]
    changed = [place for place, kind in enumerate(kinds) if kind in ("define", "undef")]
    if not changed or not {"include", "import"} & {*kinds[changed[0] :]}:
        return []
    return list(dict.fromkeys(name for _, rest in directives for name in _HEADER.findall(rest)))


def macros_of(text: str) -> list[str]:
    """The names that `text` defines for the preprocessor."""
    return _DEFINED.findall(without_splices(text))


def has_other_checks(suite: str) -> bool:
    """Whether the suite can say in other ways than by assert that something is wrong."""
    return _OTHER_CHECK.search(suite) is not None


def _undefined(solution: str) -> list[str]:
    """Takes the solution's macros from the suite, and from the headers that it includes."""
    lines = [f"#undef {name}" for name in _KEPT]
    for name in macros_of(solution):
        lines.append(f"#undef {name}")
        lines += [f"#define {name} {_STANDARD[name]}"] if name in _STANDARD else []
    return lines


def broken_suite(messages: Sequence[str]) -> bool:
    """Whether the compiler could not even read the suite, or the suite has no main function."""
    return any(_BROKEN.search(message) for message in messages)
