"""Generation in a process of its own that a test may kill, without the price of a start each time."""

from __future__ import annotations

import multiprocessing
from multiprocessing.process import BaseProcess
from pathlib import Path

from orchestrator.run import open_run
from orchestrator.stages.generate import generate
from orchestrator.stages.load import load


def start_generation(run_dir: Path, recipe: Path) -> BaseProcess:
    """Starts the stages `load` and `generate` of a run; its exit code is 1 where they fail."""
    context = multiprocessing.get_context("forkserver")
    # What takes long to import is imported once, by the process that the others are forked from.
    context.set_forkserver_preload(["openai", "tests.integration.generation_process"])
    process = context.Process(target=_generate, args=(run_dir, recipe))
    process.start()
    return process


def _generate(run_dir: Path, recipe: Path) -> None:
    with open_run(run_dir, recipe) as run:
        load(run)
        generate(run)
