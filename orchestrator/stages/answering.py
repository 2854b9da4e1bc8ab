"""Which answers a run lacks, and where they go when they come: what all providers share."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from orchestrator.generation.amount import answers_wanted
from orchestrator.generation.budget import Budget
from orchestrator.generation.cache import AnswerCache
from orchestrator.generation.provider import Request
from orchestrator.problem import Problem
from orchestrator.progress import Progress
from orchestrator.recipe import GenerationSection
from orchestrator.store.answers import Answer, add_answer, answered
from orchestrator.store.batches import forget_request, handed_in
from orchestrator.store.database import Database
from orchestrator.store.problems import problem_pages

_PAGE = 256


@dataclass(frozen=True)
class Answering:
    """One run's answers while they are gathered. For one thread."""

    db: Database
    settings: GenerationSection
    cache: AnswerCache | None
    budget: Budget
    bar: Progress
    counts: Counter[str] = field(default_factory=Counter)

    def missing(self, request_sha: Callable[[Problem], str]) -> Iterator[Request]:
        """The requests for answers that are neither stored nor on their way in a batch.

        What the cache holds is taken from there.
        """
        for page in problem_pages(self.db, _PAGE):
            for problem in page:
                sha = request_sha(problem)
                there = answered(self.db, sha) | handed_in(self.db, sha)
                wanted = answers_wanted(self.settings.answers_per_problem, problem.source)
                for index in sorted(set(range(wanted)) - there):
                    if not self._from_cache(problem, sha, index):
                        yield Request(problem, index, sha)

    def take(self, problem_id: str, request_sha: str, index: int, answer: Answer) -> None:
        """Stores an answer that was paid for just now."""
        cost_usd = self.budget.settle(problem_id, index, answer)
        if self.cache is not None and answer.finish_reason != "refused":
            self.cache.put(request_sha, index, answer)  # first: a kill in between costs nothing
        with self.db.transaction():
            add_answer(self.db, problem_id, request_sha, index, answer, cost_usd=cost_usd)
            forget_request(self.db, request_sha, index)
        self.bar.advance()

    def _from_cache(self, problem: Problem, request_sha: str, index: int) -> bool:
        answer = None if self.cache is None else self.cache.get(request_sha, index)
        if answer is None:
            return False
        add_answer(self.db, problem.id, request_sha, index, answer)
        self.counts["from the cache"] += 1
        self.bar.advance()
        return True
