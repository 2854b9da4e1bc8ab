"""What `truth` notes down while it asks a candidate's object about several values at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: What was asked about, and what the answer was.
Said = tuple[Any, Any]


class Real:
    """Marks the real value among decoys."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


class Contrary:
    """Stands among decoys for another question about the real value."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


@dataclass(slots=True)
class Deferred:
    """What a comparison was answered with, in the order of the questions."""

    answers: list[Said]
    #: Takes the truth of the real answer and of the others; raises where it is that of a liar.
    weigh: Callable[[bool, list[Said]], None]
    truth: bool | None = None
