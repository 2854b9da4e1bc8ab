"""The output file of `plum execute` survives being cut anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.domain import Limits
from orchestrator.errors import InputError
from orchestrator.execution_output import open_output
from orchestrator.sandbox.bounds import COUNTS, SECONDS, limits_from

ROWS = [
    {"id": str(i), "verdict": "PASSED" if i % 3 else None, "message": "ä\n", "input_sha256": "x"}
    for i in range(7)
]
CONTENT = "".join(json.dumps(row) + "\n" for row in ROWS).encode()


@given(st.integers(0, len(CONTENT)))
def test_a_file_cut_at_any_byte_keeps_its_whole_rows_that_have_a_verdict(cut: int) -> None:
    wanted = {str(i): "x" for i in range(7)}
    with TemporaryDirectory() as folder:
        path = Path(folder, "out.jsonl")
        path.write_bytes(CONTENT[:cut])
        whole = CONTENT[:cut].count(b"\n")
        with open_output(path, wanted) as (writer, done):
            assert done == {str(i): "PASSED" for i in range(whole) if i % 3}
            for name in wanted.keys() - done.keys():
                writer.write({"id": name, "verdict": "PASSED", "input_sha256": "x"})
        names = [json.loads(line)["id"] for line in path.read_bytes().splitlines()]
        assert sorted(names) == sorted(wanted)
        assert [entry.name for entry in Path(folder).iterdir()] == ["out.jsonl"]


def test_rows_of_other_inputs_stay_and_changed_ones_go(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    path.write_bytes(CONTENT)
    with open_output(path, {"1": "x", "2": "changed"}) as (_, done):
        assert "2" not in done
    names = [json.loads(line)["id"] for line in path.read_bytes().splitlines()]
    assert names == ["1", "4", "5"]


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.jsonl"
    with (
        open_output(path, {}),
        pytest.raises(InputError, match="another plum execute"),
        open_output(path, {}),
    ):
        raise AssertionError("it was let in")


@given(
    st.dictionaries(
        st.sampled_from([*SECONDS, *COUNTS, "other"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    )
)
def test_limits_are_taken_only_within_their_bounds(values: dict[str, object]) -> None:
    try:
        limits = limits_from(values)
    except ValueError:
        return
    assert limits == Limits(**values)  # type: ignore[arg-type]
    for name, (least, most) in {**SECONDS, **COUNTS}.items():
        value = getattr(limits, name)
        assert value is None or least <= value <= most
