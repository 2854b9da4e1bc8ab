"""`plum run`: all stages that a recipe asks for."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.stages import run_and_print, run_options


@click.command()
@run_options
def run(recipe: Path | None, run_dir: Path, as_json: bool) -> int:
    """Runs all stages that RECIPE asks for, from instructions to a trained, measured policy.

    Killed at any moment and started again with the same command, it goes on where it was:
    nothing paid for is asked again, no row is lost or doubled. RECIPE is frozen into the run as
    soon as the instructions are read; later it may be left out, and a changed one is refused.

    \b
    Examples:
      plum run recipe.toml --run-dir runs/first
      plum run --run-dir runs/first            # go on
      plum status --run-dir runs/first         # look on, from another terminal

    \b
    Exit codes:
      0    done
      1    failed; the last line on standard error says why
      2    bad input: file, line, key, value and bound are named
      3    some executions did not take place; run the same command again
      4    generation.max_cost_usd is reached; raise it and run the command with RECIPE again
      130  interrupted
    """
    return run_and_print(recipe, run_dir, None, as_json)
