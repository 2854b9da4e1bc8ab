"""Builds once what every program is linked with: the standard library and testify, witness included.

`testing` is built with calls of the package `internal/plum` put into it and without what it needs
for profiles and fuzzing, and `runtime` with maps whose order is not drawn by chance. Nothing of the
installation is changed: the compiler is told to see other files in the places
of some. The folder that is made holds

`build`
    the program that makes a program of a solution and a suite;
`runtime.a`
    for the linker;
`whole`, `light`
    a folder each with the archives that the installation does not bring along, and
    `packages`: a line for each package, its fields between tabs: `open` where
    solutions may import it and else `closed`, the import path, the archive; `tools`
    with the compiler's folder; `linked` what the linker takes in the place of another.

In `light` testify lacks what few suites use, and most of the linker's time goes
into: its assertions on HTTP, which bring in all of net/http, on YAML and on JSON.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

_RUNTIME = Path(__file__).resolve().parents[1] / "runtime"
#: Where Debian's packages put the sources of libraries.
_GOPATH = "/usr/share/gocode"
_TESTIFY = "github.com/stretchr/testify"
_LIBRARIES = tuple(f"{_TESTIFY}/{name}" for name in ("assert", "require", "mock", "suite"))
_MADE_FOR_MAIN = ("internal/plum", "testing/internal/testdeps")
#: Our own files, by their places below the standard library's sources.
_OWN_FILES = {
    "internal/plum/plum.go": "plum/plum.go",
    "testing/internal/testdeps/deps.go": "testdeps/deps.go",
}
#: With these a program can look into its own memory, where the witness is.
_CLOSED = frozenset({"unsafe", "syscall", "plugin"})
#: What calls the witness, by file below the standard library's sources.
_WITNESS = {
    "testing/testing.go": {
        "\nimport (\n": '\nimport (\n\t"internal/plum"\n',
        "\nfunc (c *common) Fail() {\n": "\nfunc (c *common) Fail() {\n\tplum.Failed()\n",
        "\nfunc (c *common) logDepth(s string, depth int) {\n": (
            "\nfunc (c *common) logDepth(s string, depth int) {\n\tplum.Logged(s)\n"
        ),
        "\nfunc (c *common) Helper() {\n": "\nfunc (c *common) Helper() {\n\tplum.Asserted()\n",
    }
}
#: Go begins each loop over a map at a place drawn by chance, so that a program that depends on it
#: is found out now and then; here a verdict would be drawn by chance. No line is added and nothing
#: that other packages see is changed: their archives stay good.
#: And a goroutine's stack ends within a program's usual memory, so that an endless recursion is
#: called what it is.
_CHANGED_RUNTIME = {
    "runtime/map.go": {
        "h.hash0 = fastrand()": "h.hash0 = 0x9e3779b9",
        "r = uintptr(fastrand64())": "r = 0",
        "r = uintptr(fastrand())": "r = 0",
    },
    **{
        f"runtime/map_fast{kind}.go": {"h.hash0 = fastrand()": "h.hash0 = 0x9e3779b9"}
        for kind in ("32", "64", "str")
    },
    "runtime/alg.go": {"getRandomData(": "_ = ("},
    "runtime/proc.go": {"maxstacksize = 1000000000": "maxstacksize = 1 << 28"},
}
_HEAVY = re.compile(
    r"^(?://.*\n)*func (?:\(a \*Assertions\) )?(?:HTTP\w+|YAMLEqf?|JSONEqf?)\((?:.*\n)*?^}\n",
    re.MULTILINE,
)
_HEAVY_IMPORT = re.compile(
    r'^\t(?:\w+ )?"(?:encoding/json|net/http|net/http/httptest|net/url|gopkg\.in/yaml\.v3)"\n',
    re.MULTILINE,
)
#: The head of an object file: how its form is called, and the mark of the package's interface.
_MARK = re.compile(rb"!\n\x00go\d{3}ld(.{8})", re.DOTALL)
_LIST = "{{if .Export}}{{.ImportPath}}\t{{.Export}}{{end}}"


def prepare(folder: str, tools: dict[str, str]) -> None:
    """Builds packages and the build program into `folder`.

    Raises:
        OSError: the toolchain is one whose `testing` is not known.
        CalledProcessError: it does not do it, and has said why.
    """
    go = tools["go"]
    folder = os.path.abspath(folder)
    with tempfile.TemporaryDirectory() as scratch:
        environment = {
            **os.environ,
            "GO111MODULE": "off",
            "GOPATH": _GOPATH,
            "GOCACHE": f"{scratch}/cache",
            "GOFLAGS": "",
            "GOENV": "off",
        }
        tool = partial(subprocess.check_output, env=environment, text=True)
        tool([go, "build", "-o", f"{folder}/build", "."], cwd=_RUNTIME / "build")
        root = Path(tool([go, "env", "GOROOT"]).strip())
        tools_folder = tool([go, "env", "GOTOOLDIR"]).strip()
        witness = _change(root, Path(scratch), _WITNESS)
        for place, own in _OWN_FILES.items():
            witness[str(root / "src" / place)] = str(_RUNTIME / own)
        wanted = ["std", *_LIBRARIES, *_MADE_FOR_MAIN]
        overlay = Path(scratch, "overlay.json")
        command = [go, "list", f"-overlay={overlay}", "-export", "-f", _LIST]
        overlay.write_text(json.dumps({"Replace": _change(root, Path(scratch), _CHANGED_RUNTIME)}))
        _, runtime = tool([*command, "runtime"]).split()
        usual = root / "pkg" / Path(tools_folder).name / "runtime.a"
        Path(folder, "runtime.a").write_bytes(_in_place_of(usual, Path(runtime)))
        for name, replaced in {"whole": {}, "light": _light_testify(Path(scratch))}.items():
            overlay.write_text(json.dumps({"Replace": witness | replaced}))
            listed = tool([*command, "-deps", *wanted])
            _keep(Path(folder, name), listed, f"{scratch}/", tools_folder)


def _in_place_of(usual: Path, changed: Path) -> bytes:
    """The archive `changed`, for packages that were compiled against the archive `usual`.

    The linker holds a mark of what packages see of each other against that of the compilation.
    Nothing of it is changed, but the places in sources that it names.
    """
    # The first object is the compiler's; those of the assembler have none.
    there, archive = _MARK.search(usual.read_bytes()), changed.read_bytes()
    here = _MARK.search(archive)
    if there is None or here is None:
        raise OSError(f"{usual} is not an archive of the form that is known")
    return archive[: here.start(1)] + there[1] + archive[here.end(1) :]


def _keep(folder: Path, listed: str, scratch: str, tools_folder: str) -> None:
    folder.mkdir()
    lines = [f"tools\t\t{tools_folder}", "linked\truntime\t../runtime.a"]
    for line in listed.splitlines():
        path, archive = line.split("\t")
        kind = "open" if _is_open(path) else "closed"
        if archive.startswith(scratch):
            name = path.replace("/", "_") + ".a"
            shutil.copy(archive, folder / name)
            archive = name
        lines.append(f"{kind}\t{path}\t{archive}")
    (folder / "packages").write_text("".join(f"{line}\n" for line in lines))


def _is_open(path: str) -> bool:
    parts = path.split("/")
    if "." in parts[0]:
        return path in _LIBRARIES
    return path not in _CLOSED and "internal" not in parts and "vendor" not in parts


def _change(root: Path, scratch: Path, files: dict[str, dict[str, str]]) -> dict[str, str]:
    """Writes changed copies of the standard library's `files`; returns which stands for which."""
    replacements = {}
    for name, changes in files.items():
        original = root / "src" / name
        text = original.read_text(encoding="utf-8")
        for old, new in changes.items():
            if old not in text:
                raise OSError(f"{original} is not as expected: it lacks {old.strip()!r}")
            text = text.replace(old, new)
        changed = scratch / name.replace("/", "_")
        changed.write_text(text, encoding="utf-8")
        replacements[str(original)] = str(changed)
    return replacements


def _light_testify(scratch: Path) -> dict[str, str]:
    replacements = {}
    for package in ("assert", "require"):
        for original in Path(_GOPATH, "src", _TESTIFY, package).glob("*.go"):
            text = original.read_text(encoding="utf-8")
            light = _HEAVY_IMPORT.sub("", _HEAVY.sub("", text))
            if original.name == "http_assertions.go":
                replacements[str(original)] = ""
            elif light != text and not original.name.endswith("_test.go"):
                replaced = scratch / f"{package}_{original.name}"
                replaced.write_text(light, encoding="utf-8")
                replacements[str(original)] = str(replaced)
    return replacements
