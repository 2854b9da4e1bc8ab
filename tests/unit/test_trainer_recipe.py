"""A training recipe is read strictly, and its defaults are a real model's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import trainer
from orchestrator.errors import InputError
from trainer.recipe import Lora, Method, read_recipe

REQUIRED = 'model = "m"\ndata = "rows.jsonl"\noutput_dir = "out"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "rows.jsonl").touch()
    return tmp_path


def write(folder: Path, text: str) -> Path:
    file = folder / "recipe.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_paths_start_at_the_recipe_and_another_model_name_is_left_to_the_hub(folder: Path) -> None:
    recipe = read_recipe(write(folder, REQUIRED), Method.KTO)
    assert recipe.data == folder / "rows.jsonl"
    assert recipe.output_dir == folder / "out"
    assert recipe.model == "m"
    (folder / "m").mkdir()
    assert read_recipe(folder / "recipe.toml", Method.KTO).model == str(folder / "m")


@pytest.mark.parametrize("method", Method)
def test_every_method_has_defaults_for_a_real_model(folder: Path, method: Method) -> None:
    recipe = read_recipe(write(folder, REQUIRED), method)
    assert recipe.method is method
    assert 1e-7 < recipe.learning_rate <= 1e-5
    assert recipe.batch_size * recipe.gradient_accumulation == 32
    assert recipe.gradient_checkpointing
    assert recipe.lora is None
    if method is not Method.SFT:
        assert recipe.beta == 0.1


def test_a_lora_table_is_read(folder: Path) -> None:
    text = REQUIRED + "[lora]\nrank = 4\ntarget_modules = ['q_proj']\n"
    recipe = read_recipe(write(folder, text), Method.DPO)
    assert recipe.lora == Lora(rank=4, alpha=32, dropout=0.0, target_modules=("q_proj",))


@pytest.mark.parametrize(
    ("method", "line", "said"),
    [
        (Method.KTO, "learnig_rate = 1e-5", "learning_rate"),
        (Method.KTO, "weighted_ratio = 1.4", "weighted_ratio = 1.4 is outside [1.0, 1.33"),
        (Method.KTO, "batch_size = 1", "batch_size = 1 is outside [2, 65536]"),
        (Method.DPO, "weighted_ratio = 1.1", "unknown key 'weighted_ratio'"),
        (Method.SFT, "beta = 0.1", "unknown key 'beta'"),
        (Method.KTO, "beta = 'strong'", "beta = 'strong' is not a number"),
        (Method.KTO, "beta = nan", "beta = nan is outside"),
        (Method.KTO, "epochs = true", "epochs = True is not a number"),
        (Method.KTO, "scheduler = 'liner'", "did you mean 'linear'?"),
        (Method.KTO, "eval_share = 0.6", "eval_share = 0.6 is outside [0.0, 0.5]"),
        (Method.KTO, "[lora]\nrnk = 4", "lora.rnk"),
        (Method.KTO, "max_steps = ", "is not TOML"),
    ],
)
def test_a_bad_setting_is_named_with_what_is_allowed(
    folder: Path, method: Method, line: str, said: str
) -> None:
    file = write(folder, REQUIRED + line)
    with pytest.raises(InputError) as caught:
        read_recipe(file, method)
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


@pytest.mark.parametrize("missing", ["model", "data", "output_dir"])
def test_what_is_required_is_asked_for(folder: Path, missing: str) -> None:
    lines = [line for line in REQUIRED.splitlines() if not line.startswith(missing)]
    with pytest.raises(InputError, match=f"{missing} is missing"):
        read_recipe(write(folder, "\n".join(lines)), Method.KTO)


def test_settings_survive_json_for_the_manifest(folder: Path) -> None:
    import json

    settings = read_recipe(write(folder, REQUIRED), Method.KTO).settings()
    assert json.loads(json.dumps(settings))["method"] == "kto"


def test_the_shipped_recipe_names_every_default_as_it_is(folder: Path) -> None:
    shipped = Path(trainer.__file__).parent / "recipes" / "kto.toml"
    (folder / "dataset/kto").mkdir(parents=True)
    (folder / "dataset/kto/train.jsonl").touch()
    text = shipped.read_text(encoding="utf-8")
    plain = read_recipe(write(folder, text), Method.KTO)
    # max_length apart, these have no value by default, so the example shows one.
    shown = [
        line.removeprefix("# ").partition("  #")[0]
        for line in text.splitlines()
        if re.match(r"# [a-z_]+ = ", line) and not line.startswith(("# max_", "# eval_share"))
    ]
    before_lora = [line for line in shown if not line.startswith(("rank", "alpha"))]
    assert read_recipe(write(folder, text + "\n".join(before_lora)), Method.KTO) == plain
