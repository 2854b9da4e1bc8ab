"""The Batch API: nothing is lost, nothing is handed in twice, whatever happens on the way."""

from __future__ import annotations

import os
import queue
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import BudgetError
from orchestrator.generation import retry
from orchestrator.generation.provider import ProviderError
from orchestrator.run import open_run
from orchestrator.stages.pipeline import run_stages
from orchestrator.status import read_status
from orchestrator.store.database import open_reader
from orchestrator.store.stages import StageSummary
from tests.integration.batch_endpoint import BatchEndpoint, CallFault, serve_batches
from tests.integration.endpoint import serve_endpoint, teacher_answer
from tests.integration.forked import start_generation
from tests.integration.http_server import Reply
from tests.integration.run_helpers import write_instructions

PROBLEMS = 7
ANSWERS = 3 * PROBLEMS


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(retry, "_LONGEST_WAIT_S", 0.05)


@pytest.fixture
def endpoint() -> Iterator[BatchEndpoint]:
    with serve_batches() as served:
        yield served


def recipe(folder: Path, url: str, more: str = "", provider: str = "batch") -> Path:
    """A recipe that only generates; three answers to each problem, the default."""
    folder.mkdir(exist_ok=True)
    write_instructions(folder, PROBLEMS)
    path = folder / "recipe.toml"
    path.write_text(
        f"""
[instructions]
path = "instructions.jsonl"
[generation]
provider = "{provider}"
base_url = "{url}"
model = "teacher"
max_tokens = 25
max_retries = 2
batch_size = 8
poll_s = 0.01
{more}
"""
    )
    return path


def generate(folder: Path, file: Path | None) -> StageSummary:
    """Loads and generates in this process; returns what came of the generation."""
    with open_run(folder / "run", file) as run:
        return list(run_stages(run, ["load", "generate"]))[-1].summary


def answers(folder: Path) -> list[tuple[Any, ...]]:
    """What is stored, in a fixed order."""
    with open_reader(folder / "run") as db:
        assert db.value("SELECT count(*) FROM batch_requests") == 0
        return db.rows(
            "SELECT problem_id, request_sha, answer_index, text, finish_reason, completion_tokens"
            " FROM answers ORDER BY problem_id, answer_index"
        )


def test_batches_give_what_single_requests_give(tmp_path: Path, endpoint: BatchEndpoint) -> None:
    found = generate(tmp_path / "batch", recipe(tmp_path / "batch", endpoint.url))
    assert found.counts == {
        "answers": ANSWERS,
        "prompt tokens": 10 * ANSWERS,
        "completion tokens": 20 * ANSWERS,
    }
    assert endpoint.sizes() == [8, 8, 5]
    count = next(c for c in read_status(tmp_path / "batch" / "run").counts if c.name == "answers")
    assert (count.done, count.total) == (ANSWERS, ANSWERS)
    assert set(endpoint.paid.values()) == {1}
    with serve_endpoint() as single:
        generate(tmp_path / "single", recipe(tmp_path / "single", single.url, provider="openai"))
    assert answers(tmp_path / "batch") == answers(tmp_path / "single")
    calls = len(endpoint.calls)
    generate(tmp_path / "batch", None)
    assert len(endpoint.calls) == calls, "a finished run asked again"


def first_of_each_path(reply: Reply) -> CallFault:
    """A fault that befalls the first call of every kind."""
    seen: set[str] = set()

    def fault(number: int, method: str, path: str) -> Reply | None:
        kind = f"{method} {path}"
        return None if kind in seen or seen.add(kind) else reply  # type: ignore[func-returns-value]

    return fault


