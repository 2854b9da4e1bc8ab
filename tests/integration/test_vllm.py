"""vLLM for real, in process and as a server: what was asked for is what is sampled.

Runs where `PLUM_TEST_VLLM_PYTHON` names an interpreter that has vllm (the CPU build serves) and
this project's light dependencies, or where the current one has it; elsewhere it is skipped.
A start of vLLM takes half a minute and more.
"""

from __future__ import annotations

import functools
import json
import os
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import PlumError
from orchestrator.sampling.openai_sampler import OpenAISampler
from orchestrator.sampling.sampler import PromptSpec, Sampled, SamplingSettings, problem_seed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

ROOT = Path(__file__).parents[2]
PYTHON = os.environ.get("PLUM_TEST_VLLM_PYTHON") or sys.executable
CONTEXT = 256
#: A share of the memory that any machine has free: the model needs next to none.
MEMORY = 0.05
START_S = 900.0
#: One character is one token, and a text begins with <|bos|> unless told otherwise.
MODEL = """
import json, sys
from pathlib import Path
import tokenizers, torch, transformers
from tokenizers import decoders, models, pre_tokenizers, processors

special = ["<|pad|>", "<|bos|>", "<|user|>", "<|assistant|>", "<|end|>"]
alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
bpe = tokenizers.Tokenizer(
    models.BPE(vocab={t: i for i, t in enumerate([*special, *alphabet])}, merges=[])
)
bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bpe.decoder = decoders.ByteLevel()
bpe.add_special_tokens(special)
bpe.post_processor = processors.TemplateProcessing(
    single="<|bos|> $A", special_tokens=[("<|bos|>", 1)]
)
tokenizer = transformers.PreTrainedTokenizerFast(
    tokenizer_object=bpe, pad_token="<|pad|>", bos_token="<|bos|>", eos_token="<|end|>",
    chat_template="{{ bos_token }}{% for m in messages %}<|user|>{{ m['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}",
)
torch.manual_seed(0)
model = transformers.LlamaForCausalLM(transformers.LlamaConfig(
    vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
    num_attention_heads=2, max_position_embeddings=int(sys.argv[2]), pad_token_id=0,
    bos_token_id=1, eos_token_id=4, initializer_range=0.2,
))
# The end comes about once in 40 tokens at temperature 1.
model.lm_head.weight.data[4] *= 0.02
folder = Path(sys.argv[1])
model.save_pretrained(folder)
tokenizer.save_pretrained(folder)
# What many published models bring along, and what a recipe does not ask for.
settings = json.loads((folder / "generation_config.json").read_text())
(folder / "generation_config.json").write_text(json.dumps(settings | {"top_k": 1}))
"""
#: Reads jobs from standard input as JSON lines, answers each with one line.
ENGINE = """
import json, sys
from contextlib import closing
from orchestrator.errors import PlumError
from orchestrator.sampling.backends import open_sampler
from orchestrator.sampling.sampler import PromptSpec, SamplingSettings

if __name__ == "__main__":
    engine = {"gpu_memory_utilization": float(sys.argv[2]), "enforce_eager": True}
    with closing(open_sampler("vllm", sys.argv[1], engine=engine)) as sampler:
        for line in sys.stdin:
            job = json.loads(line)
            specs = [PromptSpec(**spec) for spec in job["specs"]]
            settings = SamplingSettings(**{**job["settings"], "stop": tuple(job["settings"]["stop"])})
            try:
                found = sampler.sample(specs, settings, set(job["done"]))
                print(json.dumps([vars(sampled) for sampled in found]), flush=True)
            except PlumError as e:
                print(json.dumps(str(e)), flush=True)
"""


@functools.cache
def has_vllm() -> bool:
    found = subprocess.run(
        [PYTHON, "-c", "import importlib.util as u; assert u.find_spec('vllm')"],
        capture_output=True,
        check=False,
    )
    return found.returncode == 0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not has_vllm():
        pytest.skip(f"{PYTHON} has no vllm; PLUM_TEST_VLLM_PYTHON names one that has")
    folder = tmp_path_factory.mktemp("vllm") / "model"
    subprocess.run([PYTHON, "-c", MODEL, folder, str(CONTEXT)], check=True, capture_output=True)
    return folder


