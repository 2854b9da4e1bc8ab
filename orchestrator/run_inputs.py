"""What a run reads from outside is remembered by content: a changed file is refused, not mixed in."""

from __future__ import annotations

import hashlib
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.store.database import Database
from orchestrator.store.stages import meta, set_meta

#: Files of a model up to this size are hashed whole; of larger ones both ends and the size.
_WHOLE_BYTES = 4 << 20


def freeze_file(db: Database, key: str, path: Path) -> None:
    """Remembers the content of a file under a recipe's key; later it must be the same.

    Raises:
        InputError: it changed since.
    """
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    _freeze(db, key, str(path), digest)


def freeze_model(db: Database, key: str, model: str) -> None:
    """The same for a model folder. A hub name is taken at its word.

    Raises:
        InputError: it changed since.
    """
    if Path(model).is_dir():
        _freeze(db, key, model, model_digest(Path(model)))


def model_digest(folder: Path) -> str:
    """Hex digest of a model folder; weights count with their size and both ends only."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file()):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as stream:
            digest.update(stream.read(_WHOLE_BYTES))
            if size > _WHOLE_BYTES:
                stream.seek(max(size - _WHOLE_BYTES, _WHOLE_BYTES))
                digest.update(stream.read(_WHOLE_BYTES))
    return digest.hexdigest()


def _freeze(db: Database, key: str, name: str, digest: str) -> None:
    before = meta(db, f"input:{key}")
    if before is None:
        set_meta(db, f"input:{key}", digest)
    elif before != digest:
        raise InputError(
            f"{name}: changed since this run read it ({key}: digest was {before[:12]}, "
            f"is {digest[:12]}); put the old content back, or start a new run"
        )
