"""What a training was made of, beside its result, and whether it was finished before."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from trainer.recipe import Recipe

_NAME = "manifest.json"
_PACKAGES = ("plum-code", "torch", "transformers", "trl", "datasets", "accelerate", "peft")
_BLOCK_BYTES = 1 << 20


def identity(recipe: Recipe) -> dict[str, Any]:
    """What makes two trainings the same: all settings, and the content of data and model.

    A model on the hub counts by its name; a folder by its files, because the
    same path may hold another policy tomorrow.

    Raises:
        InputError: the data or the model cannot be read.
    """
    settings = {k: v for k, v in recipe.settings().items() if k not in ("data", "output_dir")}
    local = Path(recipe.model)
    files = sorted(p for p in local.iterdir() if p.is_file()) if local.is_dir() else []
    return {
        "settings": settings,
        "data_sha256": _sha256(recipe.data),
        "model_sha256": {p.name: _sha256(p) for p in files},
    }


def finished(recipe: Recipe, wanted: dict[str, Any]) -> dict[str, Any] | None:
    """The manifest of this very training where it has been finished, else None.

    Raises:
        InputError: the folder holds the result of another training, or a manifest that is none.
    """
    file = recipe.output_dir / _NAME
    if not file.exists():
        return None
    manifest = read_object(file)
    require_same(recipe.output_dir, manifest.get("identity", {}), wanted)
    return manifest


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object that an earlier training wrote.

    Raises:
        InputError: it cannot be read, or is none.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except OSError as e:
        raise InputError(f"{file}: {e.strerror}") from e
    except ValueError as e:
        raise InputError(f"{file}: was not written by plum-train: {e}") from e
    if not isinstance(found, dict):
        raise InputError(f"{file}: was not written by plum-train: it holds no object")
    return found


def require_same(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Raises InputError, naming what differs, unless both identities are the same."""
    # Through JSON, because a manifest has been there and tuples come back as lists.
    wanted = json.loads(json.dumps(wanted))
    if found == wanted:
        return
    old, new = found.get("settings", {}), wanted["settings"]
    differing = [k for k in sorted({*old, *new}) if old.get(k) != new.get(k)]
    for content in ("data", "model"):
        if found.get(f"{content}_sha256") != wanted[f"{content}_sha256"]:
            differing.append(f"the {content}'s content")
    raise InputError(
        f"output_dir = {str(folder)!r} holds another training; it differs in: "
        f"{', '.join(differing)}. Choose another output_dir or remove that one"
    )


def write_manifest(
    recipe: Recipe,
    what: dict[str, Any],
    rows: dict[str, int],
    weights: dict[str, float] | None,
    result: dict[str, Any],
) -> dict[str, Any]:
    """Writes manifest.json, last of all and in one go: where it is, the training is whole.

    what: its `identity`. rows: counts by name. weights: of KTO's losses.
    result: steps, wall time and last metrics.
    """
    manifest = {
        "identity": json.loads(json.dumps(what)),
        "data": str(recipe.data),
        "output_dir": str(recipe.output_dir),
        "rows": rows,
        "weights": weights,
        "result": result,
        "commit": _commit(),
        "versions": {"python": platform.python_version()} | _versions(),
    }
    part = recipe.output_dir / f"{_NAME}.part"
    part.write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    os.replace(part, recipe.output_dir / _NAME)
    return manifest


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while block := stream.read(_BLOCK_BYTES):
                digest.update(block)
    except OSError as e:
        raise InputError(f"{file}: {e.strerror}") from e
    return digest.hexdigest()


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _commit() -> str | None:
    """The commit of the checkout that this module runs from, if it runs from one."""
    here = Path(__file__).resolve().parent
    try:
        run = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return run.stdout.strip() if run.returncode == 0 else None
