"""Where an object is among the numbers, by what it says of its order."""

from __future__ import annotations

from typing import Any

from .doubts import Said


class Places:
    """What an object says of numbers must be true of one number at least."""

    def __init__(self) -> None:
        #: By identity: an object, the largest number that it is above, and the smallest that it
        #: is below, since something else was asked for.
        self.known: dict[int, tuple[Any, Any, Any]] = {}

    def fits(self, owner: Any, below: bool, said: list[Said]) -> bool:
        """Whether it may be below (above) these numbers, after what it said before.

        It has not changed since it was asked last: nothing else was asked for meanwhile.
        """
        yes, no = _split(said)
        if no and (max(no) > min(yes) if below else min(no) < max(yes)):
            return True  # an idea of its own of an order
        _, low, high = self.known.get(id(owner), (owner, None, None))
        if below:
            high = min(yes) if high is None else min(high, *yes)
        else:
            low = max(yes) if low is None else max(low, *yes)
        self.known[id(owner)] = owner, low, high
        return low is None or high is None or bool(low <= high)


def is_orderly(said: list[Said]) -> bool:
    """Whether it says the same of all numbers on one side, whichever, and otherwise on the other."""
    yes, no = _split(said)
    return not no or bool(min(yes) > max(no) or max(yes) < min(no))


def _split(said: list[Said]) -> tuple[list[Any], list[Any]]:
    yes = [value for value, says in said if says is True]
    return yes, [value for value, says in said if says is False]
