"""Builds once what every program is linked with: the standard library and testify, witness included.

`testing` is built with calls of the package `internal/plum` put into it. Nothing
of the installation is changed: the compiler is told to see other files in their
places. The folder that is made holds

`build`
    the program that makes a program of a solution and a suite;
`whole`, `light`
    a folder each with the archives that the installation does not bring along, and
    `packages`: a line for each package, its fields between tabs: `open` where
    solutions may import it and else `closed`, the import path, the archive; first
    `tools` with the compiler's folder.

In `light` testify lacks what few suites use, and most of the linker's time goes
into: its assertions on HTTP, which bring in all of net/http, and on YAML.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

_RUNTIME = Path(__file__).resolve().parents[1] / "runtime"
#: Where Debian's packages put the sources of libraries.
_GOPATH = "/usr/share/gocode"
_TESTIFY = "github.com/stretchr/testify"
_LIBRARIES = tuple(f"{_TESTIFY}/{name}" for name in ("assert", "require", "mock", "suite"))
_MADE_FOR_MAIN = ("internal/plum", "testing/internal/testdeps")
#: With these a program can look into its own memory, where the witness is.
_CLOSED = frozenset({"unsafe", "syscall", "plugin"})
#: What is put behind a line of the standard library's testing.go.
_CALLS = {
    "import (": '\t"internal/plum"',
    "func (c *common) Fail() {": "\tplum.Failed()",
    "func (c *common) logDepth(s string, depth int) {": "\tplum.Logged(s)",
    "func (c *common) Helper() {": "\tplum.Asserted()",
}
_HEAVY = re.compile(
    r"^(?://.*\n)*func (?:\(a \*Assertions\) )?(?:HTTP\w+|YAMLEqf?)\((?:.*\n)*?^}\n", re.MULTILINE
)
_HEAVY_IMPORT = re.compile(
    r'^\t(?:\w+ )?"(?:net/http|net/http/httptest|net/url|gopkg\.in/yaml\.v3)"\n', re.MULTILINE
)
_LIST = "{{if .Export}}{{.ImportPath}}\t{{.Export}}{{end}}"


def prepare(folder: str, tools: dict[str, str]) -> None:
    """Builds packages and the build program into `folder`.

    Raises:
        OSError: the toolchain does not do it, or is one whose `testing` is not known.
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
        _run([go, "build", "-o", f"{folder}/build", "."], environment, _RUNTIME / "build")
        root = Path(_run([go, "env", "GOROOT"], environment).strip())
        witness = _with_witness(root, Path(scratch))
        for name, replaced in {"whole": {}, "light": _light_testify(Path(scratch))}.items():
            overlay = Path(scratch, f"{name}.json")
            overlay.write_text(json.dumps({"Replace": witness | replaced}))
            command = [go, "list", f"-overlay={overlay}", "-deps", "-export", "-f", _LIST]
            listed = _run([*command, "std", *_LIBRARIES, *_MADE_FOR_MAIN], environment)
            tools_folder = _run([go, "env", "GOTOOLDIR"], environment).strip()
            _keep(Path(folder, name), listed, f"{scratch}/", tools_folder)


def _keep(folder: Path, listed: str, scratch: str, tools_folder: str) -> None:
    folder.mkdir()
    lines = [f"tools\t\t{tools_folder}"]
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


def _with_witness(root: Path, scratch: Path) -> dict[str, str]:
    original = root / "src" / "testing" / "testing.go"
    text = original.read_text(encoding="utf-8")
    for line, call in _CALLS.items():
        if text.count(f"\n{line}\n") != 1:
            raise OSError(f"{original} is not as expected: no single line {line!r}")
        text = text.replace(f"\n{line}\n", f"\n{line}\n{call}\n")
    replaced = scratch / "testing.go"
    replaced.write_text(text, encoding="utf-8")
    return {
        str(original): str(replaced),
        str(root / "src" / "internal" / "plum" / "plum.go"): str(_RUNTIME / "plum" / "plum.go"),
    }


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


def _run(command: list[str], environment: dict[str, str], folder: Path | None = None) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise OSError(f"{command[0]}: {done.stderr[:500]}")
    return done.stdout
