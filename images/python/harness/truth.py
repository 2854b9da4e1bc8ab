"""Does not believe everything that a candidate's objects say.

Comparisons and sums with them are asked for together with decoys (`decoys`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from . import decoys
from .channel import PinnedChannel
from .decoys import is_number
from .doubts import Contrary, Deferred, Real, Said
from .handles import (
    ClassHandle,
    ExceptionHandle,
    Handle,
    is_handle,
    payload_of,
    set_shadows,
    shadows_of,
)
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
#: Kinds of which each value in them is there by itself.
_CONTAINERS = frozenset({list, tuple, str, bytes, bytearray, set, frozenset, dict})
#: Questions to a class that decides itself what belongs to it, and classes to ask about.
_KINSHIP = {"__instancecheck__", "__subclasscheck__"}
_TYPES = [int, str, list, type(None)]
#: Fewer decoys say nothing.
_FEW = 3
#: Methods without effect that suites call with what they expect.
_PREDICATES = {"startswith", "endswith", "issubset", "issuperset", "isdisjoint"}
_ARITHMETIC = _SENSITIVE | {
    f"__{side}{name}__" for side in ("", "r") for name in ("mul", "truediv", "floordiv", "mod")
}
#: What leaves an object as it was.
_COMPARISONS = {*_ORDER, "__eq__", "__ne__", "__bool__", "__len__"}
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
        #: By identity: an object, the largest number that it is above, and the smallest that it
        #: is below, since something else was asked for.
        self._places: dict[int, tuple[Any, Any, Any]] = {}
        self._doubted: dict[str, Callable[[Any, str, Any], Any]] = {
            **dict.fromkeys(("__eq__", "__ne__"), self._equality),
            **dict.fromkeys(_ORDER, self._order),
            **dict.fromkeys(_KINSHIP, self._kinship),
            "__contains__": self._membership,
        }

    def request(self, operation: str, *args: Any) -> Any:
        """As the base class; methods that say yes or no are asked with decoys."""
        if self._places and not (operation == "special" and args[1] in _COMPARISONS):
            self._places.clear()
        if operation == "method" and args[1] in _PREDICATES and len(args[2]) == 1 and not args[3]:
            return self._predicate(args[0], args[1], args[2][0])
        value = super().request(operation, *args)
        if operation == "method" and args[1] == "all" and not args[2]:
            return self._derived(args[0], value, self._all)
        return value

    def _derived(self, owner: Any, value: Any, ask: Callable[[Any], Any]) -> Any:
        """`value`, which was made of a comparison's answer; the other answers give others."""
        deferred = _noted(owner)
        if type(deferred) is not Deferred:
            return value
        answers = [(v, value if type(v) is Real else ask(a)) for v, a in deferred.answers]
        return self._conclude(answers, deferred.weigh)

    def _all(self, answer: Any) -> Any:
        try:
            return super().request("method", answer, "all", (), ())
        except Exception:
            return None

    def _predicate(self, owner: Any, name: str, expected: Any) -> Any:
        """A method such as `startswith`; one that is true of everything is a lie."""

        def ask(value: Any) -> Any:
            return super(DoubtingPeer, self).request("method", owner, name, (value,), ())

        answers, answer = [], None
        wrong = [] if is_handle(expected) else decoys.chain(expected)
        for value in decoys.shuffled([Real(expected), *wrong]):
            if type(value) is Real:
                answer = ask(expected)
                if is_handle(answer):
                    answer = self._truth(answer)
            else:
                try:
                    answers.append(self._says(ask(value)) is True)
                except Exception:
                    answers.append(False)
        if answer is True and len(answers) > 2 and all(answers):
            self._lie(owner, f"says {name} of everything")
        return answer

    def special(self, owner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """As the base class, with decoys where an object could say what is wanted."""
        if name == "__bool__" and type(deferred := _noted(owner)) is Deferred:
            return self._settle(deferred)
        if len(args) == 1 and (ask := self._doubted.get(name)) is not None:
            return ask(owner, name, args[0])
        if len(args) == 1 and name in _ARITHMETIC and decoys.is_operand(args[0]):
            return self._arithmetic(owner, name, args[0])
        value = super().special(owner, name, args, kwargs)
        if name in ("__and__", "__rand__"):
            value = self._derived(owner, value, lambda a: self._quiet(a, name, *args))
        shadows = _shadows(owner)
        if shadows is not None and name in _PASSES_ON:
            self._shade(value, [self._quiet(s, name, *args) for s in shadows], name)
        return value

    def _ask(self, owner: Any, name: str, *args: Any) -> Any:
        answer = super().special(owner, name, args, {})
        # Whether a class or an exception is true, it may say differently each time.
        return bool(answer) if isinstance(answer, ClassHandle | ExceptionHandle) else answer

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
        # The candidate's own objects are not asked about numbers: those may be equal modulo some.
        strangers = decoys.strangers()[1:] if is_handle(other) else decoys.strangers()[:2]
        answers = []
        for value in decoys.shuffled([Real(other), *wrong, *strangers]):
            if type(value) is Real:
                answer = self._ask(owner, name, other)
                if answer is NotImplemented or self._is_settled(answer, not positive):
                    return answer
                answers.append((value, answer))
            else:
                answers.append((value, self._quiet(owner, name, value)))

        def weigh(truth: bool, said: list[Said]) -> None:
            if truth is not positive:
                return
            for value, says in said:
                if says is positive:
                    self._lie(owner, f"equals {value!r:.60} as well as {self._show(other)}")
            self._check_shadows(owner, name, other, positive)

        return self._conclude(answers, weigh)

    def _membership(self, owner: Any, name: str, item: Any) -> bool:
        wrong = [] if is_handle(item) else decoys.chain(item)[:4]
        asked = decoys.shuffled([Real(item), *wrong, *decoys.strangers()])
        answers, answer = [], False
        for value in asked:
            if type(value) is Real:
                answer = self._truth(self._ask(owner, name, item))
                if not answer:
                    return False
            else:
                answers.append((value, self._says(self._quiet(owner, name, value))))
        # An interval holds all that is near; a kind of list, or of text, does not.
        near = [says for value, says in answers if any(value is w for w in wrong)]
        claims = type(owner)._plum_info.claims if issubclass(type(owner), Handle) else ()
        if len(near) < _FEW or not _CONTAINERS.intersection(claims):
            near = [says for _, says in answers]
        if all(says is True for says in near):
            self._lie(owner, "contains everything")
        return answer

    def _kinship(self, owner: Any, name: str, value: Any) -> bool:
        """Whether a class with rules of its own claims `value`, an object or a class."""
        kind = value if name == "__subclasscheck__" else type(value)
        if isinstance(kind, type) and issubclass(kind, AssertionError):
            return False  # how the suite fails is nobody's to claim
        strangers = _TYPES if name == "__subclasscheck__" else [None, *decoys.strangers()]
        answers = []
        for other in decoys.shuffled([Real(value), *strangers]):
            if type(other) is Real:
                answer = self._truth(self._ask(owner, name, value))
            else:
                answers.append(self._says(self._quiet(owner, name, other)))
        if answer and all(says is True for says in answers):
            self._tampered(f"the candidate's class {owner.__name__!r} claims every object")
        return answer

    def _order(self, owner: Any, name: str, other: Any) -> Any:
        below = name in ("__lt__", "__le__")
        # An empty set is below every other.
        unknown = is_handle(other) or (below and type(other) in (set, frozenset))
        ends = None if unknown else decoys.far(other)
        if ends is None:
            return self._ask(owner, name, other)
        answers: list[Said] = []
        kind = type(owner)
        contraries = [n for n in _ORDER[name] if getattr(kind, n) is not getattr(object, n)]
        asked = [Real(other), *ends, *decoys.thresholds(other), *map(Contrary, contraries)]
        for value in decoys.shuffled(asked):
            if type(value) is Real:
                answer = self._ask(owner, name, other)
                if answer is NotImplemented:
                    return answer
                answers.append((value, answer))
            elif type(value) is Contrary:
                answers.append((value, self._quiet(owner, value.name, other)))
            else:
                answers.append((value, self._quiet(owner, name, value)))

        def weigh(truth: bool, said: list[Said]) -> None:
            if not truth:
                return
            denied = any(says for value, says in said if type(value) is Contrary)
            plain = [(v, says) for v, says in said if type(v) is not Contrary]
            if denied or all(says is True for v, says in plain if v in ends):
                self._lie(owner, "is below and above everything")
            if is_number(other):
                self._place(owner, below, [(other, True), *plain])
            self._check_shadows(owner, name, other, True)

        return self._conclude(answers, weigh)

    def _place(self, owner: Any, below: bool, said: list[Said]) -> None:
        """What an object said of numbers must be true of one number at least."""
        yes = [value for value, says in said if says is True]
        no = [value for value, says in said if says is False]
        if not no or (min(yes) > max(no) if below else max(yes) < min(no)):
            # It has not changed since it was asked last: nothing else was asked for meanwhile.
            _, low, high = self._places.get(id(owner), (owner, None, None))
            if below:
                high = min(yes) if high is None else min(high, *yes)
            else:
                low = max(yes) if low is None else max(low, *yes)
            self._places[id(owner)] = owner, low, high
            if low is None or high is None or low <= high:
                return
        elif min(no) > max(yes) if below else max(no) < min(yes):
            return  # the other way round: its own idea of an order
        self._lie(owner, "is now below and now above the same number")

    def _conclude(self, answers: list[Said], weigh: Callable[[bool, list[Said]], None]) -> Any:
        """The real answer. Where it may say of itself whether it is true, that is asked for, and
        weighed, when the suite does."""
        real = next(answer for value, answer in answers if type(value) is Real)
        deferred = Deferred(answers, weigh)
        if self._is_plain(real):
            self._settle(deferred)
        else:
            set_shadows(real, deferred)
        return real

    def _settle(self, deferred: Deferred) -> bool:
        """Whether the real answer is true. Each is asked once, and none stands out."""
        if deferred.truth is None:
            said = []
            for value, answer in deferred.answers:
                if type(value) is Real:
                    deferred.truth = self._truth(answer)
                else:
                    said.append((value, self._says(answer)))
            assert deferred.truth is not None
            deferred.weigh(deferred.truth, said)
        return bool(deferred.truth)

    def _is_settled(self, answer: Any, truth: bool) -> bool:
        return self._is_plain(answer) and self._truth(answer) is truth

    def _is_plain(self, answer: Any) -> bool:
        """Whether it cannot be true when it is asked once, and false when it is asked again."""
        if not issubclass(type(answer), Handle):
            return True
        info = type(answer)._plum_info
        return info.payload is not None and "__bool__" in info.methods - info.own

    def truth(self, owner: Any) -> bool:
        """As the base class; what a comparison gave is weighed now."""
        deferred = _noted(owner)
        return self._settle(deferred) if type(deferred) is Deferred else super().truth(owner)

    def _arithmetic(self, owner: Any, name: str, operand: Any) -> Any:
        shadows, value = [], None
        for number in decoys.shuffled([Real(operand), *decoys.operand_decoys(operand)]):
            if type(number) is Real:
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
        """As `bool`, but always asked for."""
        if not issubclass(type(value), Handle):
            return bool(value)
        info = type(value)._plum_info
        if "__bool__" not in info.methods:
            return super().truth(value)
        if info.payload is not None and "__bool__" not in info.own:
            return bool(payload_of(value))
        said = self._ask(value, "__bool__")
        if type(said) is not bool:
            raise TypeError(f"__bool__ should return bool, returned {type(said).__name__}")
        return said

    def _says(self, value: Any) -> bool | None:
        if value is None or value is NotImplemented:
            return None
        try:
            return self._truth(value)
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


def _noted(owner: Any) -> Any:
    return shadows_of(owner) if issubclass(type(owner), Handle) else None


def _shadows(owner: Any) -> Any:
    found = _noted(owner)
    return None if type(found) is Deferred else found
