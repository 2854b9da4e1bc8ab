"""The functions that a language's ``harness`` package may offer, met by shape.

Each is optional; what stands in for it is below.

``prepare(folder, tools) -> None``
    Makes in `folder`, once, what every compilation would otherwise make again
    (precompiled headers, archives of classes). `tools`: paths by name. Commands
    find it as ``{prepared}``; jails see it, read-only.
``sources(solution, suite, prepared) -> {"files": {path: text}, "arguments": [text, ...]}``
    What is put into the scratch folder before the compilation, or, where there
    is none, before the run; and what stands for ``{arguments}`` in the command.
    `prepared`: that folder. Default: the two files that ``language.toml`` names.
``together(solution, suites, prepared) -> [unit, ...]``
    What is compiled once for several suites; a unit is ``{"suites": [place in suites, ...],
    "one_program": bool, "files": ..., "arguments": ...}``. One program is told by the byte that
    follows the token which suite of the unit it is to run. Otherwise each suite has its files in
    a folder called by its number in the unit. A suite that is in no unit is compiled by itself, and
    so are all of a unit that does not compile. A unit is right only if it compiles where each of
    its suites does, and each suite means in it what it means alone. Default: none.
``broken_suite(messages) -> bool``
    Whether a compiler's messages, all about the suite, say that the suite is
    broken by itself and not that it does not fit the solution. Default: no.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sandbox_server.worker.harness import load_harness
from sandbox_server.worker.language import Language

_MARK = "\ufeff"


@dataclass(frozen=True)
class Sources:
    """What a stage is given."""

    files: dict[str, str]
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Unit:
    """What is compiled once for several suites."""

    sources: Sources
    #: Place of each suite among those that were given, in the order of the suites' numbers.
    places: tuple[int, ...]
    one_program: bool


class Hooks:
    """A language's functions, with what stands in for those that it does not offer."""

    def __init__(self, language: Language) -> None:
        assert language.programs is not None
        self._programs = language.programs
        self._module = load_harness(str(language.folder))

    @property
    def prepare(self) -> Callable[[str, dict[str, str]], None] | None:
        """The function that prepares the toolchain, where there is one."""
        found: Callable[[str, dict[str, str]], None] | None = getattr(self._module, "prepare", None)
        return found

    def sources(self, solution: str, suite: str, prepared: str) -> Sources:
        """What the first stage is given."""
        # Editors put a byte order mark before a text; within a file of two it is an error.
        solution, suite = solution.removeprefix(_MARK), suite.removeprefix(_MARK)
        function: Callable[[str, str, str], dict[str, Any]] | None
        function = getattr(self._module, "sources", None)
        if function is None:
            names = (self._programs.solution_file, self._programs.suite_file)
            return Sources(dict(zip(names, (solution, suite), strict=True)), ())
        given = function(solution, suite, prepared)
        return Sources(given["files"], tuple(given.get("arguments", ())))

    def together(self, solution: str, suites: Mapping[int, str], prepared: str) -> list[Unit]:
        """What is compiled once for several of `suites`, which are given by their places."""
        function: Callable[[str, list[str], str], list[dict[str, Any]]] | None
        function = getattr(self._module, "together", None)
        if function is None:
            return []
        places = list(suites)
        texts = [text.removeprefix(_MARK) for text in suites.values()]
        return [
            Unit(
                Sources(given["files"], tuple(given.get("arguments", ()))),
                tuple(places[index] for index in given["suites"]),
                given["one_program"],
            )
            for given in function(solution.removeprefix(_MARK), texts, prepared)
            if len(given["suites"]) > 1
        ]

    def broken_suite(self, messages: Sequence[str]) -> bool:
        """Whether the suite is broken by itself."""
        function: Callable[[Sequence[str]], bool] | None
        function = getattr(self._module, "broken_suite", None)
        return function is not None and function(messages)
