"""The recipes that the README sends people to are valid as they stand."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.recipe import load_recipe
from trainer.recipe import Method, read_recipe

RECIPES = Path(__file__).parents[2] / "trainer" / "recipes"


def test_the_run_recipe_is_valid(tmp_path: Path) -> None:
    shutil.copy(RECIPES / "run.toml", tmp_path)
    for name in ("instructions.jsonl", "HumanEval.jsonl"):
        (tmp_path / name).touch()
    (tmp_path / "path" / "to" / "policy").mkdir(parents=True)
    recipe = load_recipe(tmp_path / "run.toml")
    assert recipe.train is not None
    assert recipe.train.method == "kto"
    assert recipe.sampling is not None
    assert recipe.sampling.k == 20


def test_the_training_recipe_is_valid(tmp_path: Path) -> None:
    shutil.copy(RECIPES / "kto.toml", tmp_path)
    rows = tmp_path / "dataset" / "kto" / "train.jsonl"
    rows.parent.mkdir(parents=True)
    rows.touch()
    recipe = read_recipe(tmp_path / "kto.toml", Method.KTO)
    assert recipe.output_dir == tmp_path / "policy-kto"
