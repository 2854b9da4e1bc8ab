"""`plum status`: how far a run is."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.numbers import Number
from orchestrator.cli.stages import as_data, describe
from orchestrator.status import Count, Status, read_status
from orchestrator.store.progress import Moment


@click.command()
@click.option(
    "--run-dir",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder of the run.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the status as JSON.")
@click.option("--watch", is_flag=True, help="Go on until nobody works on the run any more.")
@click.option(
    "--every",
    type=Number(0.1, 3600.0),
    default=2.0,
    show_default=True,
    metavar="SECONDS",
    help="How often --watch looks.",
)
def status(run_dir: Path, as_json: bool, watch: bool, every: float) -> None:
    """Shows how far a run is, also while another process works on it.

    \b
    Examples:
      plum status --run-dir runs/first
      plum status --run-dir runs/first --watch
      plum status --run-dir runs/first --watch --json   # one line for each look

    \b
    Exit codes: 0 done, 2 there is no run in that folder.
    """
    while True:
        found = read_status(run_dir)
        if as_json:
            click.echo(json.dumps(_as_data(run_dir, found)))
        else:
            if watch:
                click.clear()  # does nothing where no terminal is
            _print(run_dir, found)
        if not watch or found.writer_pid is None:
            return
        time.sleep(every)


def _as_data(run_dir: Path, found: Status) -> dict[str, Any]:
    moment = found.at_work
    return {
        "run_dir": str(run_dir),
        "writer_pid": found.writer_pid,
        "at_work": None
        if moment is None
        else {**asdict(moment), "rate": moment.rate(), "left_s": moment.left_s()},
        "counts": [asdict(count) for count in found.counts],
        "errors": found.errors,
        "stages": [as_data(record) for record in found.stages],
    }


def _print(run_dir: Path, found: Status) -> None:
    writer = "nobody" if found.writer_pid is None else f"process {found.writer_pid}"
    click.echo(f"{run_dir}: {writer} is working on it")
    if found.at_work is not None:
        click.echo(f"  now: {_now(found.at_work)}")
    for count in found.counts:
        click.echo(f"  {count.name:<17} {_of(count)}")
    for message, times in found.errors.items():
        click.echo(f"  not executed: {times} x {message}")
    if found.stages:
        click.echo("stages that have ended, with their last result:")
    for record in found.stages:
        click.echo(f"  {describe(record)}")


def _now(moment: Moment) -> str:
    of = "" if moment.total is None else f" of {moment.total}"
    text = f"{moment.work}, {moment.done}{of} {moment.unit}"
    rate, left_s = moment.rate(), moment.left_s()
    if rate is not None:
        text += f", {rate:.1f}/s"
    if left_s is not None:
        text += f", about {_duration(left_s)} left"
    age_s = time.time() - moment.updated_at
    return text if age_s < 10 else f"{text}; the last step was {_duration(age_s)} ago"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _of(count: Count) -> str:
    return f"{count.done}" if count.total is None else f"{count.done} of {count.total}"
