"""The languages that can be served: the folders of `images/` that hold a language.toml."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sandbox_server.errors import StartupError

#: Beside this package in a checkout and in an installation alike.
IMAGES = Path(__file__).resolve().parents[1] / "images"


@dataclass(frozen=True)
class Language:
    """A language and the folder that defines it."""

    name: str
    folder: Path


def known_languages(images: Path = IMAGES) -> list[Language]:
    """Every language there is a folder for, by name."""
    return [
        Language(definition.parent.name, definition.parent)
        for definition in sorted(images.glob("*/language.toml"))
    ]


#: In the place of names: every language there is a folder for.
ALL = "all"


def choose_languages(
    wanted: Sequence[str], images: Path = IMAGES, *, may_lack: bool = False
) -> list[Language]:
    """The languages called `wanted`, in that order.

    may_lack: leave out those that are unknown, unless all are.

    Raises:
        StartupError: one of them is unknown, named twice, or none is wanted.
    """
    known = {language.name: language for language in known_languages(images)}
    if list(wanted) == [ALL]:
        return list(known.values())
    if not wanted:
        raise StartupError("no language to serve; known: " + (", ".join(known) or "none"))
    unknown = [name for name in wanted if name not in known]
    if unknown and (not may_lack or len(unknown) == len(wanted)):
        names = ", ".join(map(repr, unknown))
        raise StartupError(f"unknown language {names}; known: {', '.join(known) or 'none'}")
    wanted = [name for name in wanted if name in known]
    for name in wanted:
        if list(wanted).count(name) > 1:
            raise StartupError(f"language {name!r} is named twice")
    return [known[name] for name in wanted]
