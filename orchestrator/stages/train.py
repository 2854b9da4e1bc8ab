"""Stage `train`: starts `plum-train` on the exported rows, as a process of its own."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError, PlumError
from orchestrator.recipe import TrainSection
from orchestrator.run import Run
from orchestrator.run_inputs import freeze_model
from orchestrator.stages.export import dataset_folder
from orchestrator.store.stages import StageSummary


def trained_model(run: Run) -> Path:
    """Where the trained policy is written."""
    return run.folder / "model"


def train(run: Run) -> StageSummary:
    """Trains, or goes on from the newest checkpoint, or finds that it is done.

    Raises:
        PlumError: the trainer failed; its own last line says why.
    """
    settings = run.recipe.train
    if settings is None:
        raise InputError("the recipe has no [train]")
    data = dataset_folder(run) / "kto" / "train.jsonl"
    if not data.exists():
        raise PlumError(f"there are no rows to train on ({data}): no problem kept both labels")
    freeze_model(run.db, "train.model", settings.model)
    recipe = run.folder / "train.toml"
    recipe.write_text(_recipe_text(run, settings, data), encoding="utf-8")
    command = [sys.executable, "-m", "trainer.cli", settings.method, str(recipe)]
    with _alone(run.folder / "train.lock") as lock:
        # The trainer inherits the lock and holds it after our death too.
        done = subprocess.run(
            [*command, "--resume", "--json"], stdout=subprocess.PIPE, pass_fds=(lock,), check=False
        )
    if done.returncode != 0:
        raise PlumError(f"plum-train {settings.method} failed with exit code {done.returncode}")
    manifest = json.loads(done.stdout)
    counts = {key: n for key, n in manifest["rows"].items() if isinstance(n, int)}
    return StageSummary("train", True, counts, (f"policy: {trained_model(run)}",))


@contextmanager
def _alone(path: Path) -> Iterator[int]:
    """Waits for a trainer that an earlier, killed run left behind: two would spoil the folder."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("train: waiting for the training that an earlier run began", file=sys.stderr)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _recipe_text(run: Run, settings: TrainSection, data: Path) -> str:
    top: dict[str, Any] = {
        "model": settings.model,
        "data": str(data.resolve()),
        "output_dir": str(trained_model(run).resolve()),
        "seed": run.recipe.run.seed,
    }
    tables = {key: value for key, value in settings.options.items() if isinstance(value, dict)}
    top |= {key: value for key, value in settings.options.items() if key not in tables}
    lines = [f"{_toml(key)} = {_toml(value)}" for key, value in top.items()]
    for name, table in tables.items():
        lines += ["", f"[{_toml(name)}]"]
        lines += [f"{_toml(key)} = {_toml(value)}" for key, value in table.items()]
    return "\n".join([f"# Written by the run for: plum-train {settings.method}", *lines, ""])


def _toml(value: Any) -> str:
    """Strings, numbers, booleans and lists of them: JSON writes these as TOML does."""
    return json.dumps(value, ensure_ascii=False)
