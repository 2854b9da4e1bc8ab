"""Builds the crates that programs may use, and the one that stands for `test`, once."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

_RUNTIME = Path(__file__).resolve().parents[1] / "runtime"
#: Where Debian's packages put the sources of crates.
_REGISTRY = Path("/usr/share/cargo/registry")
_CRATES = {"rand": "0.8", "regex": "1", "md5": "0.7"}
_INSTALL = "apt-get install librust-rand+default-dev librust-regex+default-dev librust-md5-dev"
_MANIFEST = """
[package]
name = "crates"
version = "0.0.0"
edition = "2021"
[lib]
path = "lib.rs"
[dependencies]
"""
_CONFIG = """
[source.crates-io]
replace-with = "installed"
[source.installed]
directory = "{registry}"
"""
#: What `prepare` leaves for `arguments`: a line `NAME FILE` for each crate, and arguments.
_CRATES_FILE = "crates"
_LINKER_FILE = "linker"
#: The folder with the toolchain's own linker under the name by which it knows what to be.
_LINKERS = "linkers"
#: Newer compilers insist on the toolchain's linker behind a program that needs /proc, which a
#: jail has not; older ones have no such argument.
_WITHOUT_OWN_LINKER = "-Clinker-features=-lld"


def prepare(folder: str, tools: dict[str, str]) -> None:
    """Makes `libtest.rlib`, `libraries/`, a list of the crates in it that programs may name, and
    the arguments for the fastest linker there is.

    Raises:
        OSError: the sources of a crate are not installed.
        CalledProcessError: a tool does not do it, and has said why.
    """
    target = Path(folder).absolute()
    environment = dict(os.environ)
    environment["LD_LIBRARY_PATH"] = str(Path(tools["rustc"]).parents[1] / "lib")
    subprocess.check_output(
        [
            *(tools["rustc"], "--edition", "2021", "--crate-name", "test", "--crate-type", "rlib"),
            *("-O", str(_RUNTIME / "test.rs"), "-o", str(target / "libtest.rlib")),
        ],
        # The crate that it takes the place of is closed to others without this.
        env=environment | {"RUSTC_BOOTSTRAP": "1"},
    )
    chosen = " ".join(_choose_linker(target, tools, environment))
    (target / _LINKER_FILE).write_text(chosen, encoding="ascii")
    for name in _CRATES:
        if not any(_REGISTRY.glob(f"{name}-[0-9]*")):
            raise OSError(f"no sources of the crate {name} in {_REGISTRY}: {_INSTALL}")
    _build_crates(target, tools, environment)


def _choose_linker(target: Path, tools: dict[str, str], environment: dict[str, str]) -> list[str]:
    """The compiler's arguments for the fastest linker: linking is most of what a program takes."""
    given = []
    known = [tools["rustc"], _WITHOUT_OWN_LINKER, "--print", "sysroot"]
    if subprocess.run(known, env=environment, capture_output=True, check=False).returncode == 0:
        given.append(_WITHOUT_OWN_LINKER)
    folder = target / _LINKERS
    folder.mkdir()
    own = next(Path(tools["rustc"]).parents[1].glob("lib/rustlib/*/bin/rust-lld"), None)
    if own is not None:
        (folder / "ld.lld").symlink_to(own)
    for name in ("mold", "lld", "gold"):
        asked = [tools["cc"], f"-B{folder}", f"-fuse-ld={name}", "-Wl,--version"]
        if subprocess.run(asked, capture_output=True, check=False).returncode == 0:
            return [*given, f"-Clink-arg=-fuse-ld={name}"]
    return given


def _build_crates(target: Path, tools: dict[str, str], environment: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        wanted = "".join(f'{name} = "{version}"\n' for name, version in _CRATES.items())
        Path(scratch, "Cargo.toml").write_text(_MANIFEST + wanted, encoding="ascii")
        Path(scratch, "lib.rs").touch()
        Path(scratch, ".cargo").mkdir()
        config = _CONFIG.format(registry=_REGISTRY)
        Path(scratch, ".cargo", "config.toml").write_text(config, encoding="ascii")
        own = {"CARGO_HOME": f"{scratch}/home", "RUSTC": tools["rustc"]}
        build = [tools["cargo"], "build", "--offline", "--quiet", "--target-dir", "made"]
        subprocess.check_output(build, env=environment | own, cwd=scratch)
        libraries = target / "libraries"
        libraries.mkdir()
        for path in Path(scratch, "made", "debug", "deps").glob("*.rlib"):
            shutil.copy(path, libraries)
    found = {name: next(libraries.glob(f"lib{name}-*.rlib")).name for name in _CRATES}
    lines = "".join(f"{name} {file}\n" for name, file in found.items())
    (target / _CRATES_FILE).write_text(lines, encoding="ascii")


def arguments(prepared: str) -> list[str]:
    """The compiler's arguments for the crates in `prepared`, and for the linker."""
    libraries = f"{prepared}/libraries"
    given = Path(prepared, _LINKER_FILE).read_text(encoding="ascii").split()
    given += [f"-Clink-arg=-B{prepared}/{_LINKERS}", "-L", f"dependency={libraries}"]
    for line in Path(prepared, _CRATES_FILE).read_text(encoding="ascii").splitlines():
        name, file = line.split()
        given += ["--extern", f"{name}={libraries}/{file}"]
    return given
