"""Makes two Java files of a solution and a suite.

A suite comes without imports of its own as often as with them, and counts on
those of the solution. So it is given them, on its first line, where they move
no line of it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any

_IMPORT = re.compile(r"import\s+(?:static\s+)?([\w.]+(?:\.\*)?)\s*;")
_LEADING = re.compile(
    rf"[\s;]+|//[^\n]*(?:\n|$)|/\*.*?\*/|package\s+[\w.]+\s*;|(?P<import>{_IMPORT.pattern})",
    re.DOTALL,
)
#: What a suite means by these names is the JDK's, whatever classes of such names a solution has.
_JDK = {
    "java.lang": (
        *("AssertionError", "Boolean", "Byte", "Character", "Double", "Error", "Exception"),
        *("Float", "IllegalStateException", "Integer", "Iterable", "Long", "Math", "Number"),
        *("Object", "Runtime", "RuntimeException", "Short", "StrictMath", "String"),
        *("StringBuilder", "System", "Throwable", "Comparable", "Record", "Override"),
    ),
    "java.util": ("Arrays", "Collections", "List", "Map", "Objects", "Set", "Optional"),
}
#: A class that stands where no line is indented. No more modifiers than there are, or each line of
#: many of them would be searched to the end: outside of any jail.
_DECLARED = re.compile(
    r"^(?:(?:public|final|abstract)\s+){0,3}(?:class|record|enum|interface)\s+(\w+)", re.MULTILINE
)
#: Any class, wherever it stands.
_ANY_DECLARED = re.compile(r"\b(?:class|record|enum|interface)\s+(\w+)")
_WORD = re.compile(r"\w+")
_MAIN = re.compile(r"\bstatic\b[\w\s]*\bvoid\s+main\s*\([^(){}]*\)[\w\s.,]*\{")
#: How a suite says that it has ended, and how well.
_EXIT = re.compile(r"(?<![\w.])System\s*\.\s*exit(?=\s*\()")
#: A suite runs once: a solution that calls it could try out in there which answer is right.
_ONCE = """
class {name} {{
  private static int[] left = {{0}};
  static synchronized int more() {{ int[] now = left; left = new int[0]; return now[0]; }}
}}
"""
#: Where a suite ends the program, it ends, and the judge asks for its status. A class by itself: one
#: that is seen in no stack before.
_ENDING = """
class {name} extends java.lang.Error {{
  private static java.lang.Integer status;
  private {name}() {{ super(null, null, false, false); }}
  static synchronized void exit(int given) {{ if (status == null) status = given; throw new {name}(); }}
  static synchronized java.lang.Integer status() {{ return status; }}
}}
"""
_NAME_BYTES = 8


def sources(solution: str, suite: str, prepared: str) -> dict[str, Any]:
    """The two files; without a suite the solution alone, to be checked."""
    if not suite:
        return {"files": {"solution.java": _without_package(solution)}}
    suite = _without_imports_of(_package(solution), suite)
    own = _leading_imports(suite)
    taken = {_simple_name(line) for line in own}
    given = [line for line in _leading_imports(solution) if _simple_name(line) not in taken]
    taken |= {_simple_name(line) for line in given}
    shielded = _shield(suite, taken, "\n".join([*own, *given]))
    head = " ".join(dict.fromkeys([*shielded, *given]))
    return {
        "files": {
            "solution.java": _renamed(_without_package(solution), suite),
            "suite.java": f"{head} {_running_once(_without_package(suite))}",
        }
    }


def together(solution: str, suites: Sequence[str], prepared: str) -> list[dict[str, Any]]:
    """All suites that the solution is the same text for, and none of whose classes it speaks of."""
    alone = [sources(solution, suite, prepared)["files"] for suite in suites]
    same = alone[0]["solution.java"]
    # A class could be called by an escape, too.
    words = set(_WORD.findall(same))
    places = [
        index
        for index, files in enumerate(alone)
        if files["solution.java"] == same
        and not words & {*_ANY_DECLARED.findall(files["suite.java"])}
        and "\\u" not in same + files["suite.java"]
    ]
    files = {
        f"{number}/suite.java": alone[index]["suite.java"] for number, index in enumerate(places)
    }
    files["solution.java"] = same
    return [{"files": files, "suites": places, "one_program": False}]


def broken_suite(messages: Sequence[str]) -> bool:
    """Whether the suite could not even be read, or has nowhere to begin."""
    return any(message.startswith(("[syntax]", "[suite]")) for message in messages)


def _shield(suite: str, taken: set[str], imports: str) -> list[str]:
    """Imports by name of those classes of the JDK that `suite` speaks of: these win."""
    words = set(_WORD.findall(suite))
    lines = []
    for package, names in _JDK.items():
        reached = package == "java.lang" or f"{package}.*" in imports
        for name in names:
            declared = re.search(rf"\b(?:class|interface|enum|record)\s+{name}\b", suite)
            if reached and name in words - taken and not declared:
                lines.append(f"import {package}.{name};")
    return lines


def _renamed(solution: str, suite: str) -> str:
    """The solution with other names for classes that the suite declares, too: its own program."""
    for name in {*_DECLARED.findall(suite)} & {*_DECLARED.findall(solution)}:
        solution = re.sub(rf"\b{name}\b", f"{name}OfTheSolution", solution)
    return solution


def _running_once(suite: str) -> str:
    """The suite with main functions that do not begin a second time, and ends that are its own."""
    once, ending = (f"Plum{secrets.token_hex(_NAME_BYTES)}" for _ in range(2))
    guarded, begins = _MAIN.subn(rf"\g<0> {once}.more();", suite)
    guarded, ends = _EXIT.subn(f"{ending}.exit", guarded)
    guarded += _ONCE.format(name=once) if begins else ""
    return guarded + (_ENDING.format(name=ending) if ends else "")


def _without_imports_of(package: str, suite: str) -> str:
    """Both are in one package in the end."""
    if not package:
        return suite
    return re.sub(rf"\bimport\s+{re.escape(package)}\.(?:\w+|\*)\s*;", "", suite)


def _package(text: str) -> str:
    """The package that `text` declares; empty where it declares none."""
    at = 0
    while (match := _LEADING.match(text, at)) is not None:
        if match[0].startswith("package"):
            return "".join(match[0][len("package") :].split()).rstrip(";")
        at = match.end()
    return ""


def _leading_imports(text: str) -> list[str]:
    found = []
    at = 0
    while (match := _LEADING.match(text, at)) is not None:
        if match["import"]:
            found.append(" ".join(match["import"].split()))
        at = match.end()
    return found


def _simple_name(line: str) -> str:
    """The name that an import brings; the whole line where it brings all of a package."""
    name = line.rstrip("; ").rpartition(".")[2]
    return line if name == "*" else name


def _without_package(text: str) -> str:
    """Both files are in one package: in none."""
    at = 0
    while (match := _LEADING.match(text, at)) is not None:
        if match[0].startswith("package"):
            return text[:at] + " " * (match.end() - at) + text[match.end() :]
        at = match.end()
    return text
