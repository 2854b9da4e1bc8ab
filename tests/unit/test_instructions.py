"""Every row of the published shapes ends as a problem or as a drop with a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InputError
from orchestrator.problem import Problem
from orchestrator.store.problems import Drop
from tests.unit.instructions import load, read

OSS_INSTRUCT = {
    "lang": "python",
    "raw_index": 78276,
    "index": 26292,
    "seed": "def total(xs):\n    ...",
    "openai_fingerprint": "fp_0",
    "problem": "Write a function that adds up a list.",
    "solution": "```python\ndef total(xs):\n    return sum(xs)\n```",
}
EVOL_INSTRUCT = {
    "instruction": "Create a function that reverses a string.",
    "output": "Here it is:\n\n```python\ndef reverse(s):\n    return s[::-1]\n```",
}
SHAREGPT = {
    "id": "abc_0",
    "conversations": [
        {"from": "system", "value": "Be brief."},
        {"from": "human", "value": "Please write a sorting function."},
        {"from": "gpt", "value": "```py\ndef f(xs): return sorted(xs)\n```"},
        {"from": "human", "value": "Thanks!"},
    ],
}
PLAIN = {"id": "p1", "instruction": "def f(x):\n", "start_code": "def f(x):\n", "entry_point": "f"}


@pytest.mark.parametrize(
    ("row_format", "row", "instruction"),
    [
        ("oss_instruct", OSS_INSTRUCT, OSS_INSTRUCT["problem"]),
        ("oss_instruct", {"instruction": "Do it.", "response": "x"}, "Do it."),
        ("evol_instruct", EVOL_INSTRUCT, EVOL_INSTRUCT["instruction"]),
        ("sharegpt", SHAREGPT, "Please write a sorting function."),
        ("plain", PLAIN, "def f(x):\n"),
    ],
)
def test_published_shapes_become_problems(
    tmp_path: Path, row_format: str, row: dict[str, Any], instruction: str
) -> None:
    [(location, problem)] = load(tmp_path, [row], row_format)
    assert location == f"{tmp_path}/rows.jsonl:1"
    assert problem.instruction == instruction
    assert problem.language == "python"
    assert problem.source == row_format
    assert problem.id == row.get("id", problem.id)


def test_plain_rows_keep_start_code_and_entry_point(tmp_path: Path) -> None:
    [(_, problem)] = load(tmp_path, [PLAIN], "plain")
    assert problem == Problem("p1", "def f(x):\n", "python", "def f(x):\n", "f", "plain")


@pytest.mark.parametrize(
    ("row_format", "row", "reason"),
    [
        ("oss_instruct", {**OSS_INSTRUCT, "lang": "rust"}, "another language"),
        (
            "evol_instruct",
            {"instruction": "x", "output": "```java\nclass A {}\n```"},
            "another language",
        ),
        ("sharegpt", {"conversations": [{"from": "gpt", "value": "Hi"}]}, "no human turn"),
        ("sharegpt", {"conversations": []}, "no human turn"),
        (
            "sharegpt",
            {"conversations": [{"from": "human", "value": "What is love?"}]},
            "does not ask for code",
        ),
        ("plain", {"instruction": "  \n"}, "empty instruction"),
    ],
)
def test_what_cannot_be_used_is_dropped_with_its_reason(
    tmp_path: Path, row_format: str, row: dict[str, Any], reason: str
) -> None:
    [drop] = load(tmp_path, [row], row_format)
    assert isinstance(drop, Drop)
    assert drop.reason == reason
    assert drop.location.endswith("rows.jsonl:1")


@pytest.mark.parametrize("name", ["Python", "py", "python3", " PYTHON "])
def test_other_names_of_the_language_are_understood(tmp_path: Path, name: str) -> None:
    [(_, problem)] = load(tmp_path, [{**OSS_INSTRUCT, "lang": name}], "oss_instruct")
    assert problem.language == "python"


def test_equal_instructions_are_merged_and_the_first_is_named(tmp_path: Path) -> None:
    first, second = load(tmp_path, [EVOL_INSTRUCT, EVOL_INSTRUCT], "evol_instruct")
    assert isinstance(second, Drop)
    assert (second.reason, second.detail) == ("duplicate", f"of {first[0]}")


def test_ids_are_stable_and_do_not_depend_on_the_order(tmp_path: Path) -> None:
    rows = [{"instruction": f"Task {i}"} for i in range(5)]
    forward = {p.instruction: p.id for _, p in load(tmp_path, rows, "plain")}
    backward = {p.instruction: p.id for _, p in load(tmp_path, rows[::-1], "plain")}
    assert forward == backward
    assert len(set(forward.values())) == 5


def test_an_id_used_for_two_instructions_is_refused_naming_both(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"rows\.jsonl:2: id 'a' is taken by .*rows\.jsonl:1"):
        load(tmp_path, [{"id": "a", "instruction": "x"}, {"id": "a", "instruction": "y"}], "plain")


def test_a_plain_row_may_call_its_fields_otherwise(tmp_path: Path) -> None:
    names = {"id": "task", "instruction": "question", "start_code": "stub", "language": "lang"}
    row = {"task": 7, "question": "Add.", "stub": "def f():\n", "lang": "py", "entry_point": "f"}
    other = {**row, "task": 8, "lang": "rust", "question": "Subtract."}
    (_, problem), drop = load(tmp_path, [row, other], "plain", fields=names)
    assert problem == Problem("7", "Add.", "python", "def f():\n", "f", "plain")
    assert (drop.reason, drop.detail) == ("another language", "rust")


def test_a_field_that_the_recipe_names_has_to_be_there(tmp_path: Path) -> None:
    rows = [{"instruction": "Add.", "code": "def f():\n"}]
    with pytest.raises(InputError, match=r"rows\.jsonl:1: cod is missing \(start_code\)"):
        load(tmp_path, rows, "plain", fields={"start_code": "cod"})


def test_rows_of_other_languages_can_be_kept(tmp_path: Path) -> None:
    rows = [{**OSS_INSTRUCT, "lang": "rust"}]
    [(_, problem)] = load(tmp_path, rows, "oss_instruct", filters={"language": False})
    assert problem.language == "python"


def test_the_limit_counts_problems(tmp_path: Path) -> None:
    rows = [{"instruction": " "}, *({"instruction": f"Task {i}"} for i in range(5))]
    assert len(load(tmp_path, rows, "plain", limit=2)) == 3


def test_a_json_array_is_read_like_lines(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    path.write_text("\n " + json.dumps([EVOL_INSTRUCT, {"instruction": ""}]))
    found = read(path, "evol_instruct")
    assert found[0][0] == f"{path}[0]"
    assert found[1].location == f"{path}[1]"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"instruction": "x"', "rows.jsonl:2: is not JSON"),
        (b'"text"', "rows.jsonl:2: is str, not an object"),
        (b'{"text": "x"}', "rows.jsonl:2: instruction is missing"),
        (b'{"instruction": 5}', "rows.jsonl:2: instruction = 5 is not text"),
        (b'{"instruction": "x", "id": [1]}', "rows.jsonl:2: id = [1] is not an id"),
        (b'{"instruction": "\xff"}', "rows.jsonl:2: is not UTF-8"),
        (b"[" * 100_000, "rows.jsonl:2: is not JSON"),
    ],
)
def test_a_broken_row_is_refused_with_file_line_and_field(
    tmp_path: Path, line: bytes, words: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"instruction": "fine"}\n' + line + b"\n")
    with pytest.raises(InputError) as caught:
        read(path, "plain")
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "turns", [None, "x", [1], [{"from": "human"}], [{"from": "human", "value": 3}], [{"from": 1}]]
)
def test_a_broken_conversation_is_refused(tmp_path: Path, turns: Any) -> None:
    with pytest.raises(InputError, match=r"rows\.jsonl:1"):
        load(tmp_path, [{"conversations": turns}], "sharegpt")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
_names = st.sampled_from(
    ["id", "instruction", "problem", "lang", "output", "conversations", "from", "value"]
)


@given(
    st.lists(st.dictionaries(_names, _json), max_size=4),
    st.sampled_from(["oss_instruct", "evol_instruct", "sharegpt", "plain"]),
)
def test_any_row_is_a_problem_a_drop_or_an_input_error(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Any], row_format: str
) -> None:
    folder = tmp_path_factory.mktemp("rows")
    try:
        found = load(folder, rows, row_format)
    except InputError:
        return
    assert len(found) == len(rows)
