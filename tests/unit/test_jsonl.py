"""Rows are read from lines and from arrays alike, and whatever is wrong is placed and named."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import InputError
from orchestrator.jsonl import Row, read_rows

_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
_OBJECTS = st.lists(st.dictionaries(st.text(), _VALUES), max_size=5)


def read(content: bytes, name: str = "rows.jsonl") -> list[Row]:
    with TemporaryDirectory() as folder:
        path = Path(folder, name)
        path.write_bytes(content)
        return list(read_rows(path, name))


@given(_OBJECTS, st.booleans())
def test_lines_an_array_and_gzipped_lines_hold_the_same_rows(
    objects: list[dict[str, Any]], escaped: bool
) -> None:
    def text(value: Any) -> bytes:
        return json.dumps(value, ensure_ascii=escaped).encode()

    lines = b"\n\n".join(map(text, objects))
    assert [row.fields for row in read(lines)] == objects
    assert [row.fields for row in read(b"\xef\xbb\xbf\n " + text(objects))] == objects
    assert [row.fields for row in read(gzip.compress(lines), "rows.jsonl.gz")] == objects


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",: a1\n', max_size=40).map(str.encode))
def test_any_bytes_are_rows_or_an_input_error_that_names_the_file(content: bytes) -> None:
    try:
        said = None
        rows = read(content)
    except InputError as e:
        said, rows = str(e), []
    assert said is None or said.startswith("rows.jsonl")
    assert all(isinstance(row.fields, dict) for row in rows)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{}\n\n{"a" 1}', "rows.jsonl:3: is not JSON: Expecting ':' delimiter at column 6"),
        (b'{"a": 1\r\n{}\n', "rows.jsonl:1: is not JSON: Expecting ',' delimiter at column 8"),
        (b"[{},\n {]", "rows.jsonl: is not JSON: Expecting property name enclosed in double"),
        (b"[\n1 2]", "rows.jsonl: is not JSON: Expecting ',' delimiter at line 2 column 3"),
        (b'[{}, "x"]', "rows.jsonl[1]: is str, not an object"),
        (b'{}\n{"a": "\xed\xa0\x80"}', "rows.jsonl:2: is not UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), "rows.jsonl:1: is not JSON"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "rows.jsonl:1: is not JSON"),
    ],
)
def test_what_cannot_be_read_is_placed(content: bytes, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read(content)
    assert str(caught.value).startswith(message)


FIELDS = {"null": None, "text": "a", "number": 7, "flag": True, "long": "x" * 99, "mixed": ["a", 1]}
ROW = Row("f:1", FIELDS)


def test_the_first_field_that_holds_something_is_taken() -> None:
    assert ROW.text("absent", "null", "text", "number") == "a"
    assert ROW.optional_text("absent", "null") is None
    assert ROW.optional_text("null", "text") == "a"
    assert (ROW.flag("flag"), ROW.id("number"), ROW.texts("absent")) == (True, "7", [])


@pytest.mark.parametrize(
    ("kind", "names", "message"),
    [
        ("text", ("a", "b"), "f:1: a or b is missing"),
        ("text", ("absent", "null"), "f:1: null = None is not text"),
        ("optional_text", ("number",), "f:1: number = 7 is not text"),
        ("flag", ("number",), "f:1: number = 7 is not true or false"),
        ("flag", ("absent",), "f:1: absent is missing"),
        ("id", ("flag",), "f:1: flag = True is not an id"),
        ("texts", ("mixed",), "f:1: mixed = ['a', 1] is not a list of texts"),
        ("identifier", ("number",), "f:1: number = 7 is not text"),
    ],
)
def test_a_field_of_the_wrong_type_is_named_with_its_value(
    kind: str, names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        getattr(ROW, kind)(*names)
    assert str(caught.value) == message


def test_a_long_value_is_shown_in_part() -> None:
    assert str(ROW.wrong("long", "short")) == f"f:1: long = '{'x' * 56}... is not short"
