"""A run: a folder with a store and the recipe that it was started with, which never changes."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError
from orchestrator.folders import make_folder
from orchestrator.progress import Progress
from orchestrator.recipe import Recipe, load_recipe
from orchestrator.sandbox.access import read_token
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import embedded_sandbox
from orchestrator.store.database import Database, holds_run, open_writer
from orchestrator.store.progress import Moment, record_moment
from orchestrator.store.stages import meta, nothing_done, set_meta

#: The copy of the recipe, for people; the store holds what is compared.
_RECIPE = "recipe.toml"

#: Settings that say where and how fast work is done, not what comes of it.
_MAY_CHANGE = (
    "label.early_stop",
    "sandbox.addresses",
    "sandbox.ca",
    "sandbox.certificate",
    "sandbox.key",
    "sandbox.launcher",
    "sandbox.retry_for_s",
    "sandbox.slots",
    "sandbox.token_file",
    ".api_key_env",
    ".base_url",
    ".base_urls",
    ".concurrency",
    ".max_retries",
    ".timeout_s",
    "generation.cache",
    "generation.usd_per_million_prompt_tokens",
    "generation.usd_per_million_completion_tokens",
    "generation.max_cost_usd",
    "generation.batch_size",
    "generation.poll_s",
)


@dataclass(frozen=True)
class Run:
    """An open run. Made by `open_run`, valid inside of it."""

    folder: Path
    recipe: Recipe
    db: Database
    _resources: ExitStack
    _clients: list[SandboxClient]

    def sandbox(self) -> SandboxClient:
        """A client of the recipe's sandbox. An embedded server is started once and kept.

        Raises:
            SandboxError: it cannot be reached, or does not start.
        """
        if not self._clients:
            settings = self.recipe.sandbox
            addresses = settings.addresses or (
                self._resources.enter_context(
                    embedded_sandbox(
                        settings.launcher,
                        slots=settings.slots,
                        languages=[self.recipe.run.language],
                    )
                ),
            )
            client = SandboxClient(
                addresses,
                token=None if settings.token_file is None else read_token(settings.token_file),
                tls=settings.tls,
                retry_s=settings.retry_for_s,
            )
            self._clients.append(self._resources.enter_context(client))
        return self._clients[0]

    def progress(self, total: int | None, work: str, unit: str, *, done: int = 0) -> Progress:
        """A display of how far `work` is, which `plum status` sees too; see `Progress`."""
        began_at = time.time()

        def report(units: int) -> None:
            moment = Moment(work, unit, units, total, done, began_at, time.time())
            record_moment(self.db, moment)

        return Progress(total, work, unit, done=done, report=report)

    def recipe_sha(self) -> str:
        """Hex digest of the settings, for the files that a run leaves."""
        return hashlib.sha256(_canonical(self.recipe).encode()).hexdigest()


@contextmanager
def open_run(folder: Path, recipe_file: Path | None) -> Iterator[Run]:
    """Opens a run for writing, and makes it where `folder` holds none yet.

    recipe_file: required the first time; later it may be left out. Until something was done with
        it, another one may take its place.

    Raises:
        InputError: the recipe is bad, missing, or differs from the run's; or the folder cannot
            be made.
        PlumError: another process writes this run.
    """
    # Read first: a bad recipe must not leave a folder behind.
    given = None if recipe_file is None else load_recipe(recipe_file)
    if given is None and not holds_run(folder):
        raise InputError(f"{folder}: no run here yet; name the recipe to start one")
    make_folder(folder)
    with open_writer(folder) as db, ExitStack() as resources:
        recipe = _frozen(db, folder, recipe_file, given)
        yield Run(folder, recipe, db, resources, [])


def _frozen(db: Database, folder: Path, file: Path | None, given: Recipe | None) -> Recipe:
    before = meta(db, "recipe")
    if file is not None and given is not None and (before is None or nothing_done(db)):
        _keep(db, folder, file, given)
        return given
    if before is None:
        raise InputError(f"{folder}: no run here yet; name the recipe to start one")
    if given is None:
        given = load_recipe(folder / _RECIPE, Path(meta(db, "recipe_base") or "."))
        file = folder / _RECIPE
    changes = _changes(json.loads(before), json.loads(_canonical(given)))
    if changes:
        raise InputError(
            f"{file}: differs from the recipe that {folder} was started with: "
            f"{'; '.join(changes)}; start another run for other settings"
        )
    if file is not None and file.read_bytes() != (folder / _RECIPE).read_bytes():
        _keep(db, folder, file, given)  # of what may change, the newest holds
    return given


def _keep(db: Database, folder: Path, file: Path, recipe: Recipe) -> None:
    # By way of another name: `file` may be the copy itself.
    new = folder / f"{_RECIPE}.new"
    shutil.copyfile(file, new)
    with db.transaction():
        set_meta(db, "recipe_base", str(file.resolve().parent))
        set_meta(db, "recipe", _canonical(recipe))
    new.replace(folder / _RECIPE)


def _canonical(recipe: Recipe) -> str:
    settings = {key: v for key, v in recipe.flat().items() if not key.endswith(_MAY_CHANGE)}
    return json.dumps(settings, sort_keys=True)


def _changes(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    return [
        f"{key} was {before.get(key)!r}, is {now.get(key)!r}"
        for key in sorted(before.keys() | now.keys())
        if before.get(key) != now.get(key)
    ]
