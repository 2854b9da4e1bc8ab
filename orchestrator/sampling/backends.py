"""Opens the sampling back end that a recipe or a command names."""

from __future__ import annotations

import os
from collections.abc import Sequence

from orchestrator.errors import InputError
from orchestrator.sampling.sampler import Sampler

BACKENDS = ("transformers", "openai", "vllm")

#: What endpoints that ask for no key are sent, for the client library insists on one.
_NO_KEY = "none"


def open_sampler(
    backend: str,
    model: str,
    *,
    chat: bool = True,
    base_urls: Sequence[str] = (),
    api_key_env: str = "",
    concurrency: int = 16,
) -> Sampler:
    """A sampler of `model`: a folder or hub name, or the served name for "openai".

    api_key_env: the environment variable that holds the key; "" where none is asked for.
    Heavy libraries are imported here, and only those of the back end.

    Raises:
        InputError: the back end is unknown, the key's variable is not set, or there is no
            endpoint to ask.
        PlumError: the model cannot be loaded.
    """
    match backend:
        case "transformers":
            from orchestrator.sampling.transformers_sampler import TransformersSampler

            return TransformersSampler(model)
        case "vllm":
            from orchestrator.sampling.vllm_sampler import VllmSampler

            return VllmSampler(model)
        case "openai":
            from orchestrator.sampling.openai_sampler import OpenAISampler

            key = os.environ.get(api_key_env) if api_key_env else _NO_KEY
            if not key:
                raise InputError(f"the environment variable {api_key_env} holds no API key")
            return OpenAISampler(base_urls, model, key, chat=chat, concurrency=concurrency)
        case _:
            raise InputError(f"back end {backend!r} is unknown; there are {', '.join(BACKENDS)}")
