"""Samples with `transformers` in this process. The one module here that imports torch.

Fast enough for small models on a CPU: many sequences a batch, a key-value cache, no gradients.
For large models on GPUs, vLLM is the better back end.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from orchestrator.errors import PlumError, one_line
from orchestrator.sampling.prompts import encode, load_tokenizer
from orchestrator.sampling.sampler import Drawn, PromptSpec, Refused, Sampled, SamplingSettings

#: Parameters below which one thread is the fastest. The work between two meetings of several
#: is then shorter than the meeting, and where something else uses the cores, they spend up to
#: 30 times the time of one waiting for each other.
_ONE_THREAD_BELOW = 20_000_000
#: Sequences a batch: beyond this a small model on a CPU gains nothing more.
DEFAULT_BATCH = 256


@dataclass(frozen=True)
class _Row:
    """One sequence of a batch."""

    spec: PromptSpec
    index: int
    ids: list[int]


class TransformersSampler:
    """A causal language model, loaded once.

    The same model, prompts, settings and batch size on the same machine give the same samples:
    each batch has a seed made from those of its rows.
    """

    def __init__(self, model: str, batch_size: int = DEFAULT_BATCH) -> None:
        """Loads a folder or hub name, on the GPU where there is one.

        Raises:
            PlumError: torch or transformers is missing, or the model cannot be loaded.
        """
        self._tokenizer = load_tokenizer(model)
        self._model = _load_model(model)
        self._batch_size = batch_size
        self._ends = _end_tokens(self._model, self._tokenizer)
        pad = self._tokenizer.pad_token_id
        self._pad: int = min(self._ends, default=0) if pad is None else pad

    def sample(
        self,
        prompts: Sequence[PromptSpec],
        settings: SamplingSettings,
        done: AbstractSet[str] = frozenset(),
    ) -> Iterator[Drawn]:
        """See `Sampler.sample`. Problems come with the shortest prompts first.

        Refused is what would not fit the model's context with its completion.
        """
        lengths: dict[str, int] = {}
        for spec in prompts:
            ids = self._encode(spec, settings)
            if isinstance(ids, Refused):
                yield ids
            else:
                lengths[spec.problem_id] = len(ids)
        for group in self._groups(prompts, lengths):
            if all(spec.problem_id in done for spec in group):
                continue
            finished: dict[str, list[Sampled]] = {spec.problem_id: [] for spec in group}
            rows = [
                _Row(spec, index, ids)
                for spec in group
                if not isinstance(ids := self._encode(spec, settings), Refused)
                for index in range(spec.k)
            ]
            for start in range(0, len(rows), self._batch_size):
                for sampled in self._generate(rows[start : start + self._batch_size], settings):
                    finished[sampled.problem_id].append(sampled)
            for problem_id, samples in finished.items():
                if problem_id not in done:
                    yield from samples

    def close(self) -> None:
        """Forgets the model, and gives its memory on the GPU back for what comes next."""
        import torch

        del self._model
        torch.cuda.empty_cache()  # does nothing where there is none

    def _groups(
        self, prompts: Sequence[PromptSpec], lengths: Mapping[str, int]
    ) -> Iterator[list[PromptSpec]]:
        """Whole problems that share their batches, of similar length so that little is padded.

        lengths: of the prompts in tokens, by problem; what is not in it is left out.
        """
        group: list[PromptSpec] = []
        fitting = (spec for spec in prompts if spec.problem_id in lengths)
        for spec in sorted(fitting, key=lambda s: (lengths[s.problem_id], s.problem_id)):
            if group and sum(s.k for s in group) + spec.k > self._batch_size:
                yield group
                group = []
            group.append(spec)
        if group:
            yield group

    def _encode(self, spec: PromptSpec, settings: SamplingSettings) -> list[int] | Refused:
        context = getattr(self._model.config, "max_position_embeddings", None)
        return encode(self._tokenizer, spec, settings, context)

    def _generate(self, rows: Sequence[_Row], settings: SamplingSettings) -> Iterator[Sampled]:
        import torch

        width = max(len(row.ids) for row in rows)
        padded = [[self._pad] * (width - len(row.ids)) + row.ids for row in rows]
        mask = [[0] * (width - len(row.ids)) + [1] * len(row.ids) for row in rows]
        device = self._model.device
        # The caller's random state is not ours to move.
        with torch.random.fork_rng(), torch.inference_mode(), _threads_for(self._model):
            torch.manual_seed(_batch_seed(rows))
            output = self._model.generate(
                input_ids=torch.tensor(padded, device=device),
                attention_mask=torch.tensor(mask, device=device),
                generation_config=self._generation_config(settings),
                tokenizer=self._tokenizer,  # to find the stop strings with
            )
        for row, ids in zip(rows, output[:, width:].tolist(), strict=True):
            end = next((i for i, token in enumerate(ids) if token in self._ends), None)
            text = self._tokenizer.decode(ids[:end], skip_special_tokens=True)
            stop = min((at for s in settings.stop if (at := text.find(s)) >= 0), default=None)
            truncated = end is None and stop is None
            yield Sampled(row.spec.problem_id, row.index, text[:stop], truncated)

    def _generation_config(self, settings: SamplingSettings) -> Any:
        from transformers import GenerationConfig

        # Made anew: a model's own defaults (top_k, penalties) would change what was asked for.
        config = GenerationConfig(
            max_new_tokens=settings.max_new_tokens,
            eos_token_id=sorted(self._ends) or None,
            pad_token_id=self._pad,
            stop_strings=list(settings.stop) or None,
            do_sample=settings.temperature > 0,
            # Grown step by step, the cache is copied at each: most of a small model's time.
            cache_implementation="static",
            disable_compile=True,
        )
        if settings.temperature > 0:
            config.temperature = settings.temperature
            config.top_p = settings.top_p
            config.top_k = 0
        return config


@contextmanager
def _threads_for(model: Any) -> Iterator[None]:
    """As many threads as are good for the model; the caller's setting comes back after."""
    import torch

    usual = torch.get_num_threads()
    if model.num_parameters() < _ONE_THREAD_BELOW:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def _batch_seed(rows: Sequence[_Row]) -> int:
    named = ",".join(f"{row.spec.seed}:{row.index}" for row in rows)
    return int.from_bytes(hashlib.sha256(named.encode()).digest()[:4], "big")


def _end_tokens(model: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends a turn: what the tokenizer and the model's settings name."""
    configured = model.generation_config.eos_token_id
    listed = configured if isinstance(configured, list) else [configured]
    return frozenset(t for t in [*listed, tokenizer.eos_token_id] if t is not None)


def _load_model(model: str) -> Any:
    try:
        import torch
        from transformers import AutoModelForCausalLM
        from transformers.utils import logging
    except ImportError as e:
        raise PlumError(
            f"{e.name} is not installed: pip install 'plum-code[train]' brings it"
        ) from e
    if not sys.stderr.isatty():
        logging.disable_progress_bar()  # bars are for terminals
    try:
        loaded = AutoModelForCausalLM.from_pretrained(model, dtype="auto")
    except (OSError, ValueError) as e:
        raise PlumError(f"cannot load {model!r}: {one_line(e)}") from e
    return loaded.eval().to("cuda" if torch.cuda.is_available() else "cpu")
