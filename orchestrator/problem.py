"""A problem: an instruction and what belongs to it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """What a policy is asked to solve.

    `start_code` is code that a solution begins from or completes; where it equals
    `instruction` (as in HumanEval), the problem is to complete that code and nothing else.
    """

    id: str
    instruction: str
    language: str
    start_code: str | None
    entry_point: str | None  # the function or class that a suite calls
    source: str  # where it came from, for example "oss_instruct" or a file name
