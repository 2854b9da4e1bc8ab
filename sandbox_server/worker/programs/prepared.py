"""What is made of a toolchain once and used by every compilation, and where it is kept.

An image brings it along, in the language's folder ``prepared``. Elsewhere the
first worker makes it and leaves it for the next ones of the same user.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from sandbox_server.worker.errors import RefusedError
from sandbox_server.worker.language import Language
from sandbox_server.worker.programs.hooks import Hooks

_IN_IMAGE = "prepared"
_WRITABLE_BY_OTHERS = 0o022


def find_or_prepare(language: Language, hooks: Hooks) -> str:
    """The folder with what the language's harness prepares; empty where it prepares nothing.

    Raises:
        RefusedError: it cannot be made, or the place is not this user's own.
    """
    if hooks.prepare is None:
        return ""
    in_image = language.folder / _IN_IMAGE
    if in_image.is_dir():
        return str(in_image)
    home = Path(tempfile.gettempdir()) / f"plum-prepared-{os.geteuid()}"
    try:
        home.mkdir(mode=0o755, exist_ok=True)
        status = home.lstat()
    except OSError as e:
        raise RefusedError(f"no place to prepare {language.name}: {e}") from e
    # Others could put headers there that every later candidate is compiled with.
    if status.st_uid != os.geteuid() or status.st_mode & _WRITABLE_BY_OTHERS or home.is_symlink():
        raise RefusedError(f"{home} is not this user's own: remove it")
    target = home / f"{language.name}-{_key(language)}"
    if not target.is_dir():
        _prepare(language, hooks, target)
    return str(target)


def _prepare(language: Language, hooks: Hooks, target: Path) -> None:
    """In a folder beside `target`, renamed when it is complete: two workers may do it at once."""
    assert language.programs is not None
    assert hooks.prepare is not None
    folder = Path(tempfile.mkdtemp(prefix=f"{target.name}.", dir=target.parent))
    try:
        hooks.prepare(str(folder), language.programs.tools)
        folder.chmod(0o755)
        folder.rename(target)
    except (OSError, subprocess.SubprocessError) as e:
        if not target.is_dir():
            raise RefusedError(f"{language.name} cannot be prepared: {e}") from e
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _key(language: Language) -> str:
    """Changes with the toolchain and with everything that the language's folder holds."""
    assert language.programs is not None
    digest = hashlib.sha256(language.programs.version.encode())
    for path in sorted(language.folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
