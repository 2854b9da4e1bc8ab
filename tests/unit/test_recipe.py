"""A recipe is read strictly, and every refusal says what to change."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InputError
from orchestrator.recipe import load_recipe
from orchestrator.recipe_generation import QualitySection

MINIMAL = """
[instructions]
path = "instructions.jsonl"
"""

FULL = """
[run]
seed = 7
language = "python"

[instructions]
path = "instructions.jsonl"
format = "oss_instruct"
limit = 10

[generation]
provider = "openai"
base_url = "http://localhost:1/v1"
model = "teacher"

[sandbox]
launcher = "process"
slots = 2
[sandbox.limits]
cpu_time_s = 2
memory_bytes = 268435456

[sampling]
backend = "transformers"
model = "policy"
k = 4

[check]
[check.codes]
arg-type = "drop"

[export]
formats = ["kto", "dpo"]
max_per_problem = 8

[train]
method = "kto"
[train.options]
beta = 0.1

[[evaluation]]
path = "held_out.jsonl"
samples = 5
k = [1, 5]
"""


def write(folder: Path, text: str) -> Path:
    (folder / "instructions.jsonl").touch()
    (folder / "held_out.jsonl").touch()
    (folder / "policy").mkdir(exist_ok=True)
    path = folder / "recipe.toml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(InputError) as caught:
        load_recipe(write(folder, text))
    message = str(caught.value)
    assert str(folder / "recipe.toml") in message
    assert "\n" not in message
    return message


def test_a_minimal_recipe_has_defaults_and_leaves_stages_out(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, MINIMAL))
    assert recipe.run.language == "python"
    assert recipe.sandbox.launcher == "process"
    assert recipe.check.enabled
    assert recipe.quality == QualitySection(2, True, True, 6, 1, True, 0.5)
    assert (recipe.generation, recipe.sampling, recipe.train, recipe.evaluation) == (
        None,
        None,
        None,
        (),
    )


def test_a_full_recipe_is_read_and_paths_start_at_its_folder(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, FULL))
    assert recipe.instructions.path == tmp_path / "instructions.jsonl"
    assert recipe.sampling is not None
    assert recipe.sampling.model == str(tmp_path / "policy")
    assert recipe.train is not None
    assert recipe.train.model == str(tmp_path / "policy")
    assert recipe.train.options == {"beta": 0.1}
    assert recipe.sandbox.limits.cpu_time_s == 2.0
    assert recipe.evaluation[0].k == (1, 5)
    assert recipe.evaluation[0].name == "held_out"


@pytest.mark.parametrize(
    ("written", "addresses"),
    [
        ("", ()),
        ('address = "a:1"', ("a:1",)),
        ('addresses = ["a:1", "dns:///b:1"]', ("a:1", "dns:///b:1")),
    ],
)
def test_a_recipe_names_one_sandbox_or_several_or_none(
    tmp_path: Path, written: str, addresses: tuple[str, ...]
) -> None:
    recipe = load_recipe(write(tmp_path, f"{MINIMAL}[sandbox]\n{written}\n"))
    assert recipe.sandbox.addresses == addresses
    assert recipe.label.early_stop


def test_engine_arguments_and_stops_are_taken_as_they_stand(tmp_path: Path) -> None:
    stop = 'stop = ["\\nclass", "\\ndef"]\nbackend = "vllm"'
    engine = "[sampling.engine]\ntensor_parallel_size = 2\ndtype = 'bfloat16'\n\n[train]"
    text = FULL.replace('backend = "transformers"', stop).replace("[train]", engine)
    recipe = load_recipe(write(tmp_path, text))
    assert recipe.sampling is not None
    assert recipe.sampling.stop == ("\nclass", "\ndef")
    assert recipe.sampling.engine == {"tensor_parallel_size": 2, "dtype": "bfloat16"}
    assert recipe.flat()["sampling.engine.tensor_parallel_size"] == 2
    assert "is for the vllm backend" in refusal(tmp_path, text.replace('"vllm"', '"transformers"'))
    named = text.replace("tensor_parallel_size = 2", "model = 'other'")
    assert "sampling.engine.model is set by sampling.model" in refusal(tmp_path, named)


def test_a_recipe_can_be_read_from_elsewhere_with_its_own_base(tmp_path: Path) -> None:
    original = load_recipe(write(tmp_path, FULL))
    other = tmp_path / "run"
    other.mkdir()
    (other / "recipe.toml").write_text(FULL)
    assert load_recipe(other / "recipe.toml", base=tmp_path) == original


def test_every_setting_has_one_flat_key(tmp_path: Path) -> None:
    flat = load_recipe(write(tmp_path, FULL)).flat()
    assert flat["sampling.k"] == 4
    assert flat["sandbox.limits.memory_bytes"] == 268435456
    assert flat["train.options.beta"] == 0.1
    assert flat["evaluation.0.samples"] == 5


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("k = 4", "kk = 4", ["sampling.kk", "did you mean 'k'"]),
        ("slots = 2", "slot = 2", ["sandbox.slot", "did you mean 'slots'"]),
        ("[sampling]", "[samplings]", ["'samplings'", "did you mean 'sampling'"]),
        ("k = 4", "k = 0", ["sampling.k = 0", "[1, 10000]"]),
        ("k = 4", 'k = "4"', ["sampling.k = '4'", "whole number"]),
        ("k = 4", "k = true", ["sampling.k = True", "whole number"]),
        ("k = 4", "temperature = nan", ["sampling.temperature = nan"]),
        ("k = 4", "temperature = 2.5", ["sampling.temperature = 2.5 is outside [0.0, 2.0]"]),
        ("k = 4", "temperature = 0.0", ["sampling.temperature", "k = 1"]),
        ("cpu_time_s = 2", "cpu_time_s = 0", ["sandbox.limits.cpu_time_s = 0", "[0.01, 3600.0]"]),
        (
            "memory_bytes = 268435456",
            "memory_bytes = 8",
            ["= 8 is outside [16777216, 68719476736]"],
        ),
        (
            '"oss_instruct"',
            '"oss-instruct"',
            ["instructions.format", "did you mean 'oss_instruct'"],
        ),
        ('"instructions.jsonl"', '"gone.jsonl"', ["instructions.path", "gone.jsonl"]),
        ('"instructions.jsonl"', '"policy"', ["instructions.path = 'policy'", "is a folder"]),
        ('launcher = "process"', 'launcher = "process"\naddress = "a:1"', ["exclude each other"]),
        (
            'launcher = "process"',
            'launcher = "docker"\naddresses = ["a:1"]',
            ["exclude each other"],
        ),
        ('launcher = "process"', 'address = "a:1"\naddresses = ["b:1"]', ["exclude each other"]),
        ('launcher = "process"', "addresses = []", ["sandbox.addresses", "is empty"]),
        ('launcher = "process"', 'token_file = "gone"', ["sandbox.token_file", "gone"]),
        (
            'launcher = "process"',
            'token_file = "instructions.jsonl"',
            ["sandbox.token_file = ", "instructions.jsonl: holds no token"],
        ),
        (
            'launcher = "process"',
            'ca = "recipe.toml"',
            ["sandbox.ca = ", "recipe.toml: holds no certificate in PEM form"],
        ),
        ('launcher = "process"', 'key = "recipe.toml"', ["certificate and key need each other"]),
        ('launcher = "process"', 'address = "a"', ["sandbox.address holds 'a'", "[1, 65535]"]),
        (
            'launcher = "process"',
            'addresses = ["a:1", "b:65536"]',
            ["sandbox.addresses holds 'b:65536'", "[1, 65535]"],
        ),
        (
            'launcher = "process"',
            "retry_for_s = -1",
            ["sandbox.retry_for_s = -1", "[0.0, 86400.0]"],
        ),
        ("[export]", "[label]\nearly_stop = 1\n[export]", ["label.early_stop", "true nor false"]),
        ('model = "teacher"', "", ["generation.model", "missing"]),
        ('["kto", "dpo"]', '["ktoo"]', ["export.formats", "holds 'ktoo'", "ablation"]),
        ('["kto", "dpo"]', '["kto", "kto"]', ["export.formats", "names one twice"]),
        ('["kto", "dpo"]', '["dpo"]', ["export.formats", "lacks 'kto'"]),
        (
            "max_per_problem = 8",
            'styles = ["conversational"]',
            ["export.styles", "lacks 'plain', the rows that [train] reads"],
        ),
        ("max_per_problem = 8", 'file_types = ["parquet"]', ["file_types", "lacks 'jsonl'"]),
        ('model = "teacher"', 'modle = "x"', ["generation.model", "missing", "'modle'"]),
        ("http://localhost:1", "host:1", ["generation.base_url = 'host:1/v1' does not begin with"]),
        ("k = 4", 'k = 4\nbase_urls = ["host:1"]', ["sampling.base_urls = 'host:1' does not"]),
        ('"openai"', '"azure"', ["generation.provider = 'azure'", "openai, batch, recorded"]),
        (
            'model = "teacher"',
            'model = "teacher"\nmax_cost_usd = 5',
            ["generation.usd_per_million_prompt_tokens is missing", "max_cost_usd"],
        ),
        (
            'model = "teacher"',
            'model = "teacher"\nmax_cost_usd = -1',
            ["generation.max_cost_usd = -1 is outside [0.0, 1000000000.0]"],
        ),
        ("[sandbox]", "[quality]\nmutant = 3\n[sandbox]", ["quality.mutant", "'mutants'"]),
        ("[sandbox]", "[quality]\nagreement = 2\n[sandbox]", ["agreement = 2", "[0.0, 1.0]"]),
        ("k = [1, 5]", "k = [1, 6]", ["evaluation[0].k", "6", "samples = 5"]),
        ('formats = ["kto", "dpo"]', 'formats = ["dpo"]', ["export.formats", "'kto'"]),
        ('formats = ["kto", "dpo"]', 'formats = ["ktoo"]', ["export.formats", "'ktoo'"]),
        ("beta = 0.1", "seed = 1", ["train.options.seed", "set by the run"]),
        ("[generation]", "[generation", ["is not TOML"]),
    ],
)
def test_a_mistake_is_refused_with_key_value_and_bound(
    tmp_path: Path, old: str, new: str, words: list[str]
) -> None:
    assert old in FULL
    message = refusal(tmp_path, FULL.replace(old, new, 1))
    assert all(word in message for word in words), message


def test_a_stage_without_the_one_before_it_is_refused(tmp_path: Path) -> None:
    message = refusal(tmp_path, MINIMAL + '[sampling]\nmodel = "policy"\n')
    assert "generation is missing: [sampling] needs it" in message


def test_a_missing_recipe_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_recipe(tmp_path / "none.toml")


@given(st.text(max_size=200))
def test_arbitrary_text_is_a_recipe_or_an_input_error(text: str) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recipe.toml"
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with pytest.raises(InputError):
            load_recipe(path)
