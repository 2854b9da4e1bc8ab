"""Opens the sampling back end that a recipe or a command names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

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
    engine: Mapping[str, Any] | None = None,
) -> Sampler:
    """A sampler of `model`: a folder or hub name, or the served name for "openai".

    api_key_env: the environment variable that holds the key; "" where none is asked for.
    engine: arguments of `vllm.LLM`, for the back end "vllm" only.
    Heavy libraries are imported here, and only those of the back end.

    Raises:
        InputError: the back end is unknown, the key's variable is not set, there is no
            endpoint to ask, or an engine is described that is not asked for.
        PlumError: the model cannot be loaded.
    """
    if engine and backend != "vllm":
        raise InputError(f"engine arguments are for vllm, the back end is {backend!r}")
    match backend:
        case "transformers":
            from orchestrator.sampling.transformers_sampler import TransformersSampler

            return TransformersSampler(model)
        case "vllm":
            from orchestrator.sampling.vllm_sampler import VllmSampler

            return VllmSampler(model, engine)
        case "openai":
            from orchestrator.sampling.openai_sampler import OpenAISampler

            key = os.environ.get(api_key_env) if api_key_env else _NO_KEY
            if not key:
                raise InputError(f"the environment variable {api_key_env} holds no API key")
            return OpenAISampler(base_urls, model, key, chat=chat, concurrency=concurrency)
        case _:
            raise InputError(f"back end {backend!r} is unknown; there are {', '.join(BACKENDS)}")
