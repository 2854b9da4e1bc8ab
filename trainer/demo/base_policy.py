"""The demo's policy before preference learning: made and trained from scratch on the spot.

A Llama decoder of 0.4 million parameters with a byte-level BPE tokenizer and a
chat template of its own, saved as any other transformers model would be.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from orchestrator.progress import progress
from trainer.demo.corpus import documents
from trainer.demo.tasks import Task

_PAD, _USER, _ASSISTANT, _END = "<|pad|>", "<|user|>", "<|assistant|>", "<|end|>"
_CHAT_TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_VOCABULARY = 512
_WIDTH = 96
_LAYERS = 3
_BATCH = 64
_LEARNING_RATE = 4e-3
_WARMUP_STEPS = 20
#: Label of a position that the loss skips.
_IGNORED = -100


def make_base_policy(folder: Path, tasks: Sequence[Task], seed: int, steps: int) -> None:
    """Trains a policy on the noisy corpus over `tasks` and saves it and its tokenizer in `folder`.

    Deterministic for a seed on one machine. Takes about 0.1 s a step on two cores.
    """
    tokenizer = _make_tokenizer(tasks, seed)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=_WIDTH,
            intermediate_size=3 * _WIDTH,
            num_hidden_layers=_LAYERS,
            num_attention_heads=3,
            max_position_embeddings=256,
            tie_word_embeddings=True,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=None,
            eos_token_id=tokenizer.eos_token_id,
        )
    )
    _train(model, tokenizer, documents(tasks, seed), steps)
    disable_progress_bar()  # of saving: a bar for a moment is noise in a log
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _make_tokenizer(tasks: Sequence[Task], seed: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE made from the corpus, so that it can spell any text."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY,
        special_tokens=[_PAD, _USER, _ASSISTANT, _END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = itertools.islice(documents(tasks, seed), 4 * len(tasks))
    bpe.train_from_iterator(("\n".join(pair) for pair in texts), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=_PAD,
        eos_token=_END,
        additional_special_tokens=[_USER, _ASSISTANT],
        chat_template=_CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
    )


def _train(
    model: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
    pairs: Iterator[tuple[str, str]],
    steps: int,
) -> None:
    """Ordinary next-token training on the programs; instructions are read, not learnt."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=_LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser,
        lambda step: min(
            (step + 1) / _WARMUP_STEPS, 0.05 + 0.95 * math.cos(math.pi / 2 * step / steps)
        ),
    )
    model.train()
    for _ in progress(range(steps), "base policy", "steps"):
        input_ids, labels = _batch(tokenizer, list(itertools.islice(pairs, _BATCH)))
        loss = model(
            input_ids=input_ids,
            attention_mask=(input_ids != tokenizer.pad_token_id).long(),
            labels=labels,
        ).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()


def _batch(
    tokenizer: PreTrainedTokenizerFast, pairs: Sequence[tuple[str, str]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and labels, both [rows, longest row], padded on the right."""
    rows = []
    for instruction, program in pairs:
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": instruction}], add_generation_prompt=True, tokenize=False
        )
        head = tokenizer(prompt)["input_ids"]
        rows.append((head, tokenizer(program + _END)["input_ids"]))
    width = max(len(head) + len(tail) for head, tail in rows)
    input_ids = torch.full((len(rows), width), tokenizer.pad_token_id)
    labels = torch.full((len(rows), width), _IGNORED)
    for i, (head, tail) in enumerate(rows):
        input_ids[i, : len(head) + len(tail)] = torch.tensor(head + tail)
        labels[i, len(head) : len(head) + len(tail)] = torch.tensor(tail)
    return input_ids, labels
