"""Rows are read strictly and chosen the same way every time."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InputError
from trainer.rows import (
    Pair,
    Row,
    cap,
    preference_pairs,
    read_rows,
    shuffle,
    split,
    without_lone_last,
)

ROWS = st.lists(
    st.builds(
        lambda problem, completion, label: Row(
            f"p{problem}", f"c{completion}", label, f"{problem}"
        ),
        st.integers(0, 6),
        st.integers(0, 30),
        st.booleans(),
    )
)
SEEDS = st.integers(0, 2**31 - 1)


def write(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def test_rows_are_read_in_order_and_other_keys_are_ignored(tmp_path: Path) -> None:
    good = {"prompt": "p", "completion": "c\u2028d", "label": True, "problem_id": "x", "more": 1}
    bare = {"prompt": "p", "completion": "", "label": False}
    file = write(tmp_path, json.dumps(good, ensure_ascii=False), "", json.dumps(bare))
    assert read_rows(file) == [Row("p", "c\u2028d", True, "x"), Row("p", "", False, "p")]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is list, not an object"),
        ('{"completion": "c", "label": true}', "prompt is missing"),
        ('{"prompt": "p", "completion": "c", "label": 1}', "label = 1 is not true or false"),
        ('{"prompt": "p", "completion": null, "label": true}', "completion = None is not text"),
        (
            '{"prompt": [{"role": "user"}], "completion": "c", "label": true}',
            "render conversations to text first",
        ),
    ],
)
def test_a_bad_row_is_named_by_file_line_field_and_value(
    tmp_path: Path, line: str, said: str
) -> None:
    file = write(tmp_path, '{"prompt": "p", "completion": "c", "label": true}', line)
    with pytest.raises(InputError) as caught:
        read_rows(file)
    assert f"{file}:2: " in str(caught.value)
    assert said in str(caught.value)


def test_no_file_no_rows_and_no_utf8_are_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_rows(tmp_path / "absent.jsonl")
    with pytest.raises(InputError, match="holds no rows"):
        read_rows(write(tmp_path, ""))
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "\xe9"}\n')
    with pytest.raises(InputError, match="not UTF-8"):
        read_rows(tmp_path / "latin.jsonl")


@given(ROWS, st.integers(1, 5), SEEDS)
def test_the_cap_holds_for_each_problem_and_label_and_drops_no_more_than_it_must(
    rows: list[Row], most: int, seed: int
) -> None:
    before = Counter((row.problem, row.label) for row in rows)
    after = Counter((row.problem, row.label) for row in cap(rows, most, seed))
    assert after == Counter({group: min(most, n) for group, n in before.items()})


@given(ROWS, st.floats(0, 0.5), SEEDS)
def test_a_split_shares_no_problem_and_loses_no_row(
    rows: list[Row], share: float, seed: int
) -> None:
    train, watch = split(rows, share, seed)
    assert not {row.problem for row in train} & {row.problem for row in watch}
    assert Counter(train) + Counter(watch) == Counter(rows)


@given(ROWS, SEEDS)
def test_a_shuffle_is_a_permutation_that_its_seed_determines(rows: list[Row], seed: int) -> None:
    assert Counter(shuffle(rows, seed)) == Counter(rows)
    assert shuffle(rows, seed) == shuffle(rows, seed)


def test_rows_of_one_problem_do_not_stay_together() -> None:
    rows = [Row(f"p{i // 20}", f"c{i}", i % 2 == 0, f"p{i // 20}") for i in range(2000)]
    shuffled = shuffle(rows, 0)
    neighbours = sum(a.problem == b.problem for a, b in pairwise(shuffled))
    assert neighbours < len(rows) / 20


@given(ROWS, st.integers(2, 8))
def test_no_batch_of_one_is_left(rows: list[Row], batch_size: int) -> None:
    kept = without_lone_last(rows, batch_size)
    assert len(kept) % batch_size != 1
    assert len(rows) - len(kept) <= 1


@given(ROWS, SEEDS)
def test_pairs_prefer_the_desirable_of_the_same_problem_and_use_the_rarer_label_once(
    rows: list[Row], seed: int
) -> None:
    pairs = preference_pairs(rows, seed)
    by_prompt: dict[str, tuple[Counter[str], Counter[str]]] = {}
    for row in rows:
        good, bad = by_prompt.setdefault(row.prompt, (Counter(), Counter()))
        (good if row.label else bad).update([row.completion])
    made = Counter(pair.prompt for pair in pairs)
    for prompt, (good, bad) in by_prompt.items():
        assert made[prompt] == min(good.total(), bad.total())
        of_prompt = [pair for pair in pairs if pair.prompt == prompt]
        assert Counter(pair.chosen for pair in of_prompt) <= good
        assert Counter(pair.rejected for pair in of_prompt) <= bad


def test_pairs_do_not_depend_on_hash_order() -> None:
    rows = [Row("p", c, label, "p") for c, label in (("a", True), ("b", False), ("c", False))]
    assert preference_pairs(rows, 3) == preference_pairs(rows, 3)
    assert isinstance(preference_pairs(rows, 3)[0], Pair)
