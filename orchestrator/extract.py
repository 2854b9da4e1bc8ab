"""From a completion to a candidate: finds the code in what a model wrote. Never raises."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.problem import Problem


@dataclass(frozen=True)
class Extraction:
    """A candidate's source, None where there is none, and how it was found."""

    source: str | None
    how: str


def extract_solution(problem: Problem, completion: str) -> Extraction:
    """The candidate in a completion for `problem`: continues its start code where there is one."""
    if problem.start_code is not None:
        return extract_continuation(problem.start_code, completion)
    return extract_candidate(completion, problem.language)


def extract_candidate(completion: str, language: str) -> Extraction:
    """The code in a completion that stands on its own: fenced, bare, or after prose."""
    raise NotImplementedError


def extract_continuation(prompt: str, completion: str) -> Extraction:
    """The code that comes of continuing `prompt` (Python) with a completion."""
    raise NotImplementedError
