"""SECURITY.md promises nothing that no test holds."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LINES = (TESTS.parent / "SECURITY.md").read_text(encoding="utf-8").splitlines()
PROMISES = [line for line in LINES if re.match(r"\| \d+ \|", line)]
ATTACKS = [line for line in LINES if line.count("|") == 10 and not line.startswith("|---")][1:]

_REFERENCE = re.compile(r"`(test_\w+\.py)::(test_\w+)`|`(conformance/[\w/]+)`")


def _exists(file: str, function: str, folder: str) -> bool:
    if folder:
        return any((TESTS / folder).glob("*.toml"))
    return any(
        isinstance(node, ast.FunctionDef) and node.name == function
        for path in TESTS.rglob(file)
        for node in ast.parse(path.read_text(encoding="utf-8")).body
    )


def test_promises_are_numbered_without_a_gap() -> None:
    assert [int(line.split("|")[1]) for line in PROMISES] == list(range(1, len(PROMISES) + 1))
    assert len(PROMISES) > 20


@pytest.mark.parametrize("line", PROMISES + ATTACKS, ids=lambda line: line.split("|")[1].strip())
def test_every_promise_names_tests_that_exist(line: str) -> None:
    held_by = line.rstrip("| ").rpartition("|")[2]
    references = _REFERENCE.findall(held_by)
    assert references, "no test is named"
    assert held_by.count("::") == sum(1 for file, _, _ in references if file)
    assert [r for r in references if not _exists(*r)] == []


def test_every_attack_is_in_the_table_of_who_is_fooled() -> None:
    assert len(ATTACKS) > 8
