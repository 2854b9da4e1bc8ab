"""A provider for any endpoint that speaks the OpenAI chat protocol."""

from __future__ import annotations

import os
import random
import threading
from typing import Any

import openai

from orchestrator.generation.prompt import messages
from orchestrator.generation.provider import ProviderError, Request, content_sha
from orchestrator.problem import Problem
from orchestrator.recipe import GenerationSection
from orchestrator.store.answers import Answer

#: Seconds before the first repetition; doubled each time up to the second figure.
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0
#: Statuses that say "not this request": it can never be answered, others can.
_REFUSED = frozenset({400, 413, 422})
_REPEAT = frozenset({408, 409, 425, 429})


class OpenAIProvider:
    """Asks for one answer per request; repeats what may go better, with growing waits."""

    def __init__(self, settings: GenerationSection) -> None:
        self.concurrency = settings.concurrency
        self._settings = settings
        self._stopped = threading.Event()
        self._answered = False
        try:
            self._client = openai.OpenAI(
                base_url=settings.base_url,
                # Local servers want none, but the client insists on one.
                api_key=os.environ.get(settings.api_key_env) or "none",
                max_retries=0,  # ours below knows which answers to repeat
                timeout=settings.timeout_s,
            )
        except openai.OpenAIError as e:
            raise ProviderError(f"generation: {e}") from e

    def request_sha(self, problem: Problem) -> str:
        """Of the request's body: where it is sent to does not matter."""
        return content_sha(self._body(problem))

    def answer(self, request: Request) -> Answer | None:
        """One completion. An endpoint's refusal of this one request is an empty answer.

        Raises:
            ProviderError: no key, no such model, unreachable, or still failing after
                `max_retries` repetitions.
        """
        wait_s = _FIRST_WAIT_S
        for attempt in range(self._settings.max_retries + 1):
            try:
                return self._ask(request)
            except (openai.APIConnectionError, openai.APIResponseValidationError, _Garbage) as e:
                reason, asked_s = _reason(e), None
            except openai.APIStatusError as e:
                if e.status_code in _REFUSED and self._answered:
                    return Answer(str(e)[:500], "refused")
                if e.status_code < 500 and e.status_code not in _REPEAT:
                    raise self._error(_reason(e)) from e
                reason, asked_s = _reason(e), _retry_after_s(e)
            last = attempt == self._settings.max_retries
            # Spread, so that requests which failed together do not come back together.
            pause_s = max(asked_s or 0.0, wait_s * random.uniform(0.5, 1.0))
            if last or self._stopped.wait(min(pause_s, _LONGEST_WAIT_S)):
                break
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
        self._stopped.set()  # the others need not go on waiting for the same endpoint
        raise self._error(f"{reason}, {attempt + 1} times")

    def close(self) -> None:
        """Ends waits and connections."""
        self._stopped.set()
        self._client.close()

    def _body(self, problem: Problem) -> dict[str, Any]:
        return {
            "model": self._settings.model,
            "messages": messages(problem),
            "temperature": self._settings.temperature,
            "max_tokens": self._settings.max_tokens,
        }

    def _ask(self, request: Request) -> Answer:
        try:
            response: Any = self._client.chat.completions.create(
                **self._body(request.problem),
                extra_headers={"Idempotency-Key": f"{request.sha}-{request.index}"},
            )
            choice = response.choices[0]
            text = choice.message.content or ""
            usage = response.usage
            answer = Answer(
                text,
                choice.finish_reason or "unknown",
                usage.prompt_tokens if usage else 0,
                usage.completion_tokens if usage else 0,
            )
        except (AttributeError, IndexError, TypeError, ValueError) as e:
            # A proxy's error page with status 200, for example: the client passes it on.
            raise _Garbage("answered something that is not a chat completion") from e
        self._answered = True
        return answer

    def _error(self, reason: str) -> ProviderError:
        where = self._settings.base_url or str(self._client.base_url)
        return ProviderError(f"generation: {where} ({self._settings.model}): {reason}")


class _Garbage(Exception):
    """An answer that cannot be read; the next one may."""


def _reason(error: openai.APIError | _Garbage) -> str:
    if isinstance(error, openai.APIStatusError):
        text = " ".join(str(error.message).split())
        return f"status {error.status_code}: {text[:300]}"
    cause = error.__cause__
    detail = f" ({cause})" if cause is not None and str(cause) else ""
    return f"{str(error).rstrip('.')}{detail}"


def _retry_after_s(error: openai.APIStatusError) -> float | None:
    try:
        return float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return None
