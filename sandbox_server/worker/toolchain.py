"""Reads from ``language.toml`` how a language's candidates are compiled and run.

For languages whose candidates are programs of their own: those with a table
``[run]``. Also finds the toolchain on this machine.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox_server.worker.errors import RefusedError
from sandbox_server.worker.limits import read_limits
from sandbox_server.worker.protocol import Limits

#: In the jail's view: the language's own helpers, and what was made of the toolchain beforehand.
RUNTIME = "runtime"
#: The folder that the toolchain itself says it lies in.
HOME = "home"
_PLACE = re.compile(r"\{([^{}]*)\}")
_VERSION_TIMEOUT_S = 30


@dataclass(frozen=True)
class Command:
    """One stage: a command line with places to fill in, its limits, and what it makes.

    A place is ``{NAME}``, with the name of a tool, ``runtime`` (the language's folder of that
    name), another language that it takes the runtime of, or ``prepared`` (what its harness made
    beforehand); an argument that is ``{arguments}`` alone stands for those that the harness adds.
    """

    argv: tuple[str, ...]
    limits: Limits
    collect: tuple[str, ...]


@dataclass(frozen=True)
class Programs:
    """The toolchain, and what is done with it."""

    #: Absolute path of each tool, by name.
    tools: dict[str, str]
    #: Folder that the toolchain lies in; empty where it does not say.
    home: str
    #: The language's own helpers, as `runtime`, and those of other languages, by their names.
    runtimes: dict[str, str]
    #: What a jail shows beside what every jail has.
    folders: tuple[str, ...]
    #: Symbolic links that a jail has, by path; with places, as in a command.
    links: dict[str, str]
    #: Set for every program, beside what every process of a jail has. With places, as commands.
    environment: dict[str, str]
    #: Each process's, in bytes: runtimes reserve far more than they use.
    address_space_bytes: int
    solution_file: str
    suite_file: str
    compile: Command | None
    #: A program that stays and is asked in the place of `compile` and `check`, where a platform
    #: has a jail for it; empty where there is none. With places, as in a command.
    resident: tuple[str, ...]
    run: Command
    check: Command | None
    #: A compiler's line about an error, with the groups `file`, `line` and `message`.
    diagnostic: str
    version: str


def read_programs(folder: Path, data: dict[str, Any], limits: Limits) -> Programs:
    """What ``language.toml`` in `folder`, read as `data`, says of programs.

    Raises:
        RefusedError: a tool is not on the PATH.
        KeyError, TypeError, ValueError: the file says something that it may not say.
    """
    table = data["toolchain"]
    home = _home(table)
    tools = _find(table["programs"], table["install"], home)
    runtimes = {RUNTIME: str(folder / RUNTIME)}
    for other in table.get("runtimes", ()):
        runtimes[other] = str(folder.parent / other / RUNTIME)
    named = {**tools, **runtimes}
    folders = [*table.get("folders", ()), *(os.path.dirname(path) for path in tools.values())]
    if home:
        named[HOME] = home
        folders.append(os.path.join(home, "lib"))
    folders += runtimes.values()
    return Programs(
        tools=tools,
        home=home,
        runtimes=runtimes,
        folders=tuple(dict.fromkeys(path for path in folders if os.path.isdir(path))),
        links=dict(table.get("links", {})),
        environment={name: str(value) for name, value in table.get("environment", {}).items()},
        address_space_bytes=int(table["address_space_bytes"]),
        solution_file=data["source_file"],
        suite_file=data["suite_file"],
        compile=_command(data.get("compile"), limits),
        resident=tuple(data.get("resident", {}).get("command", ())),
        run=Command(tuple(data["run"]["command"]), limits, ()),
        check=_command(data.get("check"), limits),
        diagnostic=table.get("diagnostic", ""),
        version=_first_line(fill(table["version"], named)),
    )


def _home(table: dict[str, Any]) -> str:
    """Where the toolchain says that it lies; what is on the PATH may only lead there."""
    on_path = {name: path for name in table["programs"] if (path := shutil.which(name))}
    if HOME not in table or len(on_path) < len(table["programs"]):
        return ""
    return _first_line(fill(table[HOME], on_path), {**os.environ, "HOME": _home_of_user()})


def _home_of_user() -> str:
    """Where a front of a toolchain keeps which one it leads to; a worker is started without it."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:  # an image's user need not have a name
        return "/"


def _find(names: Iterable[str], install: str, home: str) -> dict[str, str]:
    own = os.path.join(home, "bin") if home else ""
    found = {name: shutil.which(name, path=own) or shutil.which(name) for name in names}
    missing = [name for name, path in found.items() if path is None]
    if missing:
        raise RefusedError(f"no {', '.join(missing)} on the PATH: {install}")
    return {name: os.path.realpath(path) for name, path in found.items() if path is not None}


def _command(table: dict[str, Any] | None, limits: Limits) -> Command | None:
    if table is None or "command" not in table:
        return None
    own = read_limits({**limits.__dict__, **table.get("limits", {})})
    return Command(tuple(table["command"]), own, tuple(table.get("collect", ())))


def _first_line(argv: list[str], environment: dict[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_VERSION_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as e:
        raise RefusedError(f"{argv[0]} does not run: {e}") from e
    lines = (done.stdout or done.stderr).decode("utf-8", "replace").splitlines()
    return lines[0].strip() if lines else "unknown"


def fill(argv: Iterable[str], places: dict[str, str], arguments: Iterable[str] = ()) -> list[str]:
    """The command line with its places filled in.

    Raises:
        ValueError: it has a place that is not in `places`.
    """
    filled: list[str] = []
    for part in argv:
        if part == "{arguments}":
            filled += arguments
            continue
        missing = [name for name in _PLACE.findall(part) if name not in places]
        if missing:
            raise ValueError(f"{part!r} has a place that nothing fills: {missing[0]!r}")
        filled.append(_PLACE.sub(lambda match: places[match[1]], part))
    return filled
