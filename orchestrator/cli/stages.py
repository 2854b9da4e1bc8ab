"""The stages of a run, each as a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from orchestrator.run import open_run
from orchestrator.store.stages import StageRecord

F = TypeVar("F", bound=Callable[..., Any])

#: Something could not be executed; what was done is stored, a rerun does the rest.
INCOMPLETE = 3


def run_options(command: F) -> F:
    """The parameters that every command on a run has."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print the result as JSON."),
        click.option(
            "--run-dir",
            required=True,
            type=click.Path(file_okay=False, path_type=Path),
            help="The folder of the run; made by its first command.",
        ),
        click.argument("recipe", required=False, type=click.Path(dir_okay=False, path_type=Path)),
    ):
        command = option(command)
    return command


def run_and_print(
    recipe: Path | None, run_dir: Path, names: list[str] | None, as_json: bool
) -> int:
    """Runs stages (None: all that the recipe asks for) and prints what came of each.

    Returns the exit code: 0, or INCOMPLETE.
    """
    # Late, as the stages bring in the sandbox client and its libraries.
    from orchestrator.stages.pipeline import configured_stages, run_stages

    records: list[StageRecord] = []
    with open_run(run_dir, recipe) as run:
        for record in run_stages(run, names or configured_stages(run.recipe)):
            records.append(record)
            if not as_json:
                click.echo(describe(record))
                for note in record.summary.notes:
                    click.echo(f"  {note}", err=not record.summary.complete)
    if as_json:
        click.echo(json.dumps({"run_dir": str(run_dir), "stages": [as_data(r) for r in records]}))
    return 0 if all(record.summary.complete for record in records) else INCOMPLETE


def describe(record: StageRecord) -> str:
    """One line for people."""
    summary = record.summary
    counts = ", ".join(f"{name} {count}" for name, count in summary.counts.items())
    end = "" if summary.complete else "  INCOMPLETE: run the same command again"
    return f"{summary.stage:<9} {record.wall_time_s:7.1f} s  {counts}{end}"


def as_data(record: StageRecord) -> dict[str, Any]:
    """Plain data for --json."""
    return {**asdict(record.summary), "wall_time_s": round(record.wall_time_s, 3)}


EXITS = """
\b
Exit codes: 0 done, 1 failed, 2 bad input, 3 the sandbox did not answer
everything, 4 the recipe's max_cost_usd is reached (what was done is kept;
run the command again, after 4 with a recipe whose bound is higher).
"""


def _command(name: str, stages: list[str], text: str) -> click.Command:
    @click.command(name, help=f"{text}\n{EXITS}")
    @run_options
    def command(recipe: Path | None, run_dir: Path, as_json: bool) -> int:
        return run_and_print(recipe, run_dir, stages, as_json)

    return command


generate = _command(
    "generate",
    ["load", "generate", "filter"],
    """Loads the instructions, has suites written for them, and keeps those that their own
    reference solution passes and that tell right from wrong (see [quality] in the recipe).
    Answers that are stored are never asked for again; batches under way are found again.

    \b
    Example:
      plum generate recipe.toml --run-dir runs/first
    """,
)
sample = _command(
    "sample",
    ["sample"],
    """Draws k completions of the policy for every problem that has a kept suite.

    \b
    Example:
      plum sample --run-dir runs/first
    """,
)
check = _command(
    "check",
    ["check"],
    """Checks every different candidate statically: syntax, and types where the language has a
    checker. Nothing is run.

    \b
    Example:
      plum check --run-dir runs/first --json
    """,
)
label = _command(
    "label",
    ["label"],
    """Executes every candidate against every kept suite of its problem in the sandbox, and
    labels it: desirable, undesirable, or dropped with a reason. Equal candidates run once.

    \b
    Example:
      plum label --run-dir runs/first
    """,
)
train = _command(
    "train",
    ["train"],
    """Trains the policy on the dataset by starting plum-train; goes on from the newest
    checkpoint. The trained policy is RUN_DIR/model.

    \b
    Example:
      plum train --run-dir runs/first
    """,
)
report = _command(
    "report",
    ["report"],
    """Writes RUN_DIR/report.html: one page with everything that is known of the run.

    \b
    Example:
      plum report --run-dir runs/first
    """,
)
