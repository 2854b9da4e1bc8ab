"""What every sampling back end is asked and answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypeAlias


@dataclass(frozen=True)
class PromptSpec:
    """One problem's prompt, as the policy is to see it, and how many samples are wanted."""

    problem_id: str
    text: str  # see `orchestrator.sampling.prompts` for how it is made
    seed: int  # of this problem, see `problem_seed`
    k: int  # samples, at least 1


@dataclass(frozen=True)
class SamplingSettings:
    """How to sample; the same for every prompt of a call."""

    temperature: float  # 0 is greedy
    max_new_tokens: int
    top_p: float = 1.0
    stop: tuple[str, ...] = ()  # a completion ends before the first of these


@dataclass(frozen=True)
class Sampled:
    """One completion: raw model text, without the end-of-turn token."""

    problem_id: str
    index: int  # from 0 to k - 1 within the problem
    text: str
    truncated: bool  # ended by max_new_tokens, not by the policy or a stop


@dataclass(frozen=True)
class Refused:
    """A problem that gets no samples, for the policy cannot take its prompt."""

    problem_id: str
    reason: str


Drawn: TypeAlias = Sampled | Refused


class Sampler(Protocol):
    """A policy that can be sampled."""

    def sample(
        self,
        prompts: Sequence[PromptSpec],
        settings: SamplingSettings,
        done: AbstractSet[str] = frozenset(),
    ) -> Iterator[Drawn]:
        """All k samples of every prompt whose problem id is not in `done`, or why there are none.

        The samples of a problem come one after the other, problems in any order. Lazily:
        what was yielded is finished, so a caller that stores it can be killed at any time.
        To go on, call again with the same `prompts` and what is stored whole in `done`:
        batches are made from all prompts, so the rest comes out as if nothing had happened.

        Raises:
            PlumError: the policy cannot be loaded or reached.
        """

    def close(self) -> None:
        """Frees what it holds: memory, processes, connections. Nothing is asked after it."""


def by_problem(drawn: Iterator[Drawn], k: int) -> Iterator[tuple[str, list[Sampled] | Refused]]:
    """Problem ids, each with its k samples as soon as the last of them is there, or its refusal."""
    for first in drawn:
        if isinstance(first, Refused):
            yield first.problem_id, first
        else:
            rest = islice(drawn, k - 1)
            yield first.problem_id, [first, *(one for one in rest if isinstance(one, Sampled))]


def problem_seed(run_seed: int, problem_id: str) -> int:
    """A seed in [0, 2**31) for one problem, independent of every other problem."""
    digest = hashlib.sha256(f"{run_seed}:{problem_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
