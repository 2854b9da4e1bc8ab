"""Processes that are forked from one that has imported what takes long to import.

To start `plum` costs up to two seconds of processor time, nearly all of it for imports; to fork
it costs a twentieth of that.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from orchestrator.cli.main import main
from orchestrator.run import open_run
from orchestrator.stages.generate import generate
from orchestrator.stages.load import load

_IMPORTED = [
    "openai",
    "orchestrator.generation.openai_provider",
    "orchestrator.sampling.openai_sampler",
    "orchestrator.stages.pipeline",
    __name__,
]


def run_plum(
    arguments: list[str], environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Runs `plum` to its end as a process of its own, with this environment."""
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = start_plum(arguments, environment, out, err)
        try:
            process.join()
        finally:
            process.kill()  # where the test ends before it
        assert process.exitcode is not None
        return subprocess.CompletedProcess(
            ["plum", *arguments], process.exitcode, out.read_text(), err.read_text()
        )


def start_plum(
    arguments: list[str], environment: Mapping[str, str], out: Path, err: Path
) -> BaseProcess:
    """Starts `plum` with this environment; what it prints goes into the two files."""
    return _start(_plum, arguments, dict(environment), out, err)


def start_generation(run_dir: Path, recipe: Path) -> BaseProcess:
    """Starts the stages `load` and `generate` of a run; its exit code is 1 where they fail."""
    return _start(_generate, run_dir, recipe)


def _start(target: Callable[..., None], *arguments: Any) -> BaseProcess:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    process = context.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def _plum(arguments: list[str], environment: dict[str, str], out: Path, err: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    for descriptor, file in ((1, out), (2, err)):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), descriptor)
    sys.argv = ["plum", *arguments]
    main()


def _generate(run_dir: Path, recipe: Path) -> None:
    with open_run(run_dir, recipe) as run:
        load(run)
        generate(run)
