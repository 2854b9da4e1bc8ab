"""Filters drop what they are to drop, each with its reason, and the same on every reading."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InputError
from orchestrator.instructions.filters import asks_for_code
from orchestrator.instructions.loaders import Instruction
from orchestrator.instructions.subsample import subsample
from orchestrator.problem import Problem
from orchestrator.store.problems import Drop
from tests.unit.instructions import load, section

NUMBERS = [
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
]
LONG = (
    "Write a function that takes a list of words and gives back a dictionary that says how often "
    "each word occurs in it, where upper and lower case letters count as the same"
)
BENCHMARK = {
    "task_id": "HumanEval/0",
    "prompt": 'def f(xs):\n    """ Check if in given list of numbers, are any two numbers closer '
    'to each other than\n    given threshold. """\n',
    "entry_point": "f",
    "test": "def check(f):\n    assert f([])\n",
}
SHORT = {**BENCHMARK, "task_id": "HumanEval/1", "prompt": "def add(x, y):\n"}


def plain(*texts: str) -> list[dict[str, str]]:
    return [{"instruction": text} for text in texts]


def reasons(found: list[Any]) -> list[str | None]:
    return [row.reason if isinstance(row, Drop) else None for row in found]


def test_length_is_bounded_on_both_sides_without_white_space(tmp_path: Path) -> None:
    rows = plain("  1234 \n", "12345", "123456789", "1234567890")
    found = load(tmp_path, rows, "plain", filters={"min_chars": 5, "max_chars": 9})
    assert reasons(found) == ["too short", None, None, "too long"]
    assert found[0].detail == "4 characters, at least 5"
    assert found[3].detail == "10 characters, at most 9"


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("Write a Python function that sorts a list.", True),
        ("write me a script which renames all files", True),
        ("How do I sort a dictionary by its values in Python?", True),
        ("Can you fix this code?\n\n```\nprint(1\n```", True),
        ("I need an algorithm for the shortest path", True),
        ("Implement quicksort using C++", True),
        ("Explain this code to me.", False),
        ("What is the capital of France?", False),
        ("Write a poem about the sea.", False),
        ("Write an essay. The class is on Monday.", False),
        ("", False),
    ],
)
def test_what_asks_for_code_is_told_from_what_does_not(text: str, asks: bool) -> None:
    assert asks_for_code(text) is asks


@given(st.text(max_size=300))
def test_any_text_can_be_asked_whether_it_asks_for_code(text: str) -> None:
    assert asks_for_code(text) == asks_for_code(f"{text}\n")


def test_asking_for_code_is_looked_at_in_conversations_and_elsewhere_on_demand(
    tmp_path: Path,
) -> None:
    turns = [{"from": "human", "value": "Hi!"}, {"from": "gpt", "value": "```python\nx\n```"}]
    chat = [{"conversations": turns}]
    assert reasons(load(tmp_path, chat, "sharegpt")) == ["does not ask for code"]
    assert reasons(load(tmp_path, chat, "sharegpt", filters={"asks_for_code": False})) == [None]
    assert reasons(load(tmp_path, plain("Hi!"), "plain")) == [None]
    asked = load(tmp_path, plain("Hi!"), "plain", filters={"asks_for_code": True})
    assert reasons(asked) == ["does not ask for code"]


def test_near_duplicates_of_what_was_kept_are_dropped_naming_it(tmp_path: Path) -> None:
    pytest.importorskip("rensa")
    rows = plain(LONG, LONG.replace("list of words", "list of names"), "Write something else.")
    found = load(tmp_path, rows, "plain", filters={"near_duplicates": 0.7})
    assert reasons(found) == [None, "near-duplicate", None]
    assert found[1].detail == f"0.82 of {tmp_path}/rows.jsonl:1"
    assert reasons(load(tmp_path, rows, "plain")) == [None, None, None]


def test_a_threshold_of_one_drops_only_what_has_the_same_words(tmp_path: Path) -> None:
    pytest.importorskip("rensa")
    rows = plain(LONG, LONG.upper() + "!", LONG.replace("words", "names"))
    found = load(tmp_path, rows, "plain", filters={"near_duplicates": 1})
    assert reasons(found) == [None, "near-duplicate", None]


def test_near_duplicates_are_found_as_an_exhaustive_comparison_finds_them(tmp_path: Path) -> None:
    pytest.importorskip("rensa")
    choose = random.Random(5)
    texts = []
    for _ in range(40):
        words = [choose.choice(NUMBERS) + str(choose.randrange(9)) for _ in range(30)]
        texts.append(" ".join(words))
        words[choose.randrange(30)] = "other"
        texts.append(" ".join(words))
    choose.shuffle(texts)
    kept: list[set[str]] = []
    expected = []
    for text in texts:
        words = text.split()
        shingles = {" ".join(words[i : i + 3]) for i in range(len(words) - 2)}
        like = [len(shingles & other) / len(shingles | other) for other in kept]
        expected.append("near-duplicate" if max(like, default=0) >= 0.7 else None)
        if expected[-1] is None:
            kept.append(shingles)
    assert expected.count("near-duplicate") > 20
    found = load(tmp_path, plain(*texts), "plain", filters={"near_duplicates": 0.7})
    assert reasons(found) == expected


