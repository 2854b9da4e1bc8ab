"""What is sent to an endpoint and what comes back, as plain data: equal for chats and batches."""

from __future__ import annotations

from typing import Any

from orchestrator.generation.prompt import messages
from orchestrator.problem import Problem
from orchestrator.recipe import GenerationSection
from orchestrator.store.answers import Answer

#: Statuses that say "not this request": it can never be answered, others can.
REFUSED = frozenset({400, 413, 422})


class Unreadable(Exception):
    """An answer that is none, for example a proxy's error page; the next one may be."""


def request_body(settings: GenerationSection, problem: Problem) -> dict[str, Any]:
    """The body of a request for one answer."""
    return {
        "model": settings.model,
        "messages": messages(problem),
        "temperature": settings.temperature,
        "max_tokens": settings.max_tokens,
    }


def read_completion(data: Any) -> Answer:
    """The first choice of a chat completion.

    Raises:
        Unreadable: it is something else.
    """
    try:
        choice = data["choices"][0]
        text = choice["message"]["content"]
        reason = choice.get("finish_reason")
        usage = data.get("usage") or {}
        tokens = [usage.get("prompt_tokens"), usage.get("completion_tokens")]
    except (AttributeError, IndexError, KeyError, TypeError) as e:
        raise Unreadable("answered something that is not a chat completion") from e
    if text is not None and not isinstance(text, str):
        raise Unreadable("answered a chat completion without text")
    prompt, completion = (n if type(n) is int and n >= 0 else 0 for n in tokens)
    return Answer(text or "", str(reason or "unknown"), prompt, completion)
