"""Samples with vLLM's engine in this process. The one module here that imports vllm."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from orchestrator.errors import PlumError, one_line
from orchestrator.sampling.prompts import encode, load_tokenizer
from orchestrator.sampling.sampler import Drawn, PromptSpec, Refused, Sampled, SamplingSettings

#: Problems handed to the engine at one time: enough to fill it, few enough to lose little.
_CHUNK = 512


class VllmSampler:
    """A model in an engine of its own, started once; it schedules its batches itself.

    Every sample has a seed of its own, so the same model, prompts and settings give the same
    samples in any order and after any interruption, on one machine and with one version; but
    where a batch of another size sums in another order, as GPUs may, a sample can part from
    its former self at a token that was nearly tied.
    """

    def __init__(self, model: str, engine: Mapping[str, Any] | None = None) -> None:
        """Loads a folder or hub name and starts the engine, on all that it finds.

        engine: arguments of `vllm.LLM`, such as tensor_parallel_size.

        Raises:
            PlumError: vllm is missing, an argument is not one, or its engine does not start.
        """
        # vLLM logs to standard output unless told otherwise; that belongs to our results.
        os.environ.setdefault("VLLM_LOGGING_STREAM", "ext://sys.stderr")
        try:
            from vllm import LLM
            from vllm.exceptions import VLLMError
        except (ImportError, OSError, RuntimeError) as e:
            if not isinstance(e, ModuleNotFoundError) or e.name != "vllm":
                # One of the libraries that it was built against is another release, mostly.
                raise PlumError(f"vllm cannot be imported: {one_line(e)}") from e
            raise PlumError(
                "vllm is not installed: pip install 'plum-code[vllm]' brings it (it needs a GPU); "
                "backend = 'transformers' works everywhere, and 'openai' with a vLLM server"
            ) from e
        self._tokenizer = load_tokenizer(model)
        try:
            self._engine = LLM(model=model, **(engine or {}))
        except (OSError, RuntimeError, TypeError, ValueError, VLLMError) as e:
            raise PlumError(
                f"vLLM's engine does not start with {model!r}: {one_line(e)}; its own log says more"
            ) from e
        self._context: int = self._engine.model_config.max_model_len

    def sample(
        self,
        prompts: Sequence[PromptSpec],
        settings: SamplingSettings,
        done: AbstractSet[str] = frozenset(),
    ) -> Iterator[Drawn]:
        """See `Sampler.sample`. Refused is what would not fit the engine's context.

        Raises:
            PlumError: the engine refuses the settings (one greedy sample is all it gives) or
                has died.
        """
        wanted = [spec for spec in prompts if spec.problem_id not in done]
        for start in range(0, len(wanted), _CHUNK):
            chunk: list[tuple[PromptSpec, list[int]]] = []
            for spec in wanted[start : start + _CHUNK]:
                ids = encode(self._tokenizer, spec, settings, self._context)
                if isinstance(ids, Refused):
                    yield ids
                else:
                    chunk.append((spec, ids))
            for (spec, _), output in zip(chunk, self._generate(chunk, settings), strict=True):
                for index, answer in enumerate(output.outputs):
                    truncated = answer.finish_reason == "length"
                    yield Sampled(spec.problem_id, index, answer.text, truncated)

    def close(self) -> None:
        """Ends the engine, whose memory is then free for what comes next."""
        self._engine.llm_engine.engine_core.shutdown()

    def _generate(
        self, chunk: Sequence[tuple[PromptSpec, list[int]]], settings: SamplingSettings
    ) -> list[Any]:
        """The engine's outputs, one for each of `chunk`: prompts with their tokens."""
        from vllm import SamplingParams, TokensPrompt
        from vllm.exceptions import VLLMClientError, VLLMServerError

        # Token ids, not text: the engine would put a second BOS before a rendered template.
        if not chunk:
            return []
        inputs = [TokensPrompt(prompt_token_ids=ids) for _, ids in chunk]
        try:
            params = [
                SamplingParams(
                    n=spec.k,
                    temperature=settings.temperature,
                    top_p=settings.top_p,
                    max_tokens=settings.max_new_tokens,
                    seed=spec.seed,
                    stop=list(settings.stop),
                )
                for spec, _ in chunk
            ]
            outputs: list[Any] = self._engine.generate(inputs, params, use_tqdm=False)
        except VLLMClientError as e:
            raise PlumError(f"vLLM refuses the request: {one_line(e)}") from e
        except VLLMServerError as e:
            raise PlumError(f"vLLM has failed: {one_line(e)}; its own log says more") from e
        return outputs
