"""What generation is made of: money, repetitions, the cache, and reading what endpoints say."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.errors import BudgetError, PlumError
from orchestrator.generation import retry
from orchestrator.generation.amount import answers_wanted
from orchestrator.generation.batch_lines import custom_id, read_lines
from orchestrator.generation.budget import Budget
from orchestrator.generation.cache import open_cache
from orchestrator.generation.completions import Unreadable, read_completion
from orchestrator.generation.retry import GaveUp, Repeater
from orchestrator.problem import Problem
from orchestrator.store.answers import Answer
from tests.integration.run_helpers import generation_settings as settings

PROBLEM = Problem("p", "Add one.", "python", None, None, "plain")


def budget(spent_usd: float = 0.0, **changes: Any) -> Budget:
    prices = {"usd_per_million_prompt_tokens": 1.0, "usd_per_million_completion_tokens": 4.0}
    return Budget(settings("", **{**prices, **changes}), spent_usd)


@given(
    st.floats(0.0, 0.1),
    st.lists(st.tuples(st.booleans(), st.integers(0, 9), st.integers(0, 100), st.integers(0, 60))),
)
def test_what_is_spent_never_passes_the_bound(
    bound: float, steps: list[tuple[bool, int, int, int]]
) -> None:
    money = budget(max_cost_usd=bound)
    under_way: set[int] = set()
    for ask, index, completion_tokens, prompt_tokens in steps:
        if ask and index not in under_way and money.admit(PROBLEM, index):
            under_way.add(index)
        elif index in under_way:
            under_way.remove(index)
            money.settle("p", index, Answer("", "stop", prompt_tokens, completion_tokens))
        assert money.spent_usd <= bound


def test_money_that_is_set_aside_is_free_again_when_less_was_needed() -> None:
    most = budget(max_cost_usd=1.0)
    while most.admit(PROBLEM, 0):  # the same request over and over sets aside over and over
        pass
    one = budget(max_cost_usd=0.004)
    assert one.admit(PROBLEM, 0)
    count = 1
    while one.admit(PROBLEM, count):
        count += 1
    assert not one.admit(PROBLEM, count)
    one.settle("p", 0, Answer("", "stop", 10, 1))
    assert one.admit(PROBLEM, count)
    assert one.spent_usd == pytest.approx((10 * 1 + 1 * 4) / 1e6)


def test_an_endpoint_that_does_not_count_tokens_is_taken_to_cost_the_most() -> None:
    money = budget()
    money.admit(PROBLEM, 0)
    silent = money.settle("p", 0, Answer("text", "stop"))
    assert silent > 100 * 4 / 1e6  # all of max_tokens, and a prompt
    money.admit(PROBLEM, 0)
    assert money.settle("p", 0, Answer("no", "refused")) == 0.0
    assert money.spent_usd == silent


def test_money_of_earlier_starts_counts() -> None:
    money = budget(spent_usd=5.0, max_cost_usd=5.0)
    assert not money.admit(PROBLEM, 0)
    error = money.error(PROBLEM)
    assert isinstance(error, BudgetError)
    assert error.exit_code == 4
    assert "5.000000 USD are spent" in str(error)
    assert "max_cost_usd = 5.0" in str(error)


@pytest.mark.parametrize(
    ("asked", "source", "count"),
    [(None, "plain", 3), (None, "evol_instruct", 6), (2, "evol_instruct", 2), (7, "plain", 7)],
)
def test_answers_per_problem_depend_on_the_source_unless_the_recipe_says(
    asked: int | None, source: str, count: int
) -> None:
    assert answers_wanted(asked, source) == count


def failure(status: int, **headers: str) -> openai.APIStatusError:
    request = httpx2.Request("POST", "http://x")
    response = httpx2.Response(status, headers=headers, request=request)
    return openai.APIStatusError("no\nway", response=response, body=None)


@pytest.mark.parametrize("as_date", [False, True])
def test_the_endpoint_says_how_long_to_wait(monkeypatch: pytest.MonkeyPatch, as_date: bool) -> None:
    waits: list[float] = []
    repeater = Repeater(max_retries=2)
    monkeypatch.setattr(repeater._stopped, "wait", lambda s: waits.append(s) or False)
    at = datetime.now(UTC) + timedelta(seconds=90)
    asked = at.strftime("%a, %d %b %Y %H:%M:%S GMT") if as_date else "90"
    answers = [failure(429, **{"retry-after": asked}), failure(503), None]

    def action() -> str:
        error = answers.pop(0)
        if error is not None:
            raise error
        return "done"

    assert repeater.call(action) == "done"
    assert 85 < waits[0] <= 90
    assert waits[1] <= 2 * retry._FIRST_WAIT_S


def test_an_endpoint_that_asks_for_too_long_a_wait_is_given_up_at_once() -> None:
    def action() -> None:
        raise failure(429, **{"retry-after": "86400"})

    with pytest.raises(GaveUp, match=r"status 429: no way, 1 times; asks to wait 86400 s"):
        Repeater(max_retries=9).call(action)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_another_try_cannot_mend_is_not_tried_again(status: int) -> None:
    calls = []

    def action() -> None:
        calls.append(1)
        raise failure(status)

    with pytest.raises(openai.APIStatusError):
        Repeater(max_retries=9).call(action)
    assert calls == [1]


def test_a_repeater_that_was_stopped_repeats_nothing() -> None:
    repeater = Repeater(max_retries=1000)
    repeater.stop()

    def action() -> None:
        raise Unreadable("noise")

    with pytest.raises(GaveUp, match="noise, 1 times"):
        repeater.call(action)


def test_a_cache_keeps_the_first_answer_for_whoever_opens_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "cache.sqlite3"
    with open_cache(path) as cache, open_cache(path) as other:
        assert cache is not None
        assert other is not None
        assert cache.get("a", 0) is None
        cache.put("a", 0, Answer("one \ud800", "stop", 1, 2))
        other.put("a", 0, Answer("two", "stop", 3, 4))
        assert other.get("a", 0) == Answer("one \\ud800", "stop", 1, 2)
        assert other.get("a", 1) is None
    with open_cache(None) as none:
        assert none is None


def test_a_cache_that_is_none_is_one_line_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "cache.sqlite3"
    path.write_text("no database" * 100)
    with pytest.raises(PlumError, match=r"cache\.sqlite3: "), open_cache(path):
        pass


_KEYS = (
    *("choices", "message", "content", "usage", "custom_id", "response", "status_code"),
    *("body", "error", "finish_reason", "prompt_tokens"),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.text(), inner)
        | st.fixed_dictionaries(
            {},
            optional={key: inner for key in _KEYS},
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_any_data_is_a_completion_or_unreadable(data: Any) -> None:
    try:
        answer = read_completion(data)
    except Unreadable:
        return
    assert isinstance(answer.text, str)
    assert answer.prompt_tokens >= 0


@given(st.lists(JSON).map(lambda rows: "\n".join(map(json.dumps, rows)).encode()) | st.binary())
def test_any_file_is_lines_or_unreadable(content: bytes) -> None:
    try:
        lines = read_lines(content)
    except Unreadable:
        return
    assert len(lines) == sum(1 for line in content.split(b"\n") if line.strip())
    assert all(line.answer is not None or line.reason for line in lines)


def test_names_within_a_batch_are_short_and_tell_answers_apart() -> None:
    names = {custom_id(sha * 64, index) for sha in "ab" for index in range(64)}
    assert len(names) == 128
    assert all(len(name) <= 64 for name in names)
