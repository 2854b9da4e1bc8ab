"""Sampling in process: repeatable, resumable, and the same as the model itself would say."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import PlumError
from orchestrator.problem import Problem
from orchestrator.sampling.backends import open_sampler
from orchestrator.sampling.prompts import adds_special_tokens, load_tokenizer, renderer
from orchestrator.sampling.sampler import (
    PromptSpec,
    Refused,
    Sampled,
    SamplingSettings,
    problem_seed,
)

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")

from orchestrator.sampling.transformers_sampler import TransformersSampler  # noqa: E402

pytestmark = pytest.mark.train

TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|user|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
SPECIAL = ["<|pad|>", "<|bos|>", "<|user|>", "<|assistant|>", "<|end|>"]
CONTEXT = 96
DRAWN = SamplingSettings(temperature=1.0, max_new_tokens=24)


def make_tokenizer() -> Any:
    """Byte-level, without merges, and with a BOS before every text, as Llama's has."""
    from tokenizers import decoders, models, pre_tokenizers, processors

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: i for i, token in enumerate([*SPECIAL, *alphabet])}
    bpe = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    bpe.add_special_tokens(SPECIAL)
    bpe.post_processor = processors.TemplateProcessing(
        single="<|bos|> $A", special_tokens=[("<|bos|>", 1)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<|pad|>",
        bos_token="<|bos|>",
        eos_token="<|end|>",
        chat_template=TEMPLATE,
    )


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of a few thousand weights, and its tokenizer."""
    folder = tmp_path_factory.mktemp("policy")
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    model = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=32,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=CONTEXT,
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            initializer_range=0.4,  # so that its choices are far enough apart to be stable
        )
    )
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def sampler(policy: Path) -> TransformersSampler:
    return TransformersSampler(str(policy), batch_size=16)


def specs(count: int, k: int, seed: int = 1) -> list[PromptSpec]:
    return [
        PromptSpec(f"p{i}", "x" * (1 + 5 * i % 23), problem_seed(seed, f"p{i}"), k)
        for i in range(count)
    ]


def by_place(samples: Sequence[Sampled]) -> dict[tuple[str, int], Sampled]:
    return {(sample.problem_id, sample.index): sample for sample in samples}


@pytest.mark.parametrize("k", [1, 5, 40])
def test_every_sample_comes_once_and_problems_come_whole(
    sampler: TransformersSampler, k: int
) -> None:
    found = list(sampler.sample(specs(7, k), DRAWN))
    order = [sample.problem_id for sample in found]
    assert sorted(by_place(found)) == sorted((f"p{i}", j) for i in range(7) for j in range(k))
    assert len(found) == 7 * k
    assert order == [id for id in dict.fromkeys(order) for _ in range(k)]


def test_the_same_seed_gives_the_same_samples_and_another_seed_others(
    sampler: TransformersSampler,
) -> None:
    torch.manual_seed(5)
    first = list(sampler.sample(specs(6, 4), DRAWN))
    torch.manual_seed(6)
    before = torch.random.get_rng_state()
    assert list(sampler.sample(specs(6, 4), DRAWN)) == first
    assert torch.equal(torch.random.get_rng_state(), before)
    other = by_place(list(sampler.sample(specs(6, 4, seed=2), DRAWN)))
    same = sum(other[place].text == sample.text for place, sample in by_place(first).items())
    assert same < len(first) / 2


def test_going_on_after_a_stop_gives_what_an_undisturbed_run_gives(
    sampler: TransformersSampler,
) -> None:
    whole = list(sampler.sample(specs(9, 4), DRAWN))
    problems = list(dict.fromkeys(sample.problem_id for sample in whole))
    for stop in range(len(problems) + 1):
        done = set(problems[:stop])
        rest = list(sampler.sample(specs(9, 4), DRAWN, done=done))
        assert rest == [sample for sample in whole if sample.problem_id not in done]


def test_greedy_samples_are_the_models_own_first_choices(
    sampler: TransformersSampler, policy: Path
) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(policy).eval()
    tokenizer = load_tokenizer(str(policy))
    found = sampler.sample(specs(8, 1), SamplingSettings(temperature=0, max_new_tokens=12))
    texts = {sample.problem_id: sample.text for sample in found}
    for spec in specs(8, 1):
        ids = tokenizer(spec.text)["input_ids"]
        prompt_tokens = len(ids)
        for _ in range(12):
            with torch.no_grad():
                chosen = int(model(torch.tensor([ids])).logits[0, -1].argmax())
            if chosen == tokenizer.eos_token_id:
                break
            ids.append(chosen)
        wanted = tokenizer.decode(ids[prompt_tokens:], skip_special_tokens=True)
        assert texts[spec.problem_id] == wanted


def test_what_ends_by_itself_is_not_called_truncated(sampler: TransformersSampler) -> None:
    hot = SamplingSettings(temperature=50.0, max_new_tokens=60)
    found = list(sampler.sample(specs(2, 40), hot))
    ended = [sample for sample in found if not sample.truncated]
    assert 0 < len(ended) < len(found)
    assert not any("<|end|>" in sample.text for sample in found)


def test_a_completion_ends_before_the_first_stop_and_is_not_called_truncated(
    sampler: TransformersSampler,
) -> None:
    whole = by_place(list(sampler.sample(specs(1, 12), DRAWN)))
    text = max((sample.text for sample in whole.values()), key=len)
    stops = (text[4:6], text[2:4])
    stopping = SamplingSettings(DRAWN.temperature, DRAWN.max_new_tokens, stop=stops)
    # One batch and one seed: the same choices up to where the first row ends.
    for place, sample in by_place(list(sampler.sample(specs(1, 12), stopping))).items():
        assert not any(stop in sample.text for stop in stops)
        if any(stop in whole[place].text for stop in stops):
            assert whole[place].text.startswith(sample.text)
            assert not sample.truncated
        else:
            assert sample.truncated == whole[place].truncated


def test_a_rendered_template_gets_no_second_bos(policy: Path) -> None:
    tokenizer = load_tokenizer(str(policy))
    problem = Problem("p", "add", "python", None, None, "test")
    prompt = renderer("transformers", "chat", str(policy))(problem)
    assert prompt == "<|bos|><|user|>add<|end|><|assistant|>"
    special = adds_special_tokens(tokenizer, prompt)
    ids = tokenizer(prompt, add_special_tokens=special)["input_ids"]
    assert ids.count(tokenizer.bos_token_id) == 1
    assert adds_special_tokens(tokenizer, "def f():")


def test_a_prompt_that_does_not_fit_is_refused_and_changes_nothing_else(
    sampler: TransformersSampler,
) -> None:
    long = PromptSpec("long", "x" * CONTEXT, 0, 1)
    alone = list(sampler.sample(specs(6, 4), DRAWN))
    found = list(sampler.sample([long, *specs(6, 4)], DRAWN))
    refused = {one.problem_id: one.reason for one in found if isinstance(one, Refused)}
    assert refused.keys() == {"long"}
    assert f"max_new_tokens=24 are over the model's context of {CONTEXT}" in refused["long"]
    assert [one for one in found if not isinstance(one, Refused)] == alone


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlumError, match="absent") as caught:
        open_sampler("transformers", str(tmp_path / "absent"))
    assert "\n" not in str(caught.value)