def decontaminated(folder: Path, texts: list[str], **keys: Any) -> list[Any]:
    (folder / "bench.jsonl").write_text(json.dumps(BENCHMARK) + "\n" + json.dumps(SHORT) + "\n")
    benchmarks = [{"path": "bench.jsonl", "format": "humaneval"}]
    settings = {"benchmarks": benchmarks, **keys}
    return load(folder, plain(*texts), "plain", decontamination=settings)


def test_a_shared_run_of_words_is_contamination_and_names_the_problem(tmp_path: Path) -> None:
    ten = "Given list of numbers: are ANY two numbers closer to each other!"
    nine = "given list of numbers are any two numbers closer together"
    found = decontaminated(tmp_path, [f"Please, for a {ten}", nine, "Do something else."])
    assert reasons(found) == ["in a benchmark", None, None]
    assert found[0].detail == (
        "bench.jsonl HumanEval/0: 'given list of numbers are any two numbers closer to'"
    )


def test_the_length_of_the_run_is_the_recipes(tmp_path: Path) -> None:
    nine = "given list of numbers are any two numbers closer together"
    assert reasons(decontaminated(tmp_path, [nine], ngram=9)) == ["in a benchmark"]


def test_a_short_prompt_counts_only_where_it_is_everything(tmp_path: Path) -> None:
    found = decontaminated(tmp_path, ["def add(x, y):", "def add(x, y): but with three numbers"])
    assert reasons(found) == ["in a benchmark", None]


def test_a_contaminated_row_takes_its_like_not_with_it(tmp_path: Path) -> None:
    prompt = BENCHMARK["prompt"]
    like = prompt.replace("list of numbers, are", "array; say if").replace("closer", "nearer")
    found = decontaminated(tmp_path, [prompt, like], ngram=12)
    assert reasons(found) == ["in a benchmark", None]


def test_a_benchmark_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bench.jsonl").write_text('{"task_id": 1}\n')
    with pytest.raises(InputError, match=r"bench\.jsonl:1: prompt is missing"):
        load(
            *(tmp_path, plain("x"), "plain"),
            decontamination={"benchmarks": [{"path": "bench.jsonl"}]},
        )


def instruction(number: int) -> Instruction:
    problem = Problem(f"p{number}", f"Task {number}", "python", None, None, "plain")
    return Instruction(f"rows:{number}", problem, None)


@given(st.lists(st.booleans(), max_size=30), st.integers(1, 12), st.integers(0, 3))
def test_a_sample_has_its_size_keeps_the_order_and_accounts_for_the_rest(
    kept: list[bool], count: int, seed: int
) -> None:
    rows = [instruction(i) if k else Drop(f"rows:{i}", "why") for i, k in enumerate(kept)]
    found = list(subsample(rows, count, seed))
    assert sorted(row.location for row in found) == sorted(row.location for row in rows)
    chosen = [int(row.problem.id[1:]) for row in found if isinstance(row, Instruction)]
    assert len(chosen) == min(count, sum(kept))
    assert chosen == sorted(chosen)
    assert found == list(subsample(rows, count, seed))


def test_a_sample_depends_on_the_seed_and_not_on_the_neighbours() -> None:
    def chosen(numbers: range, seed: int) -> set[str]:
        rows = subsample(map(instruction, numbers), 20, seed)
        return {row.problem.id for row in rows if isinstance(row, Instruction)}

    assert chosen(range(100), 1) != chosen(range(100), 2)
    assert chosen(range(99, -1, -1), 1) == chosen(range(100), 1)
    more = chosen(range(200), 1)
    assert {p for p in more if int(p[1:]) < 100} <= chosen(range(100), 1)


@given(st.lists(st.sampled_from(["", "a", "b c d", LONG, LONG + " too", "Hi"]), max_size=12))
def test_counts_add_up_and_a_second_reading_gives_the_same(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    pytest.importorskip("rensa")
    folder = tmp_path_factory.mktemp("rows")
    keys = {"filters": {"min_chars": 2, "near_duplicates": 0.7}, "sample": 2}
    found = load(folder, plain(*texts), "plain", **keys)
    places = [row.location if isinstance(row, Drop) else row[0] for row in found]
    assert sorted(places) == sorted(f"{folder}/rows.jsonl:{i + 1}" for i in range(len(texts)))
    assert found == load(folder, plain(*texts), "plain", **keys)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"limit": 1, "sample": 1}, "instructions.sample and limit exclude each other"),
        ({"fields": {}, "format": "sharegpt"}, "fields goes with format = 'plain'"),
        ({"dataset": "x"}, "instructions.path or dataset has to be given, and not both"),
        ({"split": "test"}, "unknown key 'instructions.split'"),
        ({"filters": {"near_duplicates": 0.4}}, "near_duplicates = 0.4 is outside [0.5, 1.0]"),
        ({"filters": {"min_chars": 9, "max_chars": 8}}, "filters.max_chars = 8 is below min_chars"),
        ({"decontamination": {"ngram": 2}}, "decontamination.ngram = 2 is outside [3, 100]"),
        ({"decontamination": {"benchmarks": [{}]}}, "benchmarks[0].path is missing"),
    ],
)
def test_settings_that_make_no_sense_are_refused(
    tmp_path: Path, keys: dict[str, Any], words: str
) -> None:
    (tmp_path / "rows.jsonl").touch()
    with pytest.raises(InputError) as caught:
        section(tmp_path, **{"path": "rows.jsonl", **keys})
    assert words in str(caught.value)
