"""From a problem to the prompt that a policy sees."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from orchestrator.errors import InputError, PlumError, one_line
from orchestrator.problem import Problem
from orchestrator.sampling.sampler import PromptSpec, Refused, SamplingSettings

Render = Callable[[Problem], str]


def user_message(problem: Problem) -> str:
    """What a user would write to ask for a solution of `problem`."""
    if problem.start_code is None:
        return problem.instruction
    code = problem.start_code.rstrip("\n")
    if problem.start_code == problem.instruction:
        return (
            f"Complete this {problem.language} code. Answer with the whole of it, completed, "
            f"in one fenced code block.\n\n```{problem.language}\n{code}\n```"
        )
    return f"{problem.instruction}\n\nStart from this code:\n\n```{problem.language}\n{code}\n```"


def plain_prompt(problem: Problem) -> str:
    """A prompt for a base model, which goes on where the text ends."""
    if problem.start_code is None:
        return problem.instruction.rstrip("\n") + "\n"
    if problem.start_code == problem.instruction:
        return problem.start_code
    return f"{problem.instruction.rstrip()}\n\n{problem.start_code}"


def chat_prompt(model: str) -> Render:
    """Renders problems with the chat template of the tokenizer of `model`, ready to be answered.

    Raises:
        PlumError: there is no tokenizer, or it has no chat template.
    """
    tokenizer = load_tokenizer(model)
    if not tokenizer.chat_template:
        raise PlumError(
            f"the tokenizer of {model!r} has no chat template; use prompt_style = 'plain'"
        )

    def render(problem: Problem) -> str:
        messages = [{"role": "user", "content": user_message(problem)}]
        return str(
            tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        )

    return render


def renderer(backend: str, prompt_style: str, model: str) -> Render:
    """How problems are rendered for a back end and a prompt style ("chat" or "plain").

    An OpenAI-compatible chat endpoint applies its model's template itself: it is sent the
    bare user message.

    Raises:
        PlumError: as for `chat_prompt`.
    """
    if prompt_style == "plain":
        return plain_prompt
    return user_message if backend == "openai" else chat_prompt(model)


def load_tokenizer(model: str) -> Any:
    """The tokenizer of a model folder or hub name.

    Raises:
        InputError: the model is a folder that is not there.
        PlumError: transformers is missing, or there is no such tokenizer.
    """
    if model.startswith((".", "/")) and not Path(model).is_dir():
        raise InputError(f"the policy {model!r}: no such folder")
    try:
        from transformers import AutoTokenizer
    except ImportError as e:
        raise PlumError(
            f"{e.name} is not installed: pip install 'plum-code[train]' brings it"
        ) from e
    try:
        return AutoTokenizer.from_pretrained(model)
    except (OSError, ValueError) as e:
        raise PlumError(f"cannot load the tokenizer of {model!r}: {one_line(e)}") from e


def encode(
    tokenizer: Any, spec: PromptSpec, settings: SamplingSettings, context: int | None
) -> list[int] | Refused:
    """The tokens of a prompt, with one BOS where the tokenizer has one.

    Refused where there are none, or none would be left for the completion.

    context: tokens that the model can see; None where it does not say.
    """
    special = adds_special_tokens(tokenizer, spec.text)
    ids: list[int] = tokenizer(spec.text, add_special_tokens=special)["input_ids"]
    if not ids:
        return Refused(spec.problem_id, "the prompt has no tokens")
    if context is not None and len(ids) + settings.max_new_tokens > context:
        return Refused(
            spec.problem_id,
            f"prompt of {len(ids)} tokens and max_new_tokens={settings.max_new_tokens} "
            f"are over the model's context of {context}",
        )
    return ids


def adds_special_tokens(tokenizer: Any, prompt: str) -> bool:
    """Whether tokenizing `prompt` is to add a BOS: not where a template has written one already."""
    return not (tokenizer.bos_token and prompt.startswith(tokenizer.bos_token))
