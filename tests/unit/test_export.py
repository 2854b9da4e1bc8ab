"""Exported files load as they are, keep problems apart, and account for every sample."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.export import (
    EXPORTED,
    ExportSettings,
    LabelledProblem,
    LabelledSample,
    export,
    select,
)
from orchestrator.labels import Label, LabelReason
from orchestrator.pairs import balanced_pairs
from orchestrator.problem import Problem

GOOD = Label(True, LabelReason.PASSED)
BAD = Label(False, LabelReason.FAILED)
CUT = Label(None, LabelReason.TRUNCATED)


def labelled(id: str, *samples: tuple[str, Label]) -> LabelledProblem:
    problem = Problem(id, f"do {id}", "python", None, None, "test")
    return LabelledProblem(
        problem, [LabelledSample(i, text, label) for i, (text, label) in enumerate(samples)]
    )


def many(count: int) -> list[LabelledProblem]:
    return [
        labelled(f"p{i}", *((f"good {j}", GOOD) for j in range(i % 4 + 1)), ("bad", BAD))
        for i in range(count)
    ]


def render(problem: Problem) -> str:
    return f"<user>{problem.instruction}<assistant>"


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_hold_the_rendered_prompt_and_the_raw_completion(tmp_path: Path) -> None:
    problem = labelled("p", (" good\n", GOOD), ("bad \ud800", BAD), ("cut", CUT))
    export([problem], render, tmp_path, ExportSettings(), "abc")
    prompt = "<user>do p<assistant>"
    assert rows(tmp_path / "kto/train.jsonl") == [
        {"prompt": prompt, "completion": " good\n", "label": True, "problem_id": "p"},
        {"prompt": prompt, "completion": "bad \ud800", "label": False, "problem_id": "p"},
    ]
    assert rows(tmp_path / "dpo/train.jsonl") == [
        {"prompt": prompt, "chosen": " good\n", "rejected": "bad \ud800", "problem_id": "p"}
    ]
    assert rows(tmp_path / "sft/train.jsonl") == [
        {"prompt": prompt, "completion": " good\n", "problem_id": "p"}
    ]


def test_every_sample_is_accounted_for(tmp_path: Path) -> None:
    problems = [labelled("p", ("a", GOOD), ("a", GOOD), ("b", BAD), ("c", CUT), ("d", BAD))]
    summary = export(problems, render, tmp_path, ExportSettings(max_per_problem=1), "abc")
    assert summary.samples == {
        EXPORTED: 2,
        "merged: duplicate": 1,
        "left out: over the cap": 1,
        "dropped: cut by the length limit": 1,
    }
    fates = Counter(row["fate"] for row in rows(tmp_path / "provenance.jsonl"))
    assert dict(fates) == summary.samples
    assert (summary.desirable, summary.undesirable) == (1, 1)


def test_equal_completions_with_unlike_labels_are_left_out() -> None:
    chosen, fates = select(labelled("p", ("a", GOOD), ("a", BAD), ("b", GOOD)), ExportSettings())
    assert [s.completion for s in chosen] == ["b"]
    assert fates[:2] == ["dropped: duplicates disagree"] * 2


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([GOOD, BAD, CUT]))))
def test_selection_gives_each_sample_one_fate_and_keeps_to_the_cap(
    samples: list[tuple[str, Label]],
) -> None:
    chosen, fates = select(labelled("p", *samples), ExportSettings(max_per_problem=2))
    assert len(fates) == len(samples)
    assert fates.count(EXPORTED) == len(chosen)
    assert len({s.completion for s in chosen}) == len(chosen)
    per_label = Counter(s.label.value for s in chosen)
    assert None not in per_label
    assert all(count <= 2 for count in per_label.values())


def test_no_problem_is_on_both_sides_and_the_split_is_stable(tmp_path: Path) -> None:
    settings = ExportSettings(test_share=0.3)
    export(many(100), render, tmp_path / "all", settings, "abc")
    export(many(50), render, tmp_path / "half", settings, "abc")
    train = {row["problem_id"] for row in rows(tmp_path / "all/kto/train.jsonl")}
    test = {row["problem_id"] for row in rows(tmp_path / "all/kto/test.jsonl")}
    assert not train & test
    assert 15 <= len(test) <= 45
    half = {row["problem_id"] for row in rows(tmp_path / "half/kto/test.jsonl")}
    assert half == {id for id in test if int(id[1:]) < 50}


@given(st.integers(0, 12), st.integers(0, 12), st.none() | st.integers(1, 20))
def test_there_are_as_many_pairs_as_of_the_rarer_label_and_no_sample_is_in_two(
    good: int, bad: int, limit: int | None
) -> None:
    chosen, rejected = [f"g{i}" for i in range(good)], [f"b{i}" for i in range(bad)]
    pairs = balanced_pairs(chosen, rejected, limit, "seed")
    assert len(pairs) == min(good, bad, good if limit is None else limit)
    for side, names in ((0, chosen), (1, rejected)):
        used = {pair[side] for pair in pairs}
        assert len(used) == len(pairs)
        assert used <= set(names)


def test_an_export_is_repeatable_and_named_by_its_hashes(tmp_path: Path) -> None:
    settings = ExportSettings(test_share=0.2, max_per_problem=2)
    first = export(many(20), render, tmp_path / "a", settings, "abc")
    again = export(many(20), render, tmp_path / "b", settings, "abc")
    assert first == again
    data = (tmp_path / "a/kto/train.jsonl").read_bytes()
    assert first.sha256["kto/train"] == hashlib.sha256(data).hexdigest()
    card = (tmp_path / "a/README.md").read_text()
    assert first.sha256["kto/train"] in card
    assert "`abc`" in card


def test_a_file_without_rows_is_not_left_behind(tmp_path: Path) -> None:
    export(many(30), render, tmp_path, ExportSettings(test_share=0.5), "abc")
    export(many(30), render, tmp_path, ExportSettings(formats=("kto",)), "abc")
    assert not (tmp_path / "kto/test.jsonl").exists()
    assert not list(tmp_path.rglob("*.tmp"))


@pytest.mark.train
def test_the_folder_loads_as_a_dataset(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    export(many(30), render, tmp_path / "data", ExportSettings(test_share=0.3), "abc")
    cache = str(tmp_path / "cache")
    loaded = datasets.load_dataset(str(tmp_path / "data"), "kto", cache_dir=cache)
    assert set(loaded) == {"train", "test"}
    assert set(loaded["train"].column_names) == {"prompt", "completion", "label", "problem_id"}
    assert loaded["train"].features["label"].dtype == "bool"
    pairs = datasets.load_dataset(str(tmp_path / "data"), "dpo", cache_dir=cache)
    assert {"prompt", "chosen", "rejected"} <= set(pairs["train"].column_names)
