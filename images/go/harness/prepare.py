"""Builds once what every program is linked with: the standard library and testify, witness included.

`testing` is built with calls of the package `internal/plum` put into it. Nothing
of the installation is changed: the compiler is told to see other files in their
places. The folder that is made holds

`build`
    the program that makes a program of a solution and a suite;
`packages`
    a line for each package, its fields between tabs: `open` where solutions may
    import it and else `closed`, the import path, the archive; first `tools` with
    the compiler's folder;
`*.a`
    the archives that the installation does not bring along.
"""

from __future__ import annotations

import json
import os
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
_LIST = "{{if .Export}}{{.ImportPath}}\t{{.Export}}{{end}}"


def prepare(folder: str, tools: dict[str, str]) -> None:
    """Builds packages and the build program into `folder`.

    Raises:
        OSError: the toolchain does not do it, or is one whose `testing` is not known.
    """
    go = tools["go"]
    with tempfile.TemporaryDirectory() as scratch:
        environment = {
            **os.environ,
            "GO111MODULE": "off",
            "GOPATH": _GOPATH,
            "GOCACHE": f"{scratch}/cache",
            "GOFLAGS": "",
        }
        _run([go, "build", "-o", f"{folder}/build", "."], environment, _RUNTIME / "build")
        root = Path(_run([go, "env", "GOROOT"], environment).strip())
        overlay = _write_overlay(root, Path(scratch))
        command = [go, "list", f"-overlay={overlay}", "-deps", "-export", "-f", _LIST]
        listed = _run([*command, "std", *_LIBRARIES, *_MADE_FOR_MAIN], environment)
        lines = ["tools\t\t" + _run([go, "env", "GOTOOLDIR"], environment).strip()]
        for line in listed.splitlines():
            path, archive = line.split("\t")
            kind = "open" if _is_open(path) else "closed"
            if archive.startswith(f"{scratch}/"):
                name = path.replace("/", "_") + ".a"
                shutil.copy(archive, f"{folder}/{name}")
                archive = name
            lines.append(f"{kind}\t{path}\t{archive}")
    Path(folder, "packages").write_text("".join(f"{line}\n" for line in lines))


def _is_open(path: str) -> bool:
    parts = path.split("/")
    if "." in parts[0]:
        return path in _LIBRARIES
    return path not in _CLOSED and "internal" not in parts and "vendor" not in parts


def _write_overlay(root: Path, scratch: Path) -> Path:
    original = root / "src" / "testing" / "testing.go"
    text = original.read_text(encoding="utf-8")
    for line, call in _CALLS.items():
        if text.count(f"\n{line}\n") != 1:
            raise OSError(f"{original} is not as expected: no single line {line!r}")
        text = text.replace(f"\n{line}\n", f"\n{line}\n{call}\n")
    replaced = scratch / "testing.go"
    replaced.write_text(text, encoding="utf-8")
    replacements = {
        str(original): str(replaced),
        str(root / "src" / "internal" / "plum" / "plum.go"): str(_RUNTIME / "plum" / "plum.go"),
    }
    overlay = scratch / "overlay.json"
    overlay.write_text(json.dumps({"Replace": replacements}))
    return overlay


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