class Engine:
    """Our sampler with vLLM's engine, in the process of an interpreter that has it.

    refused: reasons of the last call, by problem.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.refused: dict[str, str] = {}

    def __call__(
        self, specs: list[PromptSpec], settings: SamplingSettings, done: tuple[str, ...] = ()
    ) -> list[Sampled]:
        assert self._process.stdin
        assert self._process.stdout
        job = {"specs": [asdict(s) for s in specs], "settings": asdict(settings), "done": done}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        # Anything that vLLM printed here would be no JSON: standard output is ours.
        answer = json.loads(self._process.stdout.readline())
        if isinstance(answer, str):
            raise PlumError(answer)
        self.refused = {one["problem_id"]: one["reason"] for one in answer if "reason" in one}
        return [Sampled(**one) for one in answer if "reason" not in one]


@pytest.fixture(scope="module")
def engine(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    folder = tmp_path_factory.mktemp("engine")
    script = folder / "engine.py"
    script.write_text(textwrap.dedent(ENGINE))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [PYTHON, script, model, str(MEMORY)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'proto/gen'}"},
        )
        with process:
            yield Engine(process)
            assert process.stdin
            process.stdin.close()
            assert process.wait(timeout=120) == 0, (folder / "log").read_text()[-2000:]


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    log = tmp_path_factory.mktemp("server") / "log"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", model),
        *("--served-model-name", "policy", "--host", "127.0.0.1", "--port", str(port)),
        *("--gpu-memory-utilization", str(MEMORY), "--enforce-eager"),
        # What the README tells its users.
        *("--override-generation-config", '{"top_k": 0}'),
    ]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait_for(f"{url}/health", process, log)
        yield url
    finally:
        process.terminate()
        process.wait(timeout=60)


def _wait_for(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        assert process.poll() is None, log.read_text()[-2000:]
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text()[-2000:])


def specs(count: int, k: int, text: str = "<|bos|><|user|>Task {}<|end|><|assistant|>") -> Any:
    return [PromptSpec(f"p{i}", text.format(i), problem_seed(1, f"p{i}"), k) for i in range(count)]


DRAWN = SamplingSettings(temperature=1.0, max_new_tokens=24)


def by_place(samples: list[Sampled]) -> dict[tuple[str, int], Sampled]:
    return {(sample.problem_id, sample.index): sample for sample in samples}


def assert_exact(found: list[Sampled], problems: int, k: int) -> None:
    """K of each problem; what is cut is marked, what ends by itself is not; no two are equal."""
    assert sorted(by_place(found)) == sorted(
        (f"p{i}", j) for i in range(problems) for j in range(k)
    )
    assert len(found) == problems * k
    cut = [sample for sample in found if sample.truncated]
    assert 0 < len(cut) < len(found)
    # A character that is not whole may be shown as one replacement, so fewer, never more.
    assert max(len(sample.text) for sample in found) <= DRAWN.max_new_tokens
    assert not any("<|" in sample.text for sample in found)
    # The model's own top_k = 1 would make them all the same.
    assert len({sample.text for sample in found if len(sample.text) > 4}) > 0.9 * len(cut)


def test_the_engine_gives_k_samples_of_each_and_marks_what_is_cut(engine: Engine) -> None:
    assert_exact(engine(specs(12, 7), DRAWN), 12, 7)


def test_the_engines_samples_depend_on_seeds_alone_not_on_order_or_interruption(
    engine: Engine,
) -> None:
    first = by_place(engine(specs(9, 4), DRAWN))
    assert by_place(engine(specs(9, 4)[::-1], DRAWN)) == first
    rest = by_place(engine(specs(9, 4), DRAWN, ("p0", "p3", "p8")))
    assert rest == {p: s for p, s in first.items() if p[0] not in {"p0", "p3", "p8"}}
    fewer = by_place(engine(specs(9, 2), DRAWN))
    assert fewer == {place: sample for place, sample in first.items() if place[1] < 2}


def test_the_engine_keeps_temperature_top_p_and_stops(engine: Engine) -> None:
    greedy = {s.problem_id: s.text for s in engine(specs(3, 1), SamplingSettings(0.0, 12))}
    narrow = engine(specs(3, 2), SamplingSettings(1.0, 12, top_p=0.001))
    assert [sample.text for sample in narrow] == [greedy[s.problem_id] for s in narrow]
    long = next(sample for sample in engine(specs(3, 4), DRAWN) if len(sample.text) > 8)
    stopping = SamplingSettings(1.0, 24, stop=(long.text[4:6],))
    stopped = by_place(engine(specs(3, 4), stopping))[long.problem_id, long.index]
    assert stopped.text == long.text[: long.text.index(long.text[4:6])]
    assert not stopped.truncated


def test_a_prompt_that_does_not_fit_the_engine_is_refused_and_the_engine_lives(
    engine: Engine,
) -> None:
    long = PromptSpec("long", "x" * (CONTEXT - 20), 0, 1)
    alone = by_place(engine(specs(2, 1), DRAWN))
    found = engine([*specs(1, 1), long, *specs(2, 1)[1:]], DRAWN)
    assert by_place(found) == alone
    assert engine.refused.keys() == {"long"}
    assert f"over the model's context of {CONTEXT}" in engine.refused["long"]
    with pytest.raises(PlumError, match=r"refuses the request.*greedy"):
        engine(specs(1, 2), SamplingSettings(0.0, 12))
    assert len(engine(specs(2, 1), DRAWN)) == 2


@pytest.mark.parametrize("chat", [True, False])
def test_a_server_gives_k_samples_of_each_the_same_in_any_order(server: str, chat: bool) -> None:
    asked = specs(12, 7, "Task {}")
    with closing(OpenAISampler([f"{server}/v1"], "policy", "none", chat=chat)) as sampler:
        found = list(sampler.sample(asked, DRAWN))
        assert_exact(found, 12, 7)
        assert by_place(list(sampler.sample(asked[::-1], DRAWN))) == by_place(found)


def test_the_engine_and_a_server_see_the_same_prompt_with_one_bos(
    server: str, engine: Engine
) -> None:
    body = {"model": "policy", "messages": [{"role": "user", "content": "Task 0"}]}
    request = urllib.request.Request(
        f"{server}/tokenize", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        tokens = json.load(answer)["tokens"]
    assert tokens.count(1) == 1
    settings = SamplingSettings(0.0, 24)
    rendered, bare = specs(4, 1), specs(4, 1, "Task {}")
    with closing(OpenAISampler([f"{server}/v1"], "policy", "none", chat=True)) as chat:
        found = by_place(list(chat.sample(bare, settings)))
    assert found == by_place(engine(rendered, settings))


def test_an_address_without_a_server_costs_no_sample(server: str) -> None:
    addresses = [f"{server}/v1", "http://127.0.0.1:9/v1"]
    with closing(OpenAISampler(addresses, "policy", "none", chat=True, concurrency=8)) as sampler:
        assert_exact(list(sampler.sample(specs(20, 5, "Task {}"), DRAWN)), 20, 5)
