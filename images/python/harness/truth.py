"""Does not believe everything that a candidate's objects say.

Comparisons and sums with them are asked for together with decoys (`decoys`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from . import chance, decoys, strangers
from .channel import PinnedChannel
from .decoys import is_number
from .doubts import Contrary, Deferred, Question, Real, Said, Shadows, kind_of
from .drills import noted
from .excuses import is_excused
from .handles import Handle, is_handle, payload_of, set_shadows
from .membership import KINSHIP, PREDICATES, MembershipPeer
from .places import Places, is_orderly

#: Orderings, and what cannot hold together with each.
_ORDER = {
    "__lt__": ("__ge__", "__gt__"),
    "__le__": ("__gt__",),
    "__gt__": ("__le__", "__lt__"),
    "__ge__": ("__lt__",),
}
#: Arithmetic by which suites ask whether two values are the same, or nearly. A result that hardly
#: depends on the operand is a lie. That of a sum or a product a liar would have to know.
_DIFFERENCES = {"__sub__", "__rsub__", "__xor__", "__rxor__"}
_RATIOS = {"__truediv__", "__rtruediv__"}
#: For sets: an object that is nothing has an honest difference, nothing, to every set.
_DIFFERENCES_OF_SETS = _DIFFERENCES - {"__sub__"}
_SETS = frozenset({set, frozenset})
_LISTS = frozenset({str, bytes, list, tuple})
_ARITHMETIC = {
    f"__{side}{name}__"
    for side in ("", "r")
    for name in ("add", "sub", "xor", "mul", "truediv", "floordiv", "mod")
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


class DoubtingPeer(MembershipPeer):
    """Doubts comparisons, arithmetic and what it gives as well."""

    def __init__(
        self,
        channel: PinnedChannel,
        tampered: Callable[[str], NoReturn],
        at_line: Callable[[], str],
    ) -> None:
        super().__init__(channel, tampered, at_line)
        self._places = Places()
        self._doubted: dict[str, Callable[[Any, str, Any], Any]] = {
            **dict.fromkeys(("__eq__", "__ne__"), self._equality),
            **dict.fromkeys(_ORDER, self._order),
            **dict.fromkeys(KINSHIP, self._kinship),
            "__contains__": self._membership,
        }

    def request(self, operation: str, *args: Any) -> Any:
        """As the base class; methods that say yes or no are asked with decoys."""
        if self._places.known and not (operation == "special" and args[1] in _COMPARISONS):
            self._places.known.clear()
        if operation == "method" and args[1] in PREDICATES and len(args[2]) == 1 and not args[3]:
            return self._predicate(args[0], args[1], args[2][0])
        value = super().request(operation, *args)
        if operation == "method" and args[1] == "all" and not args[2]:
            return self._derived(args[0], value, self._all)
        return value

    def _derived(self, owner: Any, value: Any, ask: Callable[[Any], Any]) -> Any:
        """`value`, which was made of a comparison's answer; the other answers give others."""
        deferred = noted(owner)
        if type(deferred) is not Deferred:
            return value
        answers = [(v, value if type(v) is Real else ask(a)) for v, a in deferred.answers]
        return self._conclude(answers, deferred.weigh)

    def _all(self, answer: Any) -> Any:
        try:
            return super().request("method", answer, "all", (), ())
        except Exception:
            return None

    def special(self, owner: Any, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """As the base class, with decoys where an object could say what is wanted."""
        if name == "__bool__" and type(deferred := noted(owner)) is Deferred:
            return self._settle(deferred)
        if len(args) == 1 and (ask := self._doubted.get(name)) is not None:
            return ask(owner, name, args[0])
        if len(args) == 1 and name in _ARITHMETIC and decoys.is_operand(args[0]):
            return self._arithmetic(owner, name, args[0])
        value = super().special(owner, name, args, kwargs)
        if name in ("__and__", "__rand__"):
            value = self._derived(owner, value, lambda a: self._quiet(a, name, *args))
        shadows = _shadows(owner)
        if shadows is not None and name in _PASSES_ON and (name, *args) != ("__pow__", 0):
            later = Shadows(self._quiet(s, name, *args) for s in shadows)
            later.ratio = shadows.ratio
            self._shade(value, later)
        return value

    def _equality(self, owner: Any, name: str, other: Any) -> Any:
        positive = name == "__eq__"
        info = type(owner)._plum_info  # classes and exceptions are compared by identity
        kinds = (info.payload, bool, int, float)
        if info.payload and payload_of(owner) == other and type(other) in kinds:
            return self._ask(owner, name, other)
        near = [] if is_handle(other) else decoys.chain(other)
        odd = strangers.strangers()[1 if is_handle(other) or is_number(other) else 0 :]
        answer, answers = self._asked(owner, name, other, [*near, *odd], not positive)
        if not answers:
            if answer is not NotImplemented:
                self._unequal(owner, positive, other)
            return answer

        def weigh(truth: bool, said: list[Said]) -> None:
            if truth is not positive:
                return self._unequal(owner, positive, other)
            self._weigh_equality(owner, name, other, said, near)
            self._check_shadows(owner, name, other, positive)

        return self._conclude(answers, weigh)

    def _weigh_equality(
        self, owner: Any, name: str, other: Any, said: list[Said], near: list[Any]
    ) -> None:
        positive = name == "__eq__"

        def ask_again(value: Any) -> bool:
            return self._says(self._quiet(owner, name, value)) is positive

        of_near = []
        for value, says in said:
            if any(value is n for n in near):
                of_near.append((value, says is positive))
            elif says is positive:
                self._lie(owner, self._as_well(value, other))
        if not is_excused(other, of_near, ask_again):
            equal = next(value for value, says in of_near if says)
            self._suspect(owner, _question(owner, other), self._as_well(equal, other))

    def _unequal(self, owner: Any, positive: bool, other: Any) -> None:
        """Takes note of a "no". One of `!=` counts if `==` says the same."""
        if positive or self._says(self._quiet(owner, "__eq__", other)) is False:
            self.suspicions.deny(_question(owner, other))

    def _as_well(self, value: Any, other: Any) -> str:
        return f"equals {value!r:.60} as well as {self._show(other)}"

    def _order(self, owner: Any, name: str, other: Any) -> Any:
        """What is above everything says no more than infinity does; but nothing is below, too."""
        below = name in ("__lt__", "__le__")
        if is_handle(other):
            return self._ask(owner, name, other)
        kind = type(owner)
        contraries = _contraries(kind, name, other)
        # An empty set is below every other; none is above every other.
        more = [] if below else strangers.with_a_stranger(other) if type(other) in _SETS else []
        points = decoys.thresholds(other)
        asked = [*more, *points, *map(Contrary, contraries)]
        answer, answers = self._asked(owner, name, other, asked, False)
        if not answers:
            if answer is not NotImplemented:
                self.suspicions.deny((kind, "order", kind_of(other)))
            return answer

        def weigh(truth: bool, said: list[Said]) -> None:
            question = kind, "order", kind_of(other)
            if not truth:
                return self.suspicions.deny(question)
            plain = [(v, says) for v, says in said if type(v) is not Contrary]
            if any(says for value, says in said if type(value) is Contrary):
                self._lie(owner, "is below and above the same value")
            if more and all(says is True for v, says in plain):
                self._suspect(owner, question, "is above every set")
            if points:
                self._weigh_places(owner, question, below, [(other, True), *plain])
            if below:  # a difference, too, may be above everything
                self._check_shadows(owner, name, other, True)

        return self._conclude(answers, weigh)

    def _weigh_places(self, owner: Any, question: Question, below: bool, said: list[Said]) -> None:
        what = "is now below and now above the same number"
        if not is_orderly(said):
            self._suspect(owner, question, what)
        elif not self._places.fits(owner, below, said):
            self._lie(owner, what)

    def _arithmetic(self, owner: Any, name: str, operand: Any) -> Any:
        differences = _DIFFERENCES if is_number(operand) else _DIFFERENCES_OF_SETS
        doubted = name in differences or (name in _RATIOS and is_number(operand))
        wrong = decoys.operand_decoys(operand) if doubted else []
        shadows, value = Shadows(), None
        for number in chance.shuffled([Real(operand), *wrong]):
            if type(number) is Real:
                value = self._ask(owner, name, operand)
            else:
                shadows.append(self._quiet(owner, name, number))
        shadows += [self._quiet(s, name, operand) for s in _shadows(owner) or ()]
        shadows.ratio = name in _RATIOS
        # What is multiplied by nothing, or divided by much, is nothing.
        if value is not NotImplemented and shadows and operand:
            self._shade(value, shadows)
        return value

    def _shade(self, value: Any, shadows: Shadows) -> None:
        """Lets a result remember what decoys would have given; a plain one is compared at once."""
        if issubclass(type(value), Handle):
            set_shadows(value, shadows)
        real, others = _carried(value), [_carried(s) for s in shadows]
        is_nothing = is_number(real) and not real
        if not (shadows.ratio and is_nothing) and decoys.alike(others, real):
            self._tampered("an object of the candidate gives the same result whatever is asked")

    def _check_shadows(self, owner: Any, name: str, other: Any, positive: bool) -> None:
        shadows = _shadows(owner)
        if not shadows or not decoys.is_operand(other) or (shadows.ratio and not other):
            return
        if all(self._says(self._quiet(s, name, other)) is positive for s in shadows):
            self._lie(owner, "gives the same result whatever is asked")


def _question(owner: Any, other: Any) -> Question:
    return type(owner), "__eq__", kind_of(other)


def _contraries(kind: Any, name: str, other: Any) -> list[str]:
    """Orderings that a class has, and that cannot hold together with `name`."""
    found = [n for n in _ORDER[name] if getattr(kind, n) is not getattr(object, n)]
    if type(other) in _LISTS and issubclass(kind, Handle):
        # A kind of text may be ordered by something else, and inherit the rest.
        return [n for n in found if n in kind._plum_info.own]
    return found


def _carried(value: Any) -> Any:
    """The number that an instance of a subclass of a number carries; other values as they are."""
    if issubclass(type(value), Handle) and type(value)._plum_info.payload is not None:
        return payload_of(value)
    return value


def _shadows(owner: Any) -> Any:
    found = noted(owner)
    return None if type(found) is Deferred else found
