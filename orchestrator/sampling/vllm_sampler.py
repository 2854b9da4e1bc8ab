"""Samples with vLLM's engine in this process. The one module here that imports vllm."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from orchestrator.errors import PlumError
from orchestrator.sampling.prompts import adds_special_tokens, load_tokenizer
from orchestrator.sampling.sampler import PromptSpec, Sampled, SamplingSettings

#: Problems handed to the engine at one time: enough to fill it, few enough to lose little.
_CHUNK = 512


class VllmSampler:
    """A model in an engine of its own, started once; it schedules its batches itself.

    The engine's batches depend on timing, so seeds make samples likely, not certain, to repeat.
    """

    def __init__(self, model: str) -> None:
        """Loads a folder or hub name and starts the engine, on all that it finds.

        Raises:
            PlumError: vllm is missing, or its engine does not start.
        """
        try:
            from vllm import LLM
        except ImportError as e:
            raise PlumError(
                "vllm is not installed: pip install 'plum-code[vllm]' brings it (it needs a GPU); "
                "backend = 'transformers' works everywhere, and 'openai' with a vLLM server"
            ) from e
        self._tokenizer = load_tokenizer(model)
        try:
            self._engine = LLM(model=model)
        except (OSError, RuntimeError, ValueError) as e:
            reason = str(e).strip().partition("\n")[0]
            raise PlumError(f"vLLM's engine does not start with {model!r}: {reason}") from e

    def sample(
        self,
        prompts: Sequence[PromptSpec],
        settings: SamplingSettings,
        done: AbstractSet[str] = frozenset(),
    ) -> Iterator[Sampled]:
        """See `Sampler.sample`."""
        from vllm import SamplingParams, TokensPrompt

        wanted = [spec for spec in prompts if spec.problem_id not in done]
        for start in range(0, len(wanted), _CHUNK):
            chunk = wanted[start : start + _CHUNK]
            # Token ids, not text: the engine would put a second BOS before a rendered template.
            inputs = [TokensPrompt(prompt_token_ids=self._encode(spec.text)) for spec in chunk]
            params = [
                SamplingParams(
                    n=spec.k,
                    temperature=settings.temperature,
                    top_p=settings.top_p,
                    max_tokens=settings.max_new_tokens,
                    seed=spec.seed,
                )
                for spec in chunk
            ]
            outputs = self._engine.generate(inputs, params, use_tqdm=False)
            for spec, output in zip(chunk, outputs, strict=True):
                for index, answer in enumerate(output.outputs):
                    truncated = answer.finish_reason == "length"
                    yield Sampled(spec.problem_id, index, answer.text, truncated)

    def _encode(self, text: str) -> list[int]:
        special = adds_special_tokens(self._tokenizer, text)
        ids: list[int] = self._tokenizer(text, add_special_tokens=special)["input_ids"]
        return ids
