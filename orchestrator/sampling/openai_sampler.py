"""Samples from OpenAI-compatible endpoints: vLLM servers, llama.cpp, hosted models."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

import openai
from openai.types import Completion
from openai.types.chat import ChatCompletion

from orchestrator.errors import InputError, PlumError
from orchestrator.sampling.sampler import PromptSpec, Sampled, SamplingSettings

_TIMEOUT_S = 600.0
_MAX_RETRIES = 5


class OpenAISampler:
    """One model behind any number of endpoints, which take turns and stand in for each other.

    Rate limits, server errors and lost connections are tried again with growing pauses.
    Whether the same seeds give the same samples is up to the server.
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

        Raises:
            InputError: there is no endpoint.
        """
        if not base_urls:
            raise InputError("the openai back end needs at least one base_url")
        self._clients = [
            openai.OpenAI(
                base_url=url, api_key=api_key, max_retries=max_retries, timeout=_TIMEOUT_S
            )
            for url in base_urls
        ]
        self._model = model
        self._chat = chat
        self._concurrency = concurrency
        self._turns = itertools.count()
        #: Set once an endpoint has refused several samples in one request.
        self._one_by_one = threading.Event()

    def sample(
        self,
        prompts: Sequence[PromptSpec],
        settings: SamplingSettings,
        done: AbstractSet[str] = frozenset(),
    ) -> Iterator[Sampled]:
        """See `Sampler.sample`. Problems come as they are finished.

        Raises:
            PlumError: no endpoint can be reached, or one refuses the request.
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

    def _problem(self, spec: PromptSpec, settings: SamplingSettings) -> list[Sampled]:
        """All samples of one problem, in as few requests as the server allows."""
        samples: list[Sampled] = []
        while len(samples) < spec.k:
            missing = 1 if self._one_by_one.is_set() else spec.k - len(samples)
            try:
                answers = self._request(spec, settings, len(samples), missing)
            except openai.BadRequestError as e:
                if missing == 1:
                    raise PlumError(f"problem {spec.problem_id!r}: {_reason(e)}") from e
                self._one_by_one.set()  # many servers know only n = 1
                continue
            if not answers:
                raise PlumError(f"problem {spec.problem_id!r}: the endpoint sent no choices")
            for text, truncated in answers[:missing]:
                samples.append(Sampled(spec.problem_id, len(samples), text, truncated))
        return samples

    def _request(
        self, spec: PromptSpec, settings: SamplingSettings, first: int, count: int
    ) -> list[tuple[str, bool]]:
        """Text and whether it was cut, of up to `count` samples, from the first that answers."""
        turn = next(self._turns)
        lost: openai.APIError | None = None
        for offset in range(len(self._clients)):
            client = self._clients[(turn + offset) % len(self._clients)]
            try:
                return self._ask(client, spec, settings, first, count)
            except (AttributeError, TypeError) as e:
                # The client passes on what it cannot read, a proxy's error page for example.
                raise PlumError(
                    f"{client.base_url} answers with something that is no completion"
                ) from e
            except openai.BadRequestError:
                raise
            except (openai.APIConnectionError, openai.InternalServerError) as e:
                lost = e
            except openai.APIError as e:
                raise PlumError(f"{client.base_url}: {_reason(e)}") from e
        urls = ", ".join(str(client.base_url) for client in self._clients)
        raise PlumError(f"no endpoint answers ({urls}): {_reason(lost)}") from lost

    def _ask(
        self,
        client: openai.OpenAI,
        spec: PromptSpec,
        settings: SamplingSettings,
        first: int,
        count: int,
    ) -> list[tuple[str, bool]]:
        # A seed per request, or asking again for what is missing would bring the same again.
        seed = spec.seed + first
        answer: ChatCompletion | Completion
        if self._chat:
            answer = client.chat.completions.create(
                model=self._model,
                messages=[{"role": "user", "content": spec.text}],
                n=count,
                seed=seed,
                temperature=settings.temperature,
                top_p=settings.top_p,
                max_tokens=settings.max_new_tokens,
            )
            return [(c.message.content or "", c.finish_reason == "length") for c in answer.choices]
        answer = client.completions.create(
            model=self._model,
            prompt=spec.text,
            n=count,
            seed=seed,
            temperature=settings.temperature,
            top_p=settings.top_p,
            max_tokens=settings.max_new_tokens,
        )
        return [(choice.text, choice.finish_reason == "length") for choice in answer.choices]


def _first_finished(
    running: set[Future[list[Sampled]]],
) -> tuple[set[Future[list[Sampled]]], set[Future[list[Sampled]]]]:
    finished, rest = wait(running, return_when=FIRST_COMPLETED)
    return finished, rest


def _reason(error: Exception | None) -> str:
    """One line of what went wrong; the cause says more than "Connection error."."""
    cause = error.__cause__ if error is not None else None
    text = f"{error}" if cause is None else f"{error} ({cause})"
    return " ".join(text.split())[:500]
