"""Sets of programs with the right answers beside them, through `plum execute` and the real jail."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.live

_PLUM = Path(sys.executable).with_name("plum")


def _wrong(rows: list[dict[str, Any]], folder: Path, *arguments: str) -> list[str]:
    """The rows whose verdict is not as expected, each with what came instead."""
    source, target = folder / "in.jsonl", folder / "out.jsonl"
    source.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    done = subprocess.run(
        [_PLUM, "execute", source, "--output", target, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert sorted(a["id"] for a in answers) == sorted(row["id"] for row in rows)
    by_id = {a["id"]: a for a in answers}
    return [why for row in rows if (why := _difference(row, by_id[row["id"]]))]


def _difference(row: dict[str, Any], answer: dict[str, Any]) -> str | None:
    expect, verdict = row["expect"], answer["verdict"]
    as_expected = (
        verdict not in expect.get("not", ())
        and verdict in expect.get("verdict", [verdict])
        and answer["phase"] == expect.get("phase", answer["phase"])
        and answer["proof"] == expect.get("proof", answer["proof"])
    )
    return (
        None if as_expected else f"{row['id']}: {verdict} in {answer['phase']}: {answer['message']}"
    )


def _python_rows(path: Path) -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [row for row in rows if row["language"] == "python"]


def test_no_attack_passes_and_no_honest_program_is_wronged(
    acceptance: Path, tmp_path: Path
) -> None:
    rows = _python_rows(acceptance / "python_open.jsonl")
    # In another order each time: what one row leaves must not decide another.
    random.shuffle(rows)
    assert _wrong(rows, tmp_path) == []


def test_right_programs_pass_and_wrong_ones_do_not(acceptance: Path, tmp_path: Path) -> None:
    rows = _python_rows(acceptance / "humanevalpack_open.jsonl")
    assert len(rows) == 200
    assert _wrong(rows, tmp_path) == []


@pytest.mark.parametrize("in_flight", [1, 64])
def test_a_loaded_machine_changes_no_verdict(
    acceptance: Path, tmp_path: Path, in_flight: int
) -> None:
    rows = _python_rows(acceptance / "overload.jsonl")
    if in_flight == 1:
        rows = rows[:16]
    assert _wrong(rows, tmp_path, "--in-flight", str(in_flight)) == []
