"""What an object that equals a decoy may be, other than a liar.

An excuse must not help to guess. Of the values that an object is asked about the real one has a
random place, so that who says yes to one of them is right once in eight. An object that is equal
modulo g to what it is asked about is right once in g, whichever residue it picks: that is excused
where g is at least five. It is excused, too, where the real value is its own residue (0 <= v < g),
since then the object says no more than a plain number, its residue, would. Everything else that is
equal to some near values (a tolerance, a pattern, equality by length) a liar may say as well.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import chance, decoys, strangers

#: The smallest modulus that is excused whatever the real value is.
_MODULUS = 5
#: How far to both sides an object is asked that equals a number and another one near it.
_NEAR = 12


def is_excused(real: Any, said: list[tuple[Any, bool]], ask: Callable[[Any], bool]) -> bool:
    """Whether an honest object may say what was `said` of decoys of `real`, which it equals.

    said: near values of the same type, and whether the object says that it equals them.
    ask: whether it says so of another value.
    """
    is_number = decoys.is_number(real)
    if is_number and real >= 0:
        said = [(value, says) for value, says in said if value >= 0]  # some know of no others
    equal = [value for value, says in said if says]
    if not equal or not is_number:
        return not equal
    if all(value == -real for value in equal):
        return True  # equal without regard to the sign: the place of one more guess
    return _is_modular(real, said, ask)


def _is_modular(real: Any, said: list[tuple[Any, bool]], ask: Callable[[Any], bool]) -> bool:
    kind = type(real)
    least = -min(_NEAR, int(real)) if real >= 0 else -_NEAR
    offsets = [k for k in range(least, _NEAR + 1) if k and real + kind(k) != real]
    more = [real + kind(k) for k in chance.shuffled(offsets)]
    said = [*said, *((value, ask(value)) for value in more)]
    modulus = _modulus(real, min(abs(value - real) for value, says in said if says), ask)
    if modulus < _MODULUS and not 0 <= real < modulus:
        return False
    for value in strangers.far_multiples(real, modulus):
        said.append((value, ask(value)))
    return all(says is ((value - real) % modulus == 0) for value, says in said)


def _modulus(real: Any, multiple: Any, ask: Callable[[Any], bool]) -> Any:
    """The smallest part of `multiple` that makes no difference."""
    if type(multiple) is int:
        for part in range(_NEAR + 1, multiple // 2 + 1):
            if multiple % part == 0 and ask(real + part):
                return part
    return multiple