@pytest.mark.parametrize(
    "reply",
    [
        (429, "slow down", {"Retry-After": "0"}),
        (200, "{}", {"Content-Type": "application/json"}),
        (200, "<html>proxy</html>", {"Content-Type": "text/html"}),
        (500, None, {}),
    ],
    ids=lambda reply: f"{reply[0]} {reply[1]}",
)
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_call_that_fails_or_whose_answer_is_lost_pays_nothing_twice(
    tmp_path: Path, endpoint: BatchEndpoint, when: str, reply: Reply
) -> None:
    setattr(endpoint, when, first_of_each_path(reply))
    generate(tmp_path, recipe(tmp_path, endpoint.url))
    assert [text for _, _, _, text, _, _ in answers(tmp_path)] == [
        teacher_answer(n) for n in range(PROBLEMS) for _ in range(3)
    ]
    assert endpoint.paid.total() == ANSWERS
    assert set(endpoint.paid.values()) == {1}


def test_requests_that_failed_are_handed_in_again_and_no_others(
    tmp_path: Path, endpoint: BatchEndpoint
) -> None:
    failed: set[str] = set()

    def fail_once(custom_id: str, before: int) -> tuple[int, Any] | None:
        if custom_id.endswith("-1") and custom_id not in failed:
            failed.add(custom_id)
            return 500, {"error": {"message": "oops"}}
        return None

    endpoint.line = fail_once
    generate(tmp_path, recipe(tmp_path, endpoint.url))
    assert len(answers(tmp_path)) == ANSWERS
    assert sum(endpoint.sizes()) == ANSWERS + len(failed) == ANSWERS + PROBLEMS
    assert set(endpoint.paid.values()) == {1}


def test_a_batch_that_expired_half_done_is_completed_by_another(
    tmp_path: Path, endpoint: BatchEndpoint
) -> None:
    endpoint.ends_as = "expired"
    handed_in: set[str] = set()

    def expire(custom_id: str, before: int) -> tuple[int, Any] | None:
        late = custom_id.endswith("-2") and custom_id not in handed_in
        handed_in.add(custom_id)
        return (408, {"code": "batch_expired"}) if late else None

    endpoint.line = expire
    generate(tmp_path, recipe(tmp_path, endpoint.url))
    assert len(answers(tmp_path)) == ANSWERS
    assert set(endpoint.paid.values()) == {1}


def test_a_refused_request_is_an_empty_answer_of_its_own(
    tmp_path: Path, endpoint: BatchEndpoint
) -> None:
    endpoint.line = lambda name, before: (400, {"error": "no"}) if name.endswith("-0") else None
    generate(tmp_path, recipe(tmp_path, endpoint.url))
    refused = [index for _, _, index, _, reason, _ in answers(tmp_path) if reason == "refused"]
    assert refused == [0] * PROBLEMS
    assert sum(endpoint.sizes()) == ANSWERS


@pytest.mark.parametrize("status", [400, 401, 500])
def test_batches_without_any_answer_are_an_error_that_a_rerun_can_mend(
    tmp_path: Path, endpoint: BatchEndpoint, status: int
) -> None:
    endpoint.line = lambda name, before: (status, {"error": {"message": "no such model"}})
    file = recipe(tmp_path, endpoint.url)
    with pytest.raises(ProviderError, match=f"status {status}.*no such model"):
        generate(tmp_path, file)
    assert sum(endpoint.sizes()) == ANSWERS
    endpoint.line = None
    generate(tmp_path, file)
    assert len(answers(tmp_path)) == ANSWERS


def test_a_batch_that_is_refused_as_a_whole_says_why_and_is_handed_in_by_the_next_run(
    tmp_path: Path, endpoint: BatchEndpoint
) -> None:
    endpoint.ends_as = "failed"
    file = recipe(tmp_path, endpoint.url)
    with pytest.raises(ProviderError, match=r"batch0 failed: .*too many tokens are waiting"):
        generate(tmp_path, file)
    endpoint.ends_as = "completed"
    # The others were handed in too; they are collected and not handed in again.
    generate(tmp_path, file)
    assert len(answers(tmp_path)) == ANSWERS
    assert sum(endpoint.sizes()) == ANSWERS + 8


