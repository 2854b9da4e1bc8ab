"""Errors of the orchestrator.

::

    PlumError                 anything a user can be told in one line; exit 1
    ├── InputError            bad input: names file, line, field, value, bound; exit 2
    ├── SandboxError          the sandbox cannot be reached or refuses to start; exit 3
    └── BudgetError           the recipe's bound on the cost is reached; exit 4
"""

from __future__ import annotations

#: Characters of what a library says of its failure, which can be a page.
_LONGEST_REASON = 500


def one_line(error: BaseException) -> str:
    """What an error of a library says, for a message of ours: one line, and never none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


class PlumError(Exception):
    """A failure that is explained in one line and needs no traceback."""

    exit_code = 1


class InputError(PlumError):
    """Bad input: a file, a row, a recipe, an option. The message says where and what is allowed."""

    exit_code = 2


class SandboxError(PlumError):
    """The sandbox cannot be reached, or refuses to start. Never a verdict."""

    exit_code = 3


class BudgetError(PlumError):
    """The recipe's bound on what answers may cost is reached. What was paid for is kept."""

    exit_code = 4
