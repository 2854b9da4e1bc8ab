"""Prompts say what is asked, in the form that the policy expects."""

from __future__ import annotations

from orchestrator.problem import Problem
from orchestrator.sampling.prompts import plain_prompt, renderer, user_message
from orchestrator.sampling.sampler import problem_seed

CODE = "def f(x):\n"


def problem(instruction: str, start_code: str | None = None) -> Problem:
    return Problem("p", instruction, "python", start_code, None, "test")


def test_an_instruction_alone_is_passed_on() -> None:
    assert user_message(problem("Do it.")) == "Do it."
    assert plain_prompt(problem("Do it.")) == "Do it.\n"


def test_start_code_is_shown_with_the_instruction() -> None:
    assert user_message(problem("Do it.", CODE)).endswith("```python\ndef f(x):\n```")
    assert plain_prompt(problem("Do it.", CODE)) == f"Do it.\n\n{CODE}"


def test_code_to_complete_is_the_whole_prompt_of_a_base_model() -> None:
    assert plain_prompt(problem(CODE, CODE)) == CODE
    assert user_message(problem(CODE, CODE)).count("def f(x):") == 1


def test_an_endpoint_is_sent_the_bare_message() -> None:
    assert renderer("openai", "chat", "served")(problem("Do it.")) == "Do it."


def test_seeds_of_problems_are_stable_and_apart() -> None:
    seeds = {problem_seed(1, str(i)) for i in range(1000)}
    assert len(seeds) == 1000
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert problem_seed(1, "p") == problem_seed(1, "p") != problem_seed(2, "p")
