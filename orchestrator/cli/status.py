"""`plum status`: how far a run is."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from orchestrator.cli.stages import as_data, describe
from orchestrator.status import Count, read_status


@click.command()
@click.option(
    "--run-dir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the run.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
def status(run_dir: Path, as_json: bool) -> None:
    """Show how far a run is, also while another process works on it.

    \b
    Example:
      plum status --run-dir runs/first --json

    \b
    Exit codes: 0 done, 2 there is no run in that folder.
    """
    found = read_status(run_dir)
    if as_json:
        body = {
            "run_dir": str(run_dir),
            "writer_pid": found.writer_pid,
            "counts": [asdict(count) for count in found.counts],
            "stages": [as_data(record) for record in found.stages],
        }
        click.echo(json.dumps(body))
        return
    writer = "nobody" if found.writer_pid is None else f"process {found.writer_pid}"
    click.echo(f"{run_dir}: {writer} is working on it")
    for count in found.counts:
        click.echo(f"  {count.name:<17} {_of(count)}")
    if found.stages:
        click.echo("stages that have ended, with their last result:")
    for record in found.stages:
        click.echo(f"  {describe(record)}")


def _of(count: Count) -> str:
    return f"{count.done}" if count.total is None else f"{count.done} of {count.total}"
