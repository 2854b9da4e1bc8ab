"""Exported files load as they are, keep problems apart, and account for every sample."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from orchestrator.domain import (
    Assertions,
    CheckResult,
    CheckStatus,
    ExecutionError,
    ExecutionResult,
    Phase,
    Usage,
    Verdict,
)
from orchestrator.export.card import Card, ExportSummary
from orchestrator.export.select import (
    DOES_NOT_RUN,
    EXPORTED,
    ExportSettings,
    LabelledProblem,
    LabelledSample,
    running_side,
    select,
)
from orchestrator.export.write import export as write_dataset
from orchestrator.labels import Label, LabelPolicy, LabelReason, label_candidate, label_problem
from orchestrator.pairs import balanced_pairs
from orchestrator.problem import Problem
from orchestrator.recipe_export import FORMATS

GOOD = Label(True, LabelReason.PASSED)
BAD = Label(False, LabelReason.FAILED)
CUT = Label(None, LabelReason.TRUNCATED)
BROKEN = Label(None, LabelReason.DOES_NOT_LOAD)


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


def every_format(**settings: Any) -> ExportSettings:
    return ExportSettings(formats=FORMATS, **settings)


def export(
    problems: Iterable[LabelledProblem], folder: Path, settings: ExportSettings | None = None
) -> ExportSummary:
    renderers = {"plain": render, "conversational": lambda problem: problem.instruction}
    card = Card("abc", {"run.seed": 3, "instructions.path": "/secret/rows.jsonl"})
    return write_dataset(problems, renderers, folder, settings or every_format(), card)


def rows(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rows_hold_the_rendered_prompt_and_the_raw_completion(tmp_path: Path) -> None:
    problem = labelled("p", (" good\n", GOOD), ("bad \ud800", BAD), ("cut", CUT))
    export([problem], tmp_path)
    prompt = "<user>do p<assistant>"
    assert rows(tmp_path / "kto/train.jsonl") == [
        {"prompt": prompt, "completion": " good\n", "label": True, "problem_id": "p"},
        {"prompt": prompt, "completion": "bad \\ud800", "label": False, "problem_id": "p"},
    ]
    assert rows(tmp_path / "dpo/train.jsonl") == [
        {"prompt": prompt, "chosen": " good\n", "rejected": "bad \\ud800", "problem_id": "p"}
    ]
    assert rows(tmp_path / "sft/train.jsonl") == [
        {"prompt": prompt, "completion": " good\n", "problem_id": "p"}
    ]


def test_every_sample_is_accounted_for(tmp_path: Path) -> None:
    problems = [labelled("p", ("a", GOOD), ("a", GOOD), ("b", BAD), ("c", CUT), ("d", BAD))]
    summary = export(problems, tmp_path, every_format(max_per_problem=1))
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
    chosen, fates = select(labelled("p", ("a", GOOD), ("a", BAD), ("b", GOOD)), every_format())
    assert [s.completion for s in chosen] == ["b"]
    assert fates[:2] == ["dropped: duplicates disagree"] * 2


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from([GOOD, BAD, CUT]))))
def test_selection_gives_each_sample_one_fate_and_keeps_to_the_cap(
    samples: list[tuple[str, Label]],
) -> None:
    chosen, fates = select(labelled("p", *samples), every_format(max_per_problem=2))
    assert len(fates) == len(samples)
    assert fates.count(EXPORTED) == len(chosen)
    assert len({s.completion for s in chosen}) == len(chosen)
    per_label = Counter(s.label.value for s in chosen)
    assert None not in per_label
    assert all(count <= 2 for count in per_label.values())


def test_no_problem_is_on_both_sides_and_the_split_is_stable(tmp_path: Path) -> None:
    settings = every_format(test_share=0.3)
    export(many(100), tmp_path / "all", settings)
    export(many(50), tmp_path / "half", settings)
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
    settings = every_format(test_share=0.2, max_per_problem=2)
    first = export(many(20), tmp_path / "a", settings)
    again = export(many(20), tmp_path / "b", settings)
    assert first == again
    data = (tmp_path / "a/kto/train.jsonl").read_bytes()
    assert first.sha256["kto/train.jsonl"] == hashlib.sha256(data).hexdigest()
    card = (tmp_path / "a/README.md").read_text()
    assert first.sha256["kto/train.jsonl"] in card
    assert "`abc`" in card


def test_a_file_without_rows_is_not_left_behind(tmp_path: Path) -> None:
    export(many(30), tmp_path, every_format(test_share=0.5))
    export(many(30), tmp_path, ExportSettings(formats=("kto",)))
    assert not (tmp_path / "kto/test.jsonl").exists()
    assert not list(tmp_path.rglob("*.tmp"))


def test_a_failed_export_leaves_the_last_one_and_nothing_of_its_own(tmp_path: Path) -> None:
    export(many(20), tmp_path)
    before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    def broken() -> Iterable[LabelledProblem]:
        yield from many(5)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        export(broken(), tmp_path)
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before


def test_conversational_rows_are_lists_of_messages(tmp_path: Path) -> None:
    settings = every_format(styles=("conversational",))
    export([labelled("p", ("good", GOOD), ("bad", BAD))], tmp_path, settings)
    prompt = [{"role": "user", "content": "do p"}]
    good = [{"role": "assistant", "content": "good"}]
    bad = [{"role": "assistant", "content": "bad"}]
    folder = tmp_path / "kto_conversational"
    assert rows(folder / "train.jsonl") == [
        {"prompt": prompt, "completion": good, "label": True, "problem_id": "p"},
        {"prompt": prompt, "completion": bad, "label": False, "problem_id": "p"},
    ]
    assert rows(tmp_path / "dpo_conversational/train.jsonl") == [
        {"prompt": prompt, "chosen": good, "rejected": bad, "problem_id": "p"}
    ]
    assert not (tmp_path / "kto").exists()


def test_the_ablation_prefers_what_passes_to_what_does_not_run(tmp_path: Path) -> None:
    problems = [
        labelled("p", ("good", GOOD), ("bad", BAD), ("broken", BROKEN), ("cut", CUT)),
        labelled("none", ("broken", BROKEN)),
    ]
    summary = export(problems, tmp_path)
    found = rows(tmp_path / "ablation/train.jsonl")
    assert [(r["problem_id"], r["completion"], r["label"]) for r in found] == [
        ("p", "good", True),
        ("p", "broken", False),
    ]
    assert (summary.desirable, summary.undesirable) == (1, 1)


USAGE = Usage(0.0, 0.0, 0)
OUTCOME = st.one_of(
    st.none(),
    st.just(ExecutionError("x", "UNAVAILABLE", "lost")),
    st.builds(
        lambda verdict, phase: ExecutionResult(
            *("x", verdict, phase, "", Assertions(), None, USAGE, b"", b"", 0, 0)
        ),
        st.sampled_from([Verdict.PASSED, Verdict.PASSED, *Verdict]),
        st.sampled_from(Phase),
    ),
)
CHECK = st.none() | st.builds(lambda s: CheckResult("x", s, ()), st.sampled_from(CheckStatus))
SAMPLE = st.tuples(st.sampled_from("abcdef"), CHECK, st.lists(OUTCOME, min_size=2, max_size=2))


def judged(number: int, samples: list[Any]) -> tuple[LabelledProblem, dict[str, set[Any]]]:
    """A problem labelled by the policy, and what its samples did: read from the outcomes alone."""
    labels = label_problem(
        [label_candidate(check, outcomes, LabelPolicy()) for _, check, outcomes in samples]
    )
    did: dict[str, set[Any]] = {"passed": set(), "failed": set(), "broken": set()}
    for (text, check, outcomes), label in zip(samples, labels, strict=True):
        runs = check is None or check.status is not CheckStatus.SYNTAX_ERROR
        verdicts = {getattr(outcome, "verdict", None) for outcome in outcomes}
        if runs and verdicts == {Verdict.PASSED}:
            did["passed"].add((f"p{number}", text))
        if runs and verdicts - {None, Verdict.PASSED}:
            did["failed"].add((f"p{number}", text))
        if label.reason in DOES_NOT_RUN:
            did["broken"].add((f"p{number}", text))
    texts = [text for text, _, _ in samples]
    return labelled(f"p{number}", *zip(texts, labels, strict=True)), did


@hypothesis_settings(max_examples=40)
@given(st.lists(st.lists(SAMPLE, max_size=6), max_size=4))
def test_no_row_says_more_of_a_completion_than_its_executions_do(
    tmp_path_factory: pytest.TempPathFactory, problems: list[list[Any]]
) -> None:
    folder = tmp_path_factory.mktemp("dataset")
    exported, passed, failed, broken = [], set(), set(), set()
    for number, samples in enumerate(problems):
        problem, did = judged(number, samples)
        exported.append(problem)
        passed |= did["passed"]
        failed |= did["failed"]
        broken |= did["broken"]
    summary = export(exported, folder)
    assert sum(summary.samples.values()) == sum(map(len, problems))
    for shape, wrong in (("kto", failed), ("ablation", broken)):
        for row in rows(folder / shape / "train.jsonl"):
            key = (row["problem_id"], row["completion"])
            assert key in (passed if row["label"] else wrong)
    for row in rows(folder / "dpo/train.jsonl"):
        assert (row["problem_id"], row["chosen"]) in passed
        assert (row["problem_id"], row["rejected"]) in failed
    for row in rows(folder / "sft/train.jsonl"):
        assert (row["problem_id"], row["completion"]) in passed


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([GOOD, BAD, CUT, BROKEN]))))
def test_of_the_ablation_every_undesirable_row_does_not_run(
    samples: list[tuple[str, Label]],
) -> None:
    chosen, fates = select(labelled("p", *samples), every_format(), running_side)
    assert len(fates) == len(samples)
    assert all(s.label is GOOD or s.label is BROKEN for s in chosen)
    assert not chosen or any(s.label is GOOD for s in chosen)


def test_the_card_has_counts_recipe_and_hashes_and_no_folder(tmp_path: Path) -> None:
    summary = export(many(20), tmp_path, every_format(test_share=0.2))
    card = (tmp_path / "README.md").read_text()
    assert "`abc`" in card
    assert 'instructions.path = "rows.jsonl"' in card
    assert "run.seed = 3" in card
    assert "/secret" not in card
    assert str(tmp_path) not in card
    for name, count in summary.rows.items():
        assert f"| {name} | {count} | {summary.sha256.get(name, 'not written')}" in card
    assert f"| sampled | {sum(summary.samples.values())} |" in card


def test_the_cards_header_is_what_the_hub_reads(tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    export(many(20), tmp_path, every_format(test_share=0.2, styles=("plain", "conversational")))
    data = hub.DatasetCard.load(tmp_path / "README.md").data.to_dict()
    assert data["tags"] == ["code", "preference"]
    assert data["size_categories"] == ["n<1K"]
    configs = {c["config_name"]: c for c in data["configs"]}
    assert set(configs) == {
        f"{s}{style}"
        for s in ("kto", "dpo", "sft", "ablation")
        for style in ("", "_conversational")
    }
    assert [c for c in configs.values() if c.get("default")] == [configs["kto"]]


@pytest.mark.train
@pytest.mark.parametrize("file_type", ["jsonl", "parquet"])
def test_the_folder_loads_as_a_dataset(tmp_path: Path, file_type: str) -> None:
    datasets = pytest.importorskip("datasets")
    settings = every_format(
        test_share=0.3, styles=("plain", "conversational"), file_types=(file_type,)
    )
    problems = [labelled("odd", ("\ud800", GOOD), ("broken", BROKEN)), *many(30)]
    summary = export(problems, tmp_path / "data", settings)
    cache = str(tmp_path / "cache")

    def load(config: str) -> Any:
        return datasets.load_dataset(str(tmp_path / "data"), config, cache_dir=cache)

    loaded = load("kto")
    assert set(loaded) == {"train", "test"}
    assert len(loaded["train"]) == summary.rows[f"kto/train.{file_type}"]
    assert set(loaded["train"].column_names) == {"prompt", "completion", "label", "problem_id"}
    assert loaded["train"].features["label"].dtype == "bool"
    assert {"prompt", "chosen", "rejected"} <= set(load("dpo")["train"].column_names)
    messages = load("kto_conversational")["train"][0]["completion"]
    assert [m["role"] for m in messages] == ["assistant"]
