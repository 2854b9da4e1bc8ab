"""Checkpoints of a training that has not come to its end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from trainer.manifest import read_object, require_same
from trainer.recipe import Recipe

_IDENTITY = "identity.json"


def folder(recipe: Recipe) -> Path:
    """Where they are while the training lasts."""
    return recipe.output_dir / "checkpoints"


def newest(recipe: Recipe, what: dict[str, Any]) -> Path | None:
    """The newest checkpoint that was written to its end, or None.

    what: the training's identity.

    Raises:
        InputError: the checkpoints are another training's, or nobody can tell whose.
    """
    identity = folder(recipe) / _IDENTITY
    if not identity.exists():
        return None
    require_same(recipe.output_dir, read_object(identity), what)
    found = folder(recipe).glob("checkpoint-*")
    for checkpoint in sorted(found, key=lambda path: -int(path.name.split("-")[1])):
        try:
            # Written last, so a checkpoint without it was cut short.
            json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return checkpoint
    return None


def begin(recipe: Recipe, what: dict[str, Any]) -> None:
    """Makes an empty folder that knows whose checkpoints it will hold."""
    remove(recipe)
    folder(recipe).mkdir(parents=True)
    (folder(recipe) / _IDENTITY).write_text(json.dumps(what), encoding="utf-8")


def remove(recipe: Recipe) -> None:
    """Removes all of them, if there are any."""
    shutil.rmtree(folder(recipe), ignore_errors=True)
