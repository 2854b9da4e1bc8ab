"""Samples from OpenAI-compatible endpoints: vLLM servers, llama.cpp, hosted models."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

import openai
from openai.types import Completion
from openai.types.chat import ChatCompletion

from orchestrator.sampling.endpoints import Endpoints, RequestRefused
from orchestrator.sampling.sampler import Drawn, PromptSpec, Refused, Sampled, SamplingSettings

_MAX_RETRIES = 5


class OpenAISampler:
    """One model behind any number of endpoints, which share the requests (see `Endpoints`).

    Every request has a seed of its own, made from its problem's; whether the same seeds give
    the same samples is up to the server. vLLM's does as well as its engine, see `VllmSampler`.
    """

    def __init__(
        self,
        base_urls: Sequence[str],
        model: str,
        api_key: str,
        *,
        chat: bool,
        concurrency: int = 16,
        max_retries: int = _MAX_RETRIES,
    ) -> None:
        """Connects to nothing yet.

        chat: prompts are user messages for /chat/completions; otherwise they are texts that
            /completions goes on from.
        concurrency: requests in flight, all endpoints together.
        max_retries: see `Endpoints`.

        Raises:
            InputError: there is no endpoint.
        """
        self._endpoints = Endpoints(base_urls, api_key, max_retries)
        self._model = model
        self._chat = chat
        self._concurrency = concurrency
        #: Set once an endpoint has refused several samples in one request, and not a single one.
        self._one_by_one = threading.Event()

    def sample(
        self,
        prompts: Sequence[PromptSpec],
        settings: SamplingSettings,
        done: AbstractSet[str] = frozenset(),
    ) -> Iterator[Drawn]:
        """See `Sampler.sample`. Problems come as they are finished.

        Raises:
            PlumError: no endpoint can be reached, or one refuses to work for us.
        """
        waiting = (spec for spec in prompts if spec.problem_id not in done)
        pool = ThreadPoolExecutor(self._concurrency, thread_name_prefix="sample")
        try:
            running = {
                pool.submit(self._problem, spec, settings)
                for spec in itertools.islice(waiting, self._concurrency)
            }
            while running:
                finished, running = _first_finished(running)
                running |= {
                    pool.submit(self._problem, spec, settings)
                    for spec in itertools.islice(waiting, len(finished))
                }
                for future in finished:
                    yield from future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def close(self) -> None:
        """Closes the connections."""
        self._endpoints.close()

    def _problem(self, spec: PromptSpec, settings: SamplingSettings) -> Sequence[Drawn]:
        """All samples of one problem, in as few requests as the server allows."""
        samples: list[Sampled] = []
        several_refused = False
        while len(samples) < spec.k:
            alone = several_refused or self._one_by_one.is_set()
            missing = 1 if alone else spec.k - len(samples)
            request = partial(
                self._ask, spec=spec, settings=settings, first=len(samples), count=missing
            )
            try:
                answers = self._endpoints.ask(request)
            except RequestRefused as e:
                if missing == 1:
                    return [Refused(spec.problem_id, str(e))]
                several_refused = True
                continue
            if several_refused:
                self._one_by_one.set()  # many servers know only n = 1
            if not answers:
                return [Refused(spec.problem_id, "the endpoint sent no choices")]
            for text, truncated in answers[:missing]:
                samples.append(Sampled(spec.problem_id, len(samples), text, truncated))
        return samples

    def _ask(
        self,
        client: openai.OpenAI,
        spec: PromptSpec,
        settings: SamplingSettings,
        first: int,
        count: int,
    ) -> list[tuple[str, bool]]:
        """Text and whether it was cut, of up to `count` samples."""
        # A seed per request, or asking again for what is missing would bring the same again.
        seed = spec.seed + first
        how: dict[str, Any] = {
            "model": self._model,
            "n": count,
            "seed": seed,
            "temperature": settings.temperature,
            "top_p": settings.top_p,
            "max_tokens": settings.max_new_tokens,
            "stop": list(settings.stop) or openai.omit,
        }
        if self._chat:
            how["messages"] = [{"role": "user", "content": spec.text}]
            chat: ChatCompletion = client.chat.completions.create(**how)
            return [(c.message.content or "", c.finish_reason == "length") for c in chat.choices]
        answer: Completion = client.completions.create(prompt=spec.text, **how)
        return [(c.text, c.finish_reason == "length") for c in answer.choices]


def _first_finished(
    running: set[Future[Sequence[Drawn]]],
) -> tuple[set[Future[Sequence[Drawn]]], set[Future[Sequence[Drawn]]]]:
    finished, rest = wait(running, return_when=FIRST_COMPLETED)
    return finished, rest
