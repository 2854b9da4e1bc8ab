"""What a program gets from chance is found out, and nothing else is taken for it."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from orchestrator.quality.reorder import python_reordered

#: The same in every run of a program: where new ones lie is chance.
_PAIR = [object(), object()]
_IMPORTS = "import datetime, time\n"
SAYS_THE_SAME = [
    "return list({'ant', 'bee', 'cow'}), hash('ant') % 10, f'{ {1, 2} }', {'a', 'b'}.pop()",
    "a = b = object()\nreturn id(a) == id(b), id(a) == id([]), len({id(a), id(b)})",
    "def g(id): return id\nreturn g(1)",
    "now = datetime.datetime.now()\nreturn datetime.datetime.now() - now < datetime.timedelta(1)",
    "began = time.time()\nreturn 0 <= time.time() - began < 3600",
    "return datetime.datetime.now().date() - datetime.date.today() < datetime.timedelta(2)",
]


def function(body: str) -> str:
    return "def f():\n" + "".join(f"    {line}\n" for line in body.splitlines())


def result(program: str) -> str:
    names: dict[str, Any] = {"PAIR": _PAIR}
    exec(_IMPORTS + program, names)
    return repr(names["f"]())


def otherwise(program: str) -> str:
    found = python_reordered(program, "assert f() == 1", 0)
    return program if found is None else found[0]


@pytest.mark.parametrize("body", SAYS_THE_SAME)
def test_what_does_not_lean_on_addresses_or_the_date_says_the_same(body: str) -> None:
    assert result(otherwise(function(body))) == result(function(body))


@pytest.mark.parametrize(
    "body",
    [
        "return [PAIR.index(x) for x in sorted(PAIR, key=id)]",
        "return datetime.datetime.now().year",
        "return datetime.date.today().isoformat()",
        "return datetime.datetime.now(datetime.timezone.utc).strftime('%A')",
        "return int(time.time()) // 86400",
    ],
)
def test_addresses_and_the_date_are_others(body: str) -> None:
    assert result(otherwise(function(body))) != result(function(body))


def test_reference_and_suite_live_on_the_same_day() -> None:
    reference = f"{_IMPORTS}def age(born):\n    return datetime.date.today().year - born\n"
    suite = "assert age(1990) == datetime.date.today().year - 1990\n"
    found = python_reordered(reference, suite, 0)
    assert found is not None
    exec("".join(found), {})
    year = datetime.date.today().year
    found = python_reordered(reference, f"assert age(1990) == {year - 1990}\n", 0)
    assert found is not None
    with pytest.raises(AssertionError):
        exec("".join(found), {})


def test_a_clock_that_the_suite_sets_is_left_alone() -> None:
    reference = f"{_IMPORTS}def now():\n    return time.time()\n"
    suite = (
        "from unittest.mock import patch\n"
        "with patch('time.time', return_value=5.0):\n    assert now() == 5.0\n"
    )
    assert python_reordered(reference, suite, 0) is None
