"""Doubts what holds whatever it is asked about: containers, texts, sets, classes with own rules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import chance, strangers
from .doubts import Real
from .drills import DrillingPeer
from .handles import Handle, is_handle

_CONTAINERS = frozenset({list, tuple, str, bytes, bytearray, set, frozenset, dict})
#: Questions to a class that decides itself what belongs to it, and classes to ask about.
KINSHIP = {"__instancecheck__", "__subclasscheck__"}
_TYPES = [int, str, list, type(None)]
#: Methods without effect that suites call with what they expect. Not `isdisjoint`, since a set of
#: what nobody asks for is disjoint with everything.
PREDICATES: dict[str, Callable[[Any], list[Any]]] = {
    "startswith": strangers.outlandish,
    "endswith": strangers.outlandish,
    "issuperset": strangers.with_a_stranger,
    "issubset": strangers.of_strangers,
}


class MembershipPeer(DrillingPeer):
    """Doubts `in`, methods such as `startswith`, and `isinstance`."""

    def _predicate(self, owner: Any, name: str, expected: Any) -> Any:
        """A method such as `startswith`; one that is true of everything is a liar's.

        What is a subset of everything is an honest empty set, or says that it is none.
        """

        def ask(value: Any) -> Any:
            return super(MembershipPeer, self).request("method", owner, name, (value,), ())

        wrong = [] if is_handle(expected) else PREDICATES[name](expected)
        answers, answer = [], None
        for value in chance.shuffled([Real(expected), *wrong]):
            if type(value) is Real:
                answer = ask(expected)
                if is_handle(answer):
                    answer = self._truth(answer)
            else:
                answers.append(self._says(self._drill(ask, value)) is True)
        question = type(owner), name, type(expected)
        if answer is not True:
            self.suspicions.deny(question)
        elif answers and all(answers) and (name != "issubset" or self._has_items(owner)):
            self._suspect(owner, question, f"says {name} of everything")
        return answer

    def _has_items(self, owner: Any) -> bool:
        length = self._quiet(owner, "__len__") if hasattr(type(owner), "__len__") else None
        return type(length) is int and length > 0

    def _membership(self, owner: Any, name: str, item: Any) -> bool:
        """`in`. An honest container may hold all that is near, an interval all numbers.

        Who says yes to everything of the same kind is asked about other kinds as well. That comes
        after the real question: an object that says no then is an honest interval, or as good.
        """
        like = [] if is_handle(item) else strangers.outlandish(item)
        odd = strangers.unlike(item)
        asked, later = (like, odd) if like else (odd, [])
        claims = type(owner)._plum_info.claims if issubclass(type(owner), Handle) else ()
        if like and _CONTAINERS.intersection(claims):  # what is in it is there by itself
            asked, later = [*like, *(n for n in odd if type(n) is int is type(item))], []
        answers, answer = [], False
        for value in chance.shuffled([Real(item), *asked]):
            if type(value) is Real:
                answer = self._truth(self._ask(owner, name, item))
                if not answer:
                    self.suspicions.deny((type(owner), name, object))
                    return False
            else:
                answers.append(self._says(self._quiet(owner, name, value)) is True)
        if all(answers) and all(self._says(self._quiet(owner, name, v)) is True for v in later):
            self._suspect(owner, (type(owner), name, object), "contains everything")
        return answer

    def _kinship(self, owner: Any, name: str, value: Any) -> bool:
        """Whether a class with rules of its own claims `value`, an object or a class."""
        kind = value if name == "__subclasscheck__" else type(value)
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            return self._truth(self._ask(owner, name, value))  # it could be one of its own
        if issubclass(kind, AssertionError):
            return False  # how the suite fails is nobody's to claim
        odd = _TYPES if name == "__subclasscheck__" else [None, *strangers.strangers()]
        answers = []
        for other in chance.shuffled([Real(value), *odd]):
            if type(other) is Real:
                answer = self._truth(self._ask(owner, name, value))
            else:
                answers.append(self._says(self._quiet(owner, name, other)))
        if answer and all(says is True for says in answers):
            self._tampered(f"the candidate's class {owner.__name__!r} claims every object")
        return answer
