"""Precompiled headers, and the choice of one for a program.

A precompiled header must not bring names that the program did not include: a
`using namespace std` would make other code of them. So there is one for each
of several sets of headers, and a program gets the largest whose headers it
includes itself, before anything that could change what they mean.

What a header's inline functions use of templates is instantiated again for each
program that includes it, whether or not it calls them. So precompiled headers lack
some parts of the library that do most of this and that few programs use; a
program that so much as speaks of one of these parts is compiled without them.

Most programs get headers by which some functions are known to be compiled already (`known`);
those that must not have a few sets of their own.
"""

from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .known import declarations, definitions, may_use

_C = frozenset({"stdio.h", "math.h", "stdlib.h"})
_COMMON = _C | {"algorithm"}
_IO = frozenset({"iostream", "vector", "string"})
_EVERYTHING = frozenset({"bits/stdc++.h"})
#: From the most expensive to parse to the least.
_SETS: tuple[frozenset[str], ...] = (
    _EVERYTHING,
    _IO | {"algorithm", "map", "set"},
    _IO | {"algorithm", "map"},
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
#: The same without functions that are compiled already.
_PLAIN_SETS = (_EVERYTHING, _IO, _COMMON)
#: As in the command of language.toml: a precompiled header serves the same options only.
_OPTIONS = ("-std=gnu++17", "-O0", "-w", "-pthread", "-DPLUM_SIDE=0")
RUNTIME = Path(__file__).resolve().parents[1] / "runtime"
_LEADING = re.compile(
    r"\s+|//[^\n]*\n|/\*.*?\*/|using\s+namespace\s+std\s*;|#[ \t]*include[ \t]*<([^>\n]+)>[ \t]*(?=\n)",
    re.DOTALL,
)
_LINKER = "linker"
#: Taken from <bits/stdc++.h>, by its folder in front of the library's own.
_LEFT_OUT = ("filesystem", "future", "memory_resource")
_LIGHT = "light"
_ALL = "bits/stdc++.h"
#: The folder with what is known to be compiled: a header in front of the library's own, which that
#: on strings includes when it has defined them, and the shared library.
_KNOWN = "known"
_BEHIND_STRINGS = "ext/string_conversions.h"
_LIBRARY = "libplumknown.so"
#: How the parts that are left out are spoken of: names of those headers, and of the special
#: functions, which <cmath> brings.
_LEFT_OUT_NAMES = re.compile(
    r"\b(?:filesystem|pmr|(?:shared_)?future|future_(?:status|err\w+|category)|promise|async|launch"
    r"|packaged_task|assoc_l\w+|beta[fl]?|comp_ellint_\w+|cyl_\w+|ellint_\w+|expint[fl]?"
    r"|hermite[fl]?|laguerre[fl]?|legendre[fl]?|riemann_zeta[fl]?|sph_\w+)\b"
    # Names that are made of pieces.
    r"|##|\\\n\w"
)
#: Around the headers of a set. <limits> and what <algorithm> begins with come to programs by the
#: special functions.
_HEAD = "#include <bits/c++config.h>\n#undef _GLIBCXX_USE_STD_SPEC_FUNCS\n"
_TAIL = """\
#ifdef _GLIBCXX_CMATH
#include <limits>
#include <bits/stl_algobase.h>
#else
#define _GLIBCXX_USE_STD_SPEC_FUNCS 1
#endif
"""


def prepare(folder: str, tools: dict[str, str]) -> None:
    """Compiles the runtime, the headers and the functions that many programs need; finds out which
    linker there is.

    Raises:
        OSError: the compiler does not do it.
    """
    compiler = tools["g++"]
    source = f"{RUNTIME}/runtime.cpp"
    options = ("-std=gnu++17", "-O2", "-fno-exceptions", "-fno-rtti", "-fno-stack-protector")
    _run([compiler, *options, "-c", source, "-o", f"{folder}/runtime.o"])
    light = Path(folder, _LIGHT, _ALL)
    light.parent.mkdir(parents=True)
    light.write_text(_without_what_is_left_out(compiler), encoding="ascii")
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        plain = [
            pool.submit(_precompile, compiler, folder, f"plain{number}", headers, "")
            for number, headers in enumerate(_PLAIN_SETS)
        ]
        declared = _compile_known(compiler, folder)
        known = [
            pool.submit(_precompile, compiler, folder, f"set{number}", headers, declared)
            for number, headers in enumerate(_SETS)
        ]
    for made in (*plain, *known):
        made.result()
    gold = subprocess.run(
        [compiler, "-fuse-ld=gold", "-Wl,--version"], capture_output=True, check=False
    )
    # gold takes a quarter of the default linker's time.
    Path(folder, _LINKER).write_text("-fuse-ld=gold" if gold.returncode == 0 else "")


def _compile_known(compiler: str, folder: str) -> str:
    """What sets declare behind their headers; nothing where this compiler's library has functions
    of another form, and then programs are compiled as if there was nothing of the kind."""
    strings, others = declarations()
    behind = Path(folder, _KNOWN, _BEHIND_STRINGS)
    behind.parent.mkdir(parents=True)
    behind.write_text(f"#include_next <{_BEHIND_STRINGS}>\n{strings}", encoding="ascii")
    source, library = Path(folder, _KNOWN, "known.cpp"), Path(folder, _KNOWN, _LIBRARY)
    every = "".join(f"#include <{name}>\n" for name in sorted(_IO | {"algorithm", "map", "set"}))
    source.write_text(f"{every}{others}", encoding="ascii")
    common = [compiler, "-std=gnu++17", "-w"]
    try:
        _run([*common, "-fsyntax-only", f"-I{folder}/{_KNOWN}", str(source)])
        source.write_text(f"{every}{definitions()}", encoding="ascii")
        _run(
            [*common, "-O1", "-fPIC", "-shared", "-Wl,-Bsymbolic", str(source), "-o", str(library)]
        )
    except OSError:
        behind.unlink()
        return ""
    finally:
        source.unlink()
    return others


def _precompile(
    compiler: str, folder: str, name: str, headers: frozenset[str], declared: str
) -> None:
    header = Path(folder, f"{name}.h")
    text = "".join(f"#include <{name}>\n" for name in sorted(headers))
    header.write_text(f"{_HEAD}{text}{_TAIL}{declared}", encoding="ascii")
    folders = [f"-I{RUNTIME}/include", f"-I{folder}/{_LIGHT}"]
    folders += [f"-I{folder}/{_KNOWN}"] if declared else []
    _run([compiler, *_OPTIONS, *folders, "-x", "c++-header", str(header)])


def _without_what_is_left_out(compiler: str) -> str:
    """The library's <bits/stdc++.h> without the includes of `_LEFT_OUT`."""
    asked = f"#include <{_ALL}>\n"
    # Its first dependency but for the standard input and what the compiler includes by itself.
    listed = _run([compiler, "-std=gnu++17", "-M", "-x", "c++", "-"], asked).split()
    (path,) = (name for name in listed if name.endswith(f"/{_ALL}"))
    left_out = {f"#include <{name}>" for name in _LEFT_OUT}
    lines = Path(path).read_text(encoding="ascii").splitlines()
    return "".join(f"{line}\n" for line in lines if line.strip() not in left_out)


def _run(command: list[str], given: str = "") -> str:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError(f"{command[0]}: {done.stderr[:500]}")
    return done.stdout


def arguments(solution: str, suite: str, prepared: str) -> list[str]:
    """The compiler's arguments for a program of both, with what `prepare` left in `prepared`."""
    linker = _read_linker(prepared)
    if any(_LEFT_OUT_NAMES.search(text) for text in (solution, suite)):
        return linker
    included = leading_includes(solution)
    if not (may_use(solution) and may_use(suite)):
        return [*linker, *_header(prepared, "plain", _PLAIN_SETS, included)]
    given = [*linker, *_header(prepared, "set", _SETS, included)]
    known = os.path.join(prepared, _KNOWN)
    library = os.path.join(known, _LIBRARY)
    if len(given) > len(linker) and os.path.exists(library):
        given += [f"-I{known}", library, f"-Wl,-rpath,{known}"]
    return given


def _header(
    prepared: str, name: str, sets: tuple[frozenset[str], ...], included: frozenset[str]
) -> list[str]:
    """The arguments for the first of `sets` of which all headers are included."""
    for number, headers in enumerate(sets):
        if headers <= included:
            return [f"-I{prepared}/{_LIGHT}", "-include", f"{prepared}/{name}{number}.h"]
    return []


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
