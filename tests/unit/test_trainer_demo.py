"""The demo's problems are disjoint, sound and repeatable; its answers are broken as announced."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.generation.parser import parse_answer
from trainer.demo.answers import FLAWS, write_answers, write_benchmark, write_instructions
from trainer.demo.corpus import documents, misreading_rates
from trainer.demo.tasks import (
    PHRASES,
    SPLIT_SIZES,
    Task,
    all_tasks,
    assertions,
    load,
    split_tasks,
)

SEEDS = st.integers(0, 2**31 - 1)
TASKS = st.sampled_from(all_tasks())


def holds(program: str, suite: list[str]) -> bool:
    """Whether our own program passes our own assertions."""
    names = {"solve": load(program)}
    try:
        exec("\n".join(suite), names)
    except AssertionError:
        return False
    return True


@given(SEEDS)
@settings(max_examples=10)
def test_splits_share_phrases_but_no_composition_and_no_wording(seed: int) -> None:
    splits = split_tasks(seed)
    assert {name: len(tasks) for name, tasks in splits.items()} == SPLIT_SIZES
    everything = list(itertools.chain(*splits.values()))
    assert len({task.id for task in everything}) == len(everything)
    assert len({task.instruction for task in everything}) == len(everything)
    for tasks in splits.values():
        assert {phrase for task in tasks for phrase in task.parts} == set(PHRASES)


def test_at_least_three_hundred_problems_are_held_out() -> None:
    assert SPLIT_SIZES["held_out"] >= 300


def test_a_split_depends_on_its_seed_alone() -> None:
    assert split_tasks(1) == split_tasks(1)
    assert split_tasks(1) != split_tasks(2)


@given(TASKS, SEEDS)
def test_a_suite_holds_for_the_right_program_and_for_no_misreading(task: Task, seed: int) -> None:
    suite = assertions(task, random.Random(seed))
    right = load(task.program())
    assert holds(task.program(), suite)
    rng = random.Random(seed)
    probes = [[rng.randint(-9, 12) for _ in range(6)] for _ in range(40)]
    for flags in itertools.product((False, True), repeat=3):
        if holds(task.program(flags), suite):
            misread = load(task.program(flags))
            differing = sum(misread(probe) != right(probe) for probe in probes)
            assert differing <= 4, flags


@given(TASKS)
def test_an_instruction_names_its_three_phrases_and_a_task_its_place(task: Task) -> None:
    assert all(phrase.text in task.instruction for phrase in task.parts)
    assert "solve(xs)" in task.instruction
    assert [t for t in all_tasks() if t.id == task.id] == [task]


def test_the_corpus_misreads_some_phrases_more_often_than_not() -> None:
    rates = misreading_rates(0)
    assert set(rates) == set(PHRASES)
    mostly_wrong = sum(rate > 0.5 for rate in rates.values())
    assert len(PHRASES) / 5 < mostly_wrong < len(PHRASES) / 2


def test_the_corpus_repeats_with_its_seed_and_visits_every_task_once_a_round() -> None:
    tasks = split_tasks(0)["base"][:50]
    first = list(itertools.islice(documents(tasks, 3), 100))
    assert first == list(itertools.islice(documents(tasks, 3), 100))
    assert Counter(instruction for instruction, _ in first[:50]) == Counter(
        task.instruction for task in tasks
    )


def test_answers_have_four_sections_and_the_announced_share_of_flaws(tmp_path: Path) -> None:
    tasks = split_tasks(0)["preference"][:300]
    write_answers(tmp_path / "answers.jsonl", tasks, 3, seed=0)
    seen: Counter[str] = Counter()
    by_id = {task.id: task for task in tasks}
    for line in (tmp_path / "answers.jsonl").read_text().splitlines():
        row = json.loads(line)
        for text in row["answers"]:
            answer = parse_answer(text)
            assert answer.analysis
            assert answer.solution
            assert answer.start_code
            seen[_flaw(by_id[row["problem_id"]], answer.solution, answer.test_code)] += 1
    assert seen.total() == 900
    for flaw, share in FLAWS.items():
        # Three standard deviations; a misread reference may happen to mean the same.
        margin = 3 * (900 * share * (1 - share)) ** 0.5
        assert abs(seen[flaw] - 900 * share) < margin + 10, (flaw, seen)


def _flaw(task: Task, solution: str, suite: str | None) -> str:
    if suite is None:
        return "no suite"
    if solution != task.program():
        return "wrong reference" if not holds(solution, suite.splitlines()) else "none"
    try:
        compile(suite, "suite", "exec")
    except SyntaxError:
        return "suite does not parse"
    if "assert" not in suite:
        return "suite checks nothing"
    return "none" if holds(solution, suite.splitlines()) else "wrong expectation"


@pytest.mark.parametrize("seed", [0, 1])
def test_files_are_the_same_for_the_same_seed(tmp_path: Path, seed: int) -> None:
    tasks = split_tasks(seed)["held_out"][:20]
    texts = []
    for name in ("a", "b"):
        folder = tmp_path / name
        folder.mkdir()
        write_instructions(folder / "i", tasks)
        write_answers(folder / "a", tasks, 2, seed)
        write_benchmark(folder / "b", tasks, seed)
        texts.append([(folder / file).read_text() for file in ("i", "a", "b")])
    assert texts[0] == texts[1]
