"""Folders that a user names."""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import InputError


def make_folder(folder: Path) -> None:
    """Makes `folder` and those above it, where they are not there yet.

    Raises:
        InputError: it cannot be there, or may not be made.
        OSError: anything else that is in the way, such as a full disk.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, FileNotFoundError, NotADirectoryError, PermissionError) as e:
        raise InputError(f"{folder}: this folder cannot be made: {e.strerror}") from e
