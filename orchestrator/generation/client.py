"""The openai package's client, set up as the recipe says."""

from __future__ import annotations

import os

import openai

from orchestrator.generation.provider import ProviderError
from orchestrator.recipe import GenerationSection


def open_client(settings: GenerationSection) -> openai.OpenAI:
    """A client that repeats nothing by itself; see `retry`. Connects to nothing yet.

    Raises:
        ProviderError: the settings are of no use to it.
    """
    try:
        return openai.OpenAI(
            base_url=settings.base_url,
            # Local servers want none, but the client insists on one.
            api_key=os.environ.get(settings.api_key_env) or "none",
            max_retries=0,
            timeout=settings.timeout_s,
        )
    except openai.OpenAIError as e:
        raise ProviderError(f"generation: {e}") from e


def endpoint_error(
    client: openai.OpenAI, settings: GenerationSection, reason: str
) -> ProviderError:
    """An error that says which endpoint and model it is about."""
    return ProviderError(
        f"generation: {settings.base_url or client.base_url} ({settings.model}): {reason}"
    )
