"""`python -m trainer.demo`: a mediocre policy, the whole method, a better policy, measured.

The demo makes what a user would bring (a policy, instructions, recorded answers of
a generator, a benchmark), writes a recipe, and leaves the rest to `plum run`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.program import run_program
from orchestrator.errors import PlumError
from trainer.demo.answers import write_answers, write_benchmark, write_instructions
from trainer.demo.recipe import ANSWERS_PER_PROBLEM, PROBLEMS, DemoFiles, write_recipe
from trainer.demo.tasks import SPLIT_SIZES, Task, split_tasks

#: Written last, with the settings, when everything that the run starts from is there.
_MADE = "made"


@dataclass(frozen=True)
class Settings:
    """What may be chosen; see the options of the same names."""

    seed: int
    problems: int
    base_steps: int
    train_steps: int
    evaluate_on: str
    evaluate_problems: int


@click.command(
    context_settings={"auto_envvar_prefix": "PLUM_DEMO", "help_option_names": ["-h", "--help"]}
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0, 2**31 - 1))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for everything that is made. [default: .demo/seed-SEED]",
)
@click.option(
    "--problems",
    default=PROBLEMS,
    show_default=True,
    type=click.IntRange(1, SPLIT_SIZES["preference"]),
    help="Problems to sample and learn from.",
)
@click.option(
    "--base-steps",
    default=300,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Steps in which the policy is made.",
)
@click.option(
    "--train-steps",
    default=100,
    show_default=True,
    type=click.IntRange(1, 100_000),
    help="Steps of KTO.",
)
@click.option(
    "--evaluate-on",
    default="held_out",
    show_default=True,
    type=click.Choice(["held_out", "development"]),
    help="Split to measure on. The demo's settings were tuned on the development split.",
)
@click.option(
    "--evaluate-problems",
    default=SPLIT_SIZES["held_out"],
    show_default=True,
    type=click.IntRange(1, SPLIT_SIZES["held_out"]),
    help="Problems of that split to measure on, as far as it has so many.",
)
def demo(out: Path | None, **options: Any) -> None:
    """Runs the whole method on problems of our own: about four minutes on two cores.

    Stopped at any moment and started again, it goes on where it was. A finished
    demo only shows its result again; remove its folder to start over.

    \b
    Examples:
      scripts/demo
      scripts/demo --seed 1 --out /tmp/demo

    \b
    Exit codes: 0 done; otherwise those of `plum run`.
    """
    began = time.monotonic()
    settings = Settings(**options)
    files = DemoFiles((out or Path(".demo") / f"seed-{settings.seed}").resolve())
    _make_files(files, settings)
    _say(3, "plum run: generate, sample, check, execute, label, train, evaluate, report")
    _plum_run(files)
    # Late: the run's store brings in the sandbox client, which nothing before this needs.
    from trainer.demo.summary import summarise

    click.echo(summarise(files))
    click.echo(f"\nTook {time.monotonic() - began:.0f} s. Report: {files.run / 'report.html'}")


def _make_files(files: DemoFiles, settings: Settings) -> None:
    """Everything that the run starts from, once; a folder that was cut short is made anew."""
    made = files.folder / _MADE
    if made.exists():
        if made.read_text(encoding="utf-8") != str(settings):
            raise PlumError(
                f"{files.folder} holds a demo with other settings: choose another --out"
            )
        print(f"demo: going on in {files.folder}", file=sys.stderr)
        return
    if files.run.exists():
        raise PlumError(f"{files.run} is there, and no demo began it: choose another --out")
    files.folder.mkdir(parents=True, exist_ok=True)
    splits = split_tasks(settings.seed)
    _say(1, "a policy from scratch, taught by a corpus that often misreads phrases")
    _make_policy(files, splits["base"], settings)
    count = settings.problems
    _say(2, f"{count} problems with {ANSWERS_PER_PROBLEM} recorded answers each, some broken")
    preference = splits["preference"][:count]
    write_instructions(files.instructions, preference)
    write_answers(files.answers, preference, ANSWERS_PER_PROBLEM, settings.seed)
    benchmark = settings.evaluate_on
    measured = splits[benchmark][: settings.evaluate_problems]
    write_benchmark(files.benchmark(benchmark), measured, settings.seed)
    write_recipe(files, benchmark, settings.seed, settings.train_steps)
    made.write_text(str(settings), encoding="utf-8")


def _make_policy(files: DemoFiles, tasks: list[Task], settings: Settings) -> None:
    # Before torch is loaded, which reads it once; see `trainer.cli`.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from trainer.demo.base_policy import make_base_policy

    shutil.rmtree(files.policy, ignore_errors=True)
    make_base_policy(files.policy, tasks, settings.seed, settings.base_steps)


def _plum_run(files: DemoFiles) -> None:
    command = ["-m", "orchestrator.cli.main", "run", str(files.recipe), "--run-dir", str(files.run)]
    done = subprocess.run([sys.executable, *command], check=False)
    if done.returncode != 0:
        print("demo: plum run failed; the same command goes on from here", file=sys.stderr)
        sys.exit(done.returncode)


def _say(step: int, text: str) -> None:
    print(f"\n[{step}/3] {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Runs the demo; a failure is one line and an exit code."""
    run_program(demo, "scripts/demo", "the same command goes on")


if __name__ == "__main__":
    main()
