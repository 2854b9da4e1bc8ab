"""Does not believe everything that a candidate's objects say.

Comparisons and sums with them are asked for together with decoys (`decoys`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from . import decoys
from .channel import PinnedChannel
from .handles import Handle, is_handle, payload_of, set_shadows, shadows_of
from .peer import Peer

#: Orderings, and what cannot hold together with each.
_ORDER = {
    "__lt__": ("__ge__", "__gt__"),
    "__le__": ("__gt__",),
    "__gt__": ("__le__", "__lt__"),
    "__ge__": ("__lt__",),
}
#: Arithmetic of which a result that hardly depends on the operand is a lie.
_SENSITIVE = {"__add__", "__radd__", "__sub__", "__rsub__", "__xor__", "__rxor__"}
_SCALING = {"__mul__", "__rmul__", "__truediv__", "__rtruediv__"}
#: Methods without effect that suites call with what they expect.
_PREDICATES = {"startswith", "endswith", "issubset", "issuperset", "isdisjoint"}
_ARITHMETIC = _SENSITIVE | {
    f"__{side}{name}__" for side in ("", "r") for name in ("mul", "truediv", "floordiv", "mod")
}
_PASSES_ON = _ARITHMETIC | {
    "__abs__",
    "__neg__",
    "__pos__",
    "__round__",
    "__float__",
    "__int__",
    "__pow__",
    "__index__",
    "__complex__",
    "__trunc__",
    "__floor__",
    "__ceil__",
}


class DoubtingPeer(Peer):
    """Asks like any peer. A lie ends the run through `tampered`."""

    def __init__(self, channel: PinnedChannel, tampered: Callable[[str], NoReturn]) -> None:
        super().__init__(channel, first_container=0)
        self._tampered = tampered

    def request(self, operation: str, *args: Any) -> Any:
        """As the base class; methods that say yes or no are asked with decoys."""
        if operation == "method" and args[1] in _PREDICATES and len(args[2]) == 1 and not args[3]:
            return self._predicate(args[0], args[1], args[2][0])
        return super().request(operation, *args)

    def _predicate(self, owner: Any, name: str, expected: Any) -> Any:
        """A method such as `startswith`; one that is true of everything is a lie."""

        def ask(value: Any) -> Any:
            return super(DoubtingPeer, self).request("method", owner, name, (value,), ())

        answers, answer = [], None
        wrong = [] if is_handle(expected) else decoys.chain(expected)
        for value in decoys.shuffled([_Real(expected), *wrong]):
            if type(value) is _Real:
                answer = ask(expected)
            else:
                try:
                    answers.append(ask(value) is True)
                except Exception:
                    answers.append(False)
        if answer is True and len(answers) > 2 and all(answers):
            self._lie(owner, f"says {name} of everything")
        return answer

    def special(self, owner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """As the base class, with decoys where an object could say what is wanted."""
        if len(args) == 1:
            if name in ("__eq__", "__ne__"):
                return self._equality(owner, name, args[0])
            if name == "__contains__":
                return self._membership(owner, args[0])
            if name in _ORDER:
                return self._order(owner, name, args[0])
            if name in _ARITHMETIC and decoys.is_operand(args[0]):
                return self._arithmetic(owner, name, args[0])
        value = super().special(owner, name, args, kwargs)
        shadows = _shadows(owner)
        if shadows is not None and name in _PASSES_ON:
            self._shade(value, [self._quiet(s, name, *args) for s in shadows], name)
        return value

    def _ask(self, owner: Any, name: str, *args: Any) -> Any:
        return super().special(owner, name, args, {})

    def _quiet(self, owner: Any, name: str, *args: Any) -> Any:
        """What a decoy gives; an exception counts as an answer of its own."""
        try:
            if is_handle(owner):
                return self._ask(owner, name, *args)
            return getattr(type(owner), name)(owner, *args)
        except Exception:
            return None

    def _equality(self, owner: Any, name: str, other: Any) -> Any:
        positive = name == "__eq__"
        info = type(owner)._plum_info  # classes and exceptions are compared by identity
        carried = (
            info.payload is not None
            and payload_of(owner) == other
            and type(other)
            in (
                info.payload,
                bool,
                int,
                float,
            )
        )
        if carried:
            return self._ask(owner, name, other)
        wrong = [] if is_handle(other) else decoys.chain(other)
        answer: Any = None
        # The candidate's own objects are not asked about numbers: those may be equal modulo some.
        strangers = decoys.strangers()[1:] if is_handle(other) else decoys.strangers()[:2]
        for value in decoys.shuffled([_Real(other), *wrong, *strangers]):
            if type(value) is _Real:
                answer = self._ask(owner, name, other)
                if answer is NotImplemented or self._truth(answer) is not positive:
                    return answer
            elif self._says(self._quiet(owner, name, value)) is positive:
                # Only a lie if it says the same of the real value, which may come later.
                answer = self._ask(owner, name, other) if answer is None else answer
                if answer is NotImplemented or self._truth(answer) is not positive:
                    return answer
                self._lie(owner, f"equals {value!r:.60} as well as {self._show(other)}")
        self._check_shadows(owner, name, other, positive)
        return answer

    def _membership(self, owner: Any, item: Any) -> Any:
        wrong = [] if is_handle(item) else decoys.chain(item)[:4]
        asked = decoys.shuffled([_Real(item), *wrong, *decoys.strangers()])
        answers, answer = [], None
        for value in asked:
            if type(value) is _Real:
                answer = self._ask(owner, "__contains__", item)
                if not self._truth(answer):
                    return answer
            else:
                answers.append(self._says(self._quiet(owner, "__contains__", value)))
        if all(a is True for a in answers):
            self._lie(owner, "contains everything")
        return answer

    def _order(self, owner: Any, name: str, other: Any) -> Any:
        ends = None if is_handle(other) else decoys.far(other)
        if ends is None:
            return self._ask(owner, name, other)
        answer, said, denied = None, [], []
        kind = type(owner)
        contraries = [n for n in _ORDER[name] if getattr(kind, n) is not getattr(object, n)]
        for value in decoys.shuffled([_Real(other), *ends, *map(_Contrary, contraries)]):
            if type(value) is _Real:
                answer = self._ask(owner, name, other)
                if answer is NotImplemented:
                    return answer
            elif type(value) is _Contrary:
                denied.append(self._says(self._quiet(owner, value.name, other)))
            else:
                said.append(self._says(self._quiet(owner, name, value)))
        if self._truth(answer) and (all(s is True for s in said) or True in denied):
            self._lie(owner, "is below and above everything")
        self._check_shadows(owner, name, other, True if self._truth(answer) else None)
        return answer

    def _arithmetic(self, owner: Any, name: str, operand: Any) -> Any:
        shadows, value = [], None
        for number in decoys.shuffled([_Real(operand), *decoys.operand_decoys(operand)]):
            if type(number) is _Real:
                value = self._ask(owner, name, operand)
            else:
                shadows.append(self._quiet(owner, name, number))
        inherited = _shadows(owner)
        if inherited is not None:
            shadows += [self._quiet(s, name, operand) for s in inherited]
        if value is not NotImplemented:
            self._shade(value, shadows, name)
        return value

    def _shade(self, value: Any, shadows: list[Any], name: str) -> None:
        """Lets a result remember what decoys would have given; a plain one is compared at once."""
        if issubclass(type(value), Handle):
            set_shadows(value, shadows)
        real, others = _carried(value), [_carried(s) for s in shadows]
        telling = name in _SENSITIVE or name not in _ARITHMETIC
        if name in _SCALING:  # nothing scaled stays nothing
            telling = decoys.is_operand(real) and bool(real)
        if telling and decoys.alike(others, real):
            self._tampered("an object of the candidate gives the same result whatever is asked")

    def _check_shadows(self, owner: Any, name: str, other: Any, positive: bool | None) -> None:
        shadows = _shadows(owner)
        if not shadows or positive is None:
            return
        if all(self._says(self._quiet(s, name, other)) is positive for s in shadows):
            self._lie(owner, "gives the same result whatever is asked")

    def _truth(self, value: Any) -> bool:
        return bool(value)

    def _says(self, value: Any) -> bool | None:
        if value is None or value is NotImplemented:
            return None
        try:
            return bool(value)
        except Exception:
            return None

    def _show(self, value: Any) -> str:
        return "the value of the candidate's own" if is_handle(value) else f"{value!r:.60}"

    def _lie(self, owner: Any, what: str) -> NoReturn:
        self._tampered(f"an object of the candidate's class {type(owner).__name__!r} {what}")


def _carried(value: Any) -> Any:
    """The number that an instance of a subclass of a number carries; other values as they are."""
    if issubclass(type(value), Handle) and type(value)._plum_info.payload is not None:
        return payload_of(value)
    return value


def _shadows(owner: Any) -> Any:
    return shadows_of(owner) if issubclass(type(owner), Handle) else None


class _Contrary:
    """Stands among decoys for another question about the real value."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class _Real:
    """Marks the real value among decoys."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value
