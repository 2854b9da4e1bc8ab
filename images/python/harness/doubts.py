"""What `truth` notes down while it asks a candidate's object about several values at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: What was asked about, and what the answer was.
Said = tuple[Any, Any]
#: A class, a question to its objects, and the type of what they were asked about.
Question = tuple[Any, str, type]


def kind_of(value: Any) -> type:
    """Its type; the same for numbers of all types."""
    return float if type(value) in (int, bool) else type(value)


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


class Shadows(list[Any]):
    """What decoys would have given instead of a result."""

    #: Whether the result is a ratio: nothing divided stays nothing, by whatever.
    ratio = False


@dataclass(slots=True)
class Deferred:
    """What a comparison was answered with, in the order of the questions."""

    answers: list[Said]
    #: Takes the truth of the real answer and of the others; raises where it is that of a liar.
    weigh: Callable[[bool, list[Said]], None]
    truth: bool | None = None


class Suspicions:
    """Answers that an honest object may give, and one that says yes to everything gives too.

    An object that is equal to whole numbers of a range, a pattern that matches every word, the
    complement of a set: suites of such classes ask for what is *not* so as well. One "no" to the
    suite's own question, before or after, clears the class of suspicion in that question; what
    says nothing but yes until the suite has passed is a liar.
    """

    def __init__(self) -> None:
        self._denied: set[Question] = set()
        self._open: dict[Question, str] = {}

    def deny(self, question: Question) -> None:
        """Takes note of a "no" to the suite's own question."""
        self._denied.add(question)
        self._open.pop(question, None)

    def note(self, question: Question, what: str) -> None:
        """Takes note of a "yes" that says nothing."""
        if question not in self._denied:
            self._open.setdefault(question, what)

    def first(self) -> str | None:
        """What remains to be said against the candidate."""
        return next(iter(self._open.values()), None)
