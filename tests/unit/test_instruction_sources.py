"""Instructions come alike from JSON, from Parquet and from a dataset by its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import InputError
from tests.unit.instructions import outcomes, read, section

ROWS = [
    {"instruction": "Add two numbers.", "output": "```python\nx\n```"},
    {"instruction": "Subtract two numbers.", "output": "```java\nx\n```"},
    {"instruction": " ", "output": ""},
]
CHAT = [{"conversations": [{"from": "human", "value": "Write a function."}]}]


def facts(found: list[Any]) -> list[str]:
    return [row.reason if hasattr(row, "reason") else row[1].instruction for row in found]


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pa = pytest.importorskip("pyarrow")
    pytest.importorskip("pyarrow.parquet").write_table(pa.Table.from_pylist(rows), path)


def test_parquet_is_read_like_json(tmp_path: Path) -> None:
    write_parquet(tmp_path / "rows.parquet", ROWS)
    found = read(tmp_path / "rows.parquet", "evol_instruct")
    assert facts(found) == ["Add two numbers.", "another language", "empty instruction"]
    assert found[2].location == f"{tmp_path}/rows.parquet[2]"


def test_conversations_survive_parquet(tmp_path: Path) -> None:
    write_parquet(tmp_path / "rows.parquet", CHAT)
    assert facts(read(tmp_path / "rows.parquet", "sharegpt")) == ["Write a function."]


def test_what_is_not_parquet_is_refused_by_name(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "rows.parquet").write_text("no")
    with pytest.raises(InputError, match=r"rows\.parquet: is not Parquet"):
        read(tmp_path / "rows.parquet", "plain")


def dataset(folder: Path) -> Path:
    pytest.importorskip("datasets")
    (folder / "data").mkdir()
    for split in ("train", "test"):
        rows = [{"question": f"{row['instruction']} ({split})"} for row in ROWS]
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "data" / f"{split}.jsonl").write_text(text)
    return folder / "data"


def test_a_dataset_is_read_by_its_name_and_split(tmp_path: Path) -> None:
    folder = dataset(tmp_path)
    fields = {"instruction": "question"}
    found = outcomes(section(tmp_path, dataset="data", split="test", fields=fields))
    assert facts(found) == [
        "Add two numbers. (test)",
        "Subtract two numbers. (test)",
        "  (test)",
    ]
    assert found[0][0] == f"{folder}[test][0]"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"split": "validation"}, "[validation]: Bad split: validation"),
        ({"config": "other"}, "[train]: BuilderConfig 'other' not found"),
    ],
)
def test_a_part_that_a_dataset_has_not_is_refused(
    tmp_path: Path, keys: dict[str, str], words: str
) -> None:
    dataset(tmp_path)
    with pytest.raises(InputError) as caught:
        outcomes(section(tmp_path, dataset="data", **keys))
    assert words in str(caught.value)
