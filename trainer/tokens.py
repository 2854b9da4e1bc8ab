"""Makes rows fit a tokenizer: one start, one end, a clean seam and no cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.errors import InputError, PlumError
from orchestrator.sampling import prompts
from trainer.rows import Row


@dataclass(frozen=True)
class Fitted:
    """Rows as the trainer gets them, and how many were left out."""

    rows: list[Row]
    too_long: int  # over max_length tokens
    merged: int  # prompt and completion share a token, so training would not see what was sampled


def load_tokenizer(model: str, end_of_turn: str | None) -> Any:
    """The policy's tokenizer, whose end-of-sequence token is the end of a turn.

    Raises:
        InputError: it cannot be loaded, or `end_of_turn` is not one token of it.
    """
    try:
        tokenizer = prompts.load_tokenizer(model)
    except PlumError as e:
        raise InputError(f"model = {model!r}: {e}") from e
    if end_of_turn is not None:
        if len(tokenizer(end_of_turn, add_special_tokens=False)["input_ids"]) != 1:
            raise InputError(f"end_of_turn = {end_of_turn!r} is not one token of {model}")
        tokenizer.eos_token = end_of_turn
    if tokenizer.eos_token is None:
        raise InputError(f"model = {model!r}: its tokenizer has no end token; set end_of_turn")
    return tokenizer


def fit(rows: Sequence[Row], tokenizer: Any, max_length: int) -> Fitted:
    """Rows whose completions end with the end token and whose tokens are what was sampled.

    max_length: tokens of prompt and completion together.
    """
    kept = []
    too_long = merged = 0
    for row in rows:
        prompt = _with_one_start(row.prompt, tokenizer)
        completion = row.completion
        if not completion.endswith(tokenizer.eos_token):
            completion += tokenizer.eos_token
        head = _token_ids(tokenizer, prompt)
        whole = _token_ids(tokenizer, prompt + completion)
        if len(whole) > max_length:
            too_long += 1
        elif whole[: len(head)] != head:
            merged += 1
        else:
            kept.append(replace(row, prompt=prompt, completion=completion))
    return Fitted(kept, too_long, merged)


def _with_one_start(prompt: str, tokenizer: Any) -> str:
    """The prompt without a written start token where the tokenizer adds one itself.

    Chat templates write it and tokenizers add it; the policy was sampled with one.
    """
    bos = tokenizer.bos_token
    if bos and prompt.startswith(bos):
        ids = _token_ids(tokenizer, prompt)
        if ids[:2] == [tokenizer.bos_token_id] * 2:
            return prompt.removeprefix(bos)
    return prompt


def _token_ids(tokenizer: Any, text: str) -> list[int]:
    ids: list[int] = tokenizer(text)["input_ids"]
    return ids
