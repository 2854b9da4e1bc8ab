"""What answers cost, and the bound on it, which is never passed.

A request is let through only if the run stays within the bound even should it cost the most it
can: a token for every byte of its prompt, and as many tokens of answer as it allows.
"""

from __future__ import annotations

from orchestrator.errors import BudgetError
from orchestrator.generation.prompt import messages
from orchestrator.problem import Problem
from orchestrator.recipe import GenerationSection
from orchestrator.store.answers import Answer

#: For what a chat template adds to the messages.
_TEMPLATE_TOKENS = 64
_MILLION = 1e6


class Budget:
    """Money of one run. For one thread. spent_usd: by earlier starts of the run."""

    def __init__(self, settings: GenerationSection, spent_usd: float) -> None:
        self._settings = settings
        self.spent_usd = spent_usd
        #: What the requests under way may cost, by who asked.
        self._reserved: dict[tuple[str, int], float] = {}
        self._reserved_usd = 0.0

    def admit(self, problem: Problem, index: int) -> bool:
        """Whether there is money for an answer; if so it is set aside until `settle`."""
        bound = self._settings.max_cost_usd
        most_usd = self._most_usd(problem)
        if bound is not None and self.spent_usd + self._reserved_usd + most_usd > bound:
            return False
        self.reserve(problem, index)
        return True

    def reserve(self, problem: Problem, index: int) -> None:
        """Sets money aside for an answer that is asked for already."""
        most_usd = self._most_usd(problem)
        self._reserved[problem.id, index] = most_usd
        self._reserved_usd += most_usd

    def settle(self, problem_id: str, index: int, answer: Answer | None) -> float:
        """What an answer has cost, in US dollars; a request without one costs nothing."""
        most_usd = self._reserved.pop((problem_id, index), 0.0)
        # From the start where nothing is left, so that no rounding adds up.
        self._reserved_usd = self._reserved_usd - most_usd if self._reserved else 0.0
        if answer is None or answer.finish_reason == "refused":
            return 0.0
        if answer.prompt_tokens or answer.completion_tokens:
            cost = self._cost(answer.prompt_tokens, answer.completion_tokens)
        else:
            cost = most_usd  # the endpoint does not say: the bound must hold all the same
        self.spent_usd += cost
        return cost

    def error(self, problem: Problem) -> BudgetError:
        """Why `problem` cannot be asked about."""
        return BudgetError(
            f"generation: {self.spent_usd:.6f} USD are spent, the next answer may cost"
            f" {self._most_usd(problem):.6f} USD, and max_cost_usd = {self._settings.max_cost_usd};"
            " raise the bound in the recipe and run the same command with it to go on"
        )

    def _most_usd(self, problem: Problem) -> float:
        settings = self._settings
        if not (
            settings.usd_per_million_prompt_tokens or settings.usd_per_million_completion_tokens
        ):
            return 0.0
        size = sum(len(m["content"].encode("utf-8", "replace")) for m in messages(problem))
        return self._cost(size + _TEMPLATE_TOKENS, self._settings.max_tokens)

    def _cost(self, prompt_tokens: int, completion_tokens: int) -> float:
        prompt_usd = prompt_tokens * self._settings.usd_per_million_prompt_tokens
        completion_usd = completion_tokens * self._settings.usd_per_million_completion_tokens
        return (prompt_usd + completion_usd) / _MILLION
