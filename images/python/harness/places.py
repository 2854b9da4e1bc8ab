"""Where an object is among the numbers, by what it says of its order."""

from __future__ import annotations

from typing import Any

from .doubts import Said


class Places:
    """What objects say of numbers must be true of one number at least."""

    def __init__(self) -> None:
        #: By identity: an object, the largest number that it is above, and the smallest that it
        #: is below, since something else was asked for.
        self.known: dict[int, tuple[Any, Any, Any]] = {}

    def fits(self, owner: Any, below: bool, said: list[Said]) -> bool:
        """Whether `owner` may be below (above) these numbers, after what it said before."""
        yes = [value for value, says in said if says is True]
        no = [value for value, says in said if says is False]
        if not no or (min(yes) > max(no) if below else max(yes) < min(no)):
            # It has not changed since it was asked last: nothing else was asked for meanwhile.
            _, low, high = self.known.get(id(owner), (owner, None, None))
            if below:
                high = min(yes) if high is None else min(high, *yes)
            else:
                low = max(yes) if low is None else max(low, *yes)
            self.known[id(owner)] = owner, low, high
            return low is None or high is None or bool(low <= high)
        # The other way round, it has an idea of its own of an order.
        return bool(min(no) > max(yes) if below else max(no) < min(yes))