def test_lines_that_cannot_be_read_are_asked_for_again(
    tmp_path: Path, endpoint: BatchEndpoint
) -> None:
    bodies: list[Any] = [{}, None, "text", {"choices": []}, {"choices": [{"message": None}]}]

    def garbage(custom_id: str, before: int) -> tuple[int, Any] | None:
        return (200, bodies.pop()) if bodies and custom_id.endswith("-0") else None

    endpoint.line = garbage
    generate(tmp_path, recipe(tmp_path, endpoint.url))
    assert len(answers(tmp_path)) == ANSWERS
    assert sum(endpoint.sizes()) == ANSWERS + 5


def test_a_run_that_is_killed_at_any_call_finds_its_batches_again(
    tmp_path: Path, endpoint: BatchEndpoint
) -> None:
    file = recipe(tmp_path, endpoint.url)
    file.write_text(file.read_text().replace("batch_size = 8", "batch_size = 11"))
    pid: queue.SimpleQueue[int] = queue.SimpleQueue()
    calls = 0

    def kill(number: int, method: str, path: str) -> Reply | None:
        nonlocal calls
        calls += 1
        if calls == fatal:
            # It may call before we have heard of its number.
            os.kill(pid.get(timeout=60), signal.SIGKILL)
            return 200, None, {}
        return None

    codes: list[int | None] = []
    while not codes or codes[-1] == -signal.SIGKILL:
        # The n-th call since its start kills it: once before anything is done, once after it.
        fatal, calls = len(codes) // 2 + 1, 0
        endpoint.before, endpoint.after = (None, kill) if len(codes) % 2 else (kill, None)
        pid = queue.SimpleQueue()
        process = start_generation(tmp_path / "run", file)
        assert process.pid is not None
        pid.put(process.pid)
        process.join()
        codes.append(process.exitcode)
    assert codes[-1] == 0
    assert len(codes) > 5
    assert len(answers(tmp_path)) == ANSWERS
    assert set(endpoint.paid.values()) == {1}
    assert endpoint.paid.total() == ANSWERS


PRICED = "usd_per_million_prompt_tokens = 0\nusd_per_million_completion_tokens = 1e6\n"


@pytest.mark.parametrize("provider", ["openai", "batch"])
def test_the_bound_on_the_cost_is_never_passed_and_can_be_raised(
    tmp_path: Path, endpoint: BatchEndpoint, provider: str
) -> None:
    # An answer costs 20 USD and may cost 25.
    with serve_endpoint() as single:
        url = endpoint.url if provider == "batch" else single.url
        file = recipe(tmp_path, url, f"{PRICED}max_cost_usd = 104", provider)
        with pytest.raises(BudgetError, match=r"80\.0+ USD are spent.*max_cost_usd = 104"):
            generate(tmp_path, file)
        assert len(answers(tmp_path)) == 4
        with pytest.raises(BudgetError):
            generate(tmp_path, None)
        assert single.requests + endpoint.paid.total() == 4
        file.write_text(file.read_text().replace("= 104", "= 1000"))
        summary = generate(tmp_path, file)
        assert single.requests + endpoint.paid.total() == ANSWERS
        assert single.answered.total() in (0, ANSWERS)
    assert summary.notes == (f"cost: {20 * ANSWERS}.000000 USD of at most 1000 USD",)


@pytest.mark.parametrize("provider", ["openai", "batch"])
def test_what_one_run_paid_for_another_takes_from_the_cache(
    tmp_path: Path, endpoint: BatchEndpoint, provider: str
) -> None:
    more = f'{PRICED}cache = "../cache.sqlite3"'
    with serve_endpoint() as single:
        url = endpoint.url if provider == "batch" else single.url
        for name in ("first", "second"):
            found = generate(tmp_path / name, recipe(tmp_path / name, url, more, provider))
        assert single.requests + endpoint.paid.total() == ANSWERS
    assert found.counts["from the cache"] == ANSWERS
    assert found.notes == ("cost: 0.000000 USD",)
    assert answers(tmp_path / "first") == answers(tmp_path / "second")
