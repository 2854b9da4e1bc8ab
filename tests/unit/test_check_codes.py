"""The table of static codes is whole, and a recipe changes single entries of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.check_codes import CHECK_CODES, Meaning, fatal_codes
from orchestrator.errors import InputError
from orchestrator.recipe import Recipe, load_recipe


def test_every_code_of_the_checker_is_in_the_table() -> None:
    errorcodes = pytest.importorskip("mypy.errorcodes")
    assert set(errorcodes.error_codes) <= set(CHECK_CODES)


def test_only_what_fails_whatever_the_types_are_means_does_not_run() -> None:
    assert fatal_codes({}) == {"syntax", "name-defined", "used-before-def"}
    assert all(entry.why for entry in CHECK_CODES.values())


def test_a_change_switches_one_code_and_leaves_the_rest() -> None:
    assert fatal_codes({"arg-type": Meaning.DROP}) == fatal_codes({}) | {"arg-type"}
    assert fatal_codes({"name-defined": Meaning.WARN}) == {"syntax", "used-before-def"}


def recipe(folder: Path, text: str) -> Recipe:
    (folder / "rows.jsonl").touch()
    path = folder / "recipe.toml"
    path.write_text(f'[instructions]\npath = "rows.jsonl"\n{text}')
    return load_recipe(path)


def test_a_recipe_changes_the_table(tmp_path: Path) -> None:
    found = recipe(tmp_path, '[check.codes]\narg-type = "drop"\nname-defined = "warn"\n')
    assert fatal_codes(found.check.codes) == {"syntax", "used-before-def", "arg-type"}
    assert found.flat()["check.codes.arg-type"] == "drop"


def test_codes_of_other_languages_are_taken_as_they_are(tmp_path: Path) -> None:
    found = recipe(tmp_path, '[run]\nlanguage = "rust"\n[check.codes]\nE0425 = "drop"\n')
    assert "E0425" in fatal_codes(found.check.codes)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('name-define = "warn"', "check.codes.name-define is no code of mypy; did you mean"),
        ('arg-type = "ignore"', "check.codes.arg-type = 'ignore' is not one of drop, warn"),
        ("arg-type = true", "check.codes.arg-type = True is not a string"),
    ],
)
def test_what_is_no_entry_is_refused(tmp_path: Path, line: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        recipe(tmp_path, f"[check.codes]\n{line}\n")
    assert words in str(caught.value)
