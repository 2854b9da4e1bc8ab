"""Precompiled headers, and the choice of one for a program.

A precompiled header must not bring names that the program did not include: a
`using namespace std` would make other code of them. So there is one for each
of several sets of headers, and a program gets the largest whose headers it
includes itself, before anything that could change what they mean.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

_C = frozenset({"stdio.h", "math.h", "stdlib.h"})
_COMMON = _C | {"algorithm"}
_IO = frozenset({"iostream", "vector", "string"})
#: From the most expensive to parse to the least.
_SETS: tuple[frozenset[str], ...] = (
    frozenset({"bits/stdc++.h"}),
    _IO | {"algorithm", "map", "set"},
    _IO | {"algorithm"},
    _IO,
    _COMMON | {"vector", "string"},
    _COMMON | {"string"},
    _COMMON | {"vector"},
    _COMMON,
    frozenset({"vector", "algorithm"}),
    frozenset({"string"}),
    frozenset({"vector"}),
)
#: As in the command of language.toml: a precompiled header serves the same options only.
_OPTIONS = ("-std=gnu++17", "-O0", "-w", "-DPLUM_SIDE=0")
_RUNTIME = Path(__file__).resolve().parents[1] / "runtime"
_LEADING = re.compile(
    r"\s+|//[^\n]*\n|/\*.*?\*/|using\s+namespace\s+std\s*;|#[ \t]*include[ \t]*<([^>\n]+)>[ \t]*(?=\n)",
    re.DOTALL,
)
_LINKER = "linker"


def prepare(folder: str, tools: dict[str, str]) -> None:
    """Compiles the runtime and the headers; finds out which linker there is.

    Raises:
        OSError: the compiler does not do it.
    """
    compiler = tools["g++"]
    include = f"-I{_RUNTIME}/include"
    source = f"{_RUNTIME}/runtime.cpp"
    options = ("-std=gnu++17", "-O2", "-fno-exceptions", "-fno-rtti", "-fno-stack-protector")
    _run([compiler, *options, "-c", source, "-o", f"{folder}/runtime.o"])
    for number, headers in enumerate(_SETS):
        header = Path(folder, f"set{number}.h")
        text = "".join(f"#include <{name}>\n" for name in sorted(headers))
        header.write_text(text, encoding="ascii")
        _run([compiler, *_OPTIONS, include, "-x", "c++-header", str(header)])
    gold = subprocess.run(
        [compiler, "-fuse-ld=gold", "-Wl,--version"], capture_output=True, check=False
    )
    # gold takes a quarter of the default linker's time.
    Path(folder, _LINKER).write_text("-fuse-ld=gold" if gold.returncode == 0 else "")


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise OSError(f"{command[0]}: {done.stderr[:500]}")


def arguments(solution: str, prepared: str) -> list[str]:
    """The compiler's arguments for `solution`, with what `prepare` left in `prepared`."""
    linker = _read_linker(prepared)
    included = leading_includes(solution)
    for number, headers in enumerate(_SETS):
        if headers <= included:
            return [*linker, "-include", os.path.join(prepared, f"set{number}.h")]
    return linker


def _read_linker(prepared: str) -> list[str]:
    return Path(prepared, _LINKER).read_text().split()


def leading_includes(solution: str) -> frozenset[str]:
    """The headers that `solution` includes before it says anything else."""
    found = set()
    at = 0
    while (match := _LEADING.match(solution, at)) is not None:
        if match[1]:
            found.add(match[1].strip())
        at = match.end()
    return frozenset(found)
