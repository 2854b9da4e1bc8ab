"""How many answers a problem gets."""

from __future__ import annotations

#: As in the paper: what Evol-Instruct asks for is harder, so that fewer of the answers hold.
_BY_SOURCE = {"evol_instruct": 6}
_DEFAULT = 3


def answers_wanted(answers_per_problem: int | None, source: str) -> int:
    """Of one problem.

    answers_per_problem: as the recipe says; None takes the default of the problem's source.
    """
    return _BY_SOURCE.get(source, _DEFAULT) if answers_per_problem is None else answers_per_problem
