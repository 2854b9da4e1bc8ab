"""What is particular to judging TypeScript: the compiler that is run, and what it checks.

A solution that does not type-check does not compile. A suite is only translated: where it does
not fit the solution's types, running it shows what is wrong with the solution.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .modules import declared

#: Said before a suite, on one line (the `1` of the command in language.toml).
_NOT_CHECKED = "// @ts-nocheck\n"
_FIND_COMPILER = "import(process.argv[1]).then((m) => console.log(m.default()))"
#: How a solution could import its suite: by its name, or by one with escapes in it.
_NAMES_SUITE = re.compile(r"[\"'`/]suite\b")
_ESCAPED = re.compile(r"\\[ux]")
_LOADS = re.compile(r"\b(?:import|from|require)\b")
#: How a suite could change types of what it does not hold, or find files beside it.
_FAR_REACHING = re.compile(r"\bdeclare\b|///|[\"'`]\.\.?/|\bexport\s+as\b|\\[ux]")
_SYNTAX = re.compile(r"^TS1\d{3}: ")


def prepare(folder: str, tools: dict[str, str]) -> None:
    """Copies the native compiler, and the declarations of the language that it reads.

    The command `tsc` is a script that starts it, through programs that a jail does not have.

    Raises:
        OSError: it is not there: TypeScript before 7 had none.
    """
    module = Path(tools["tsc"]).parents[1] / "lib" / "getExePath.js"
    found = subprocess.run(
        [tools["node"], "--input-type=module", "-e", _FIND_COMPILER, str(module)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if found.returncode != 0:
        raise OSError(f"no native compiler beside {tools['tsc']}: {found.stderr[:500]}")
    compiler = Path(found.stdout.strip())
    for path in [compiler, *compiler.parent.glob("lib*.d.ts")]:
        shutil.copy(path, folder)


#: The name of a module, wherever it is loaded from.
_LOADED = re.compile(
    r"(\b(?:from|import|require)\b(?:\s|\(|/\*[^*]*\*+(?:[^/*][^*]*\*+)*/|//[^\n]*\n)*)([\"'`])((?:\\.|(?!\2).)*)\2",
    re.DOTALL,
)


def sources(solution: str, suite: str, prepared: str) -> dict[str, Any]:
    """Both files; without a suite the solution alone, to be checked."""
    files = _checked(solution)
    if suite:
        files["suite.ts"] = _NOT_CHECKED + suite
    return {"files": files, "arguments": sorted(files)}


def _checked(solution: str) -> dict[str, str]:
    """The solution, and declarations of what it imports."""
    return {
        "modules.d.ts": declared(solution),
        "solution.ts": _LOADED.sub(_without_suite, solution),
    }


def _without_suite(match: re.Match[str]) -> str:
    """The compiler would put constants of the suite into a solution that imports it."""
    before, quote, name = match.groups()
    hidden = "suite" in name or "\\" in name
    return f"{before}{quote}./not-there{quote}" if hidden else match[0]


def together(solution: str, suites: Sequence[str], prepared: str) -> list[dict[str, Any]]:
    """All that say nothing of what is outside of them, each in a folder of its own."""
    escaped = _ESCAPED.search(solution) and _LOADS.search(solution)
    if _NAMES_SUITE.search(solution) or escaped:
        return []
    places = [index for index, suite in enumerate(suites) if _FAR_REACHING.search(suite) is None]
    files = {
        f"{number}/suite.ts": _NOT_CHECKED + suites[index] for number, index in enumerate(places)
    }
    files |= _checked(solution)
    return [{"files": files, "arguments": sorted(files), "suites": places, "one_program": False}]


def broken_suite(messages: Sequence[str]) -> bool:
    """Whether the suite is no TypeScript."""
    return any(_SYNTAX.match(message) for message in messages)
