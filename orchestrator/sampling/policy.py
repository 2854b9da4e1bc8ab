"""A policy as a command names it: which model, what runs it, how it is prompted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from orchestrator.sampling.backends import open_sampler
from orchestrator.sampling.prompts import Render, renderer
from orchestrator.sampling.sampler import Sampler


@dataclass(frozen=True)
class Policy:
    """model: folder or hub name, or the served name for the back end "openai".

    base_urls, api_key_env: its endpoints, and the variable that holds their key ("": none).
    engine: arguments of `vllm.LLM`, for the back end "vllm".
    """

    model: str
    backend: str
    prompt_style: str  # "chat" or "plain"
    base_urls: tuple[str, ...] = ()
    api_key_env: str = ""
    engine: dict[str, Any] = field(default_factory=dict, hash=False)

    def sampler(self) -> Sampler:
        """Loads or connects to it.

        Raises:
            PlumError: it cannot be loaded, or an option does not serve.
        """
        return open_sampler(
            self.backend,
            self.model,
            chat=self.prompt_style == "chat",
            base_urls=self.base_urls,
            api_key_env=self.api_key_env,
            engine=self.engine,
        )

    def renderer(self) -> Render:
        """What makes its prompts.

        Raises:
            PlumError: it has no chat template, and the style asks for one.
        """
        return renderer(self.backend, self.prompt_style, self.model)
