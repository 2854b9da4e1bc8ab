"""A candidate is compiled once, however many suites it is to meet.

The compilers run outside of any jail here, so that they can be counted: on our own text only.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from sandbox_server.worker import files
from sandbox_server.worker.errors import RefusedError
from sandbox_server.worker.jail_contract import Exit, Program, StageFacts
from sandbox_server.worker.language import load_language
from sandbox_server.worker.program import TOO_MUCH_TO_COLLECT
from sandbox_server.worker.programs import load
from sandbox_server.worker.programs.judging import ProgramHarness
from sandbox_server.worker.protocol import MOST_TESTS, Limits, Usage
from tests.conformance.test_suites_together import COMPILED, SOLUTIONS, SUITES
from tests.worker_process import IMAGES


class Counter:
    """Runs programs in a folder of their own, and counts them."""

    scratch = "/tmp"
    has_resident = False

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said = (b"", b"")
        self.programs: list[list[str]] = []

    def hand_over(self, data: bytes) -> int:
        fd = os.memfd_create("handed-over")
        os.write(fd, data)
        return fd

    def run_program(
        self, program: Program, limits: Limits, report_fd: int | None = None
    ) -> tuple[StageFacts, int]:
        folder = self._folder / str(len(self.programs))
        folder.mkdir()
        self.programs.append(list(program.argv))
        for archive in program.archives:
            files.unpack(archive, str(folder), program.part)
        done = subprocess.run(
            program.argv,
            cwd=folder,
            env={**os.environ, **program.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        self._said = (done.stdout, done.stderr)
        made = self.hand_over(b"")
        status = done.returncode
        if status == 0:
            try:
                files.collect(str(folder), program.collect, made, limits.file_bytes)
            except files.FilesError:
                status = TOO_MUCH_TO_COLLECT
        return StageFacts({"program": Exit(status, None)}, None, None), made

    def output(self) -> tuple[bytes, bytes]:
        return self._said

    def usage(self) -> Usage:
        return Usage(0.0, 0.0, 0)


@pytest.fixture(autouse=True)
def own_harness() -> Iterator[None]:
    """Harnesses of all languages are called the same, and a process has only one."""
    kept = _without_harness()
    yield
    _without_harness()
    sys.modules.update(kept)


def _without_harness() -> dict[str, ModuleType]:
    names = [name for name in sys.modules if name.partition(".")[0] == "harness"]
    return {name: sys.modules.pop(name) for name in names}


def _harness(language: str) -> ProgramHarness:
    try:
        found = load_language(IMAGES / language)
    except RefusedError as e:
        pytest.skip(str(e))
    return load(found)


@pytest.mark.parametrize("language", COMPILED)
def test_one_compilation_serves_as_many_suites_as_a_request_has(
    language: str, tmp_path: Path
) -> None:
    harness, jail = _harness(language), Counter(tmp_path)
    tests = [SUITES[language][0].format(number) for number in range(MOST_TESTS)]
    solution = SOLUTIONS[language].format("")
    compiled = harness.compile_together(solution, tests, jail)  # type: ignore[arg-type]
    assert len(jail.programs) == 1
    assert sorted(compiled) == list(range(MOST_TESTS))
    assert len({made.archive for made in compiled.values()}) == 1
    assert sorted(made.part for made in compiled.values()) == list(range(MOST_TESTS))


@pytest.mark.parametrize("language", COMPILED)
def test_a_suite_that_is_empty_or_broken_leaves_each_to_itself(
    language: str, tmp_path: Path
) -> None:
    harness, jail = _harness(language), Counter(tmp_path)
    right, broken = SUITES[language][0].format(3), SUITES[language][1].format("")
    solution = SOLUTIONS[language].format("")
    assert harness.compile_together(solution, [right, ""], jail) == {}  # type: ignore[arg-type]
    assert jail.programs == []
    assert harness.compile_together(solution, [right, broken], jail) == {}  # type: ignore[arg-type]


@pytest.mark.parametrize("language", ["cpp", "go", "rust", "typescript"])
def test_a_solution_that_does_not_compile_is_not_compiled_for_each_suite(
    language: str, tmp_path: Path
) -> None:
    harness, jail = _harness(language), Counter(tmp_path)
    tests = [SUITES[language][0].format(number) for number in range(MOST_TESTS)]
    solution = SOLUTIONS[language].format("nope()")
    compiled = harness.compile_together(solution, tests, jail)  # type: ignore[arg-type]
    # With the suites, and alone: the errors are the same.
    assert len(jail.programs) == 2
    assert sorted(compiled) == list(range(MOST_TESTS))
    verdicts = [made.verdict for made in compiled.values()]
    assert all(found is not None and found["verdict"] == "COMPILE_ERROR" for found in verdicts)
