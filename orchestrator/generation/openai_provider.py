"""A provider for any endpoint that speaks the OpenAI chat protocol."""

from __future__ import annotations

import json

import openai

from orchestrator.generation.client import endpoint_error, open_client
from orchestrator.generation.completions import REFUSED, Unreadable, read_completion, request_body
from orchestrator.generation.provider import Request, content_sha
from orchestrator.generation.retry import GaveUp, Repeater, describe
from orchestrator.problem import Problem
from orchestrator.recipe import GenerationSection
from orchestrator.store.answers import Answer


class OpenAIProvider:
    """Asks for one answer per request; repeats what may go better, with growing waits."""

    def __init__(self, settings: GenerationSection) -> None:
        self.concurrency = settings.concurrency
        self._settings = settings
        self._answered = False
        self._repeater = Repeater(settings.max_retries)
        self._client = open_client(settings)

    def request_sha(self, problem: Problem) -> str:
        """Of the request's body: where it is sent to does not matter."""
        return content_sha(request_body(self._settings, problem))

    def answer(self, request: Request) -> Answer | None:
        """One completion. An endpoint's refusal of this one request is an empty answer.

        Raises:
            ProviderError: no key, no such model, unreachable, or still failing after
                `max_retries` repetitions.
        """
        try:
            return self._repeater.call(lambda: self._ask(request))
        except openai.APIStatusError as e:
            if e.status_code in REFUSED and self._answered:
                return Answer(str(e)[:500], "refused")
            raise endpoint_error(self._client, self._settings, describe(e)) from e
        except GaveUp as e:
            raise endpoint_error(self._client, self._settings, str(e)) from e

    def close(self) -> None:
        """Ends waits and connections."""
        self._repeater.stop()
        self._client.close()

    def _ask(self, request: Request) -> Answer:
        # Raw, as the client passes on what it cannot read as if it were an answer.
        response = self._client.chat.completions.with_raw_response.create(
            **request_body(self._settings, request.problem),
            extra_headers={"Idempotency-Key": f"{request.sha}-{request.index}"},
        )
        try:
            answer = read_completion(json.loads(response.http_response.content))
        except (ValueError, RecursionError) as e:
            raise Unreadable("answered something that is not JSON") from e
        self._answered = True
        return answer
