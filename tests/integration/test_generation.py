"""The generator's client against a real HTTP endpoint that misbehaves in every way."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import pytest

from orchestrator.errors import InputError
from orchestrator.generation import provider, retry
from orchestrator.generation.openai_provider import OpenAIProvider
from orchestrator.generation.provider import ProviderError, Request, answer_all
from orchestrator.generation.recorded import RecordedProvider
from orchestrator.problem import Problem
from orchestrator.store.answers import Answer
from tests.integration.endpoint import Fault, serve_endpoint, teacher_answer
from tests.integration.http_server import Reply
from tests.integration.run_helpers import generation_settings as settings


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(retry, "_LONGEST_WAIT_S", 0.05)


def problem(number: int) -> Problem:
    text = f"Write a function that adds {number} to its argument."
    return Problem(f"p{number}", text, "python", None, None, "plain")


def ask(url: str, count: int = 6, **changes: Any) -> dict[str, Answer | None]:
    teacher = OpenAIProvider(settings(url, **changes))
    requests = (Request(p, 0, teacher.request_sha(p)) for p in map(problem, range(count)))
    try:
        return {request.problem.id: answer for request, answer in answer_all(teacher, requests)}
    finally:
        teacher.close()


def once_each(reply: Reply) -> Fault:
    """A fault that befalls the first request for every prompt."""
    seen: set[str] = set()

    def fault(number: int, body: dict[str, Any]) -> Reply | None:
        prompt = json.dumps(body["messages"])
        if prompt in seen:
            return None
        seen.add(prompt)
        return reply

    return fault


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    "reply",
    [
        (429, "slow down", {"Retry-After": "0"}),
        (500, "oops", {}),
        (503, "", {}),
        (200, "<html>proxy</html>", {"Content-Type": "text/html"}),
        (200, "not json", JSON),
        (200, "{}", JSON),
        (200, '{"choices": []}', JSON),
        (200, '{"choices": [{}]}', JSON),
        (200, "[]", JSON),
        (200, "null", JSON),
        (200, None, {}),
    ],
    ids=lambda reply: f"{reply[0]} {reply[1]}",
)
def test_what_may_go_better_is_asked_again(reply: Reply) -> None:
    with serve_endpoint(once_each(reply)) as endpoint:
        answers = ask(endpoint.url)
    assert {id: a and a.text for id, a in answers.items()} == {
        f"p{n}": teacher_answer(n) for n in range(6)
    }
    assert endpoint.requests == 12


def test_tokens_and_the_reason_of_the_end_are_kept() -> None:
    with serve_endpoint() as endpoint:
        assert ask(endpoint.url, 1)["p0"] == Answer(teacher_answer(0), "stop", 10, 20)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_what_cannot_go_better_ends_at_once_with_one_line(status: int) -> None:
    with serve_endpoint(lambda n, body: (status, '{"error": {"message": "no"}}', JSON)) as endpoint:
        with pytest.raises(ProviderError) as caught:
            ask(endpoint.url, 50)
        assert endpoint.requests <= 6
    message = str(caught.value)
    assert f"status {status}" in message
    assert endpoint.url in message
    assert "\n" not in message


def test_an_endpoint_that_stays_broken_is_given_up_after_the_retries() -> None:
    with serve_endpoint(lambda n, body: (500, "oops", {})) as endpoint:
        with pytest.raises(ProviderError, match="status 500"):
            ask(endpoint.url, 1, max_retries=2)
        assert endpoint.requests == 3


def test_an_unreachable_endpoint_is_one_line() -> None:
    with pytest.raises(ProviderError, match=r"http://127\.0\.0\.1:9/v1 \(teacher\): "):
        ask("http://127.0.0.1:9/v1", max_retries=1)


def test_an_endpoint_that_hangs_is_given_up() -> None:
    given_up = threading.Event()

    def hang(number: int, body: dict[str, Any]) -> None:
        given_up.wait()

    with serve_endpoint(hang) as endpoint, pytest.raises(ProviderError, match="timed out"):
        ask(endpoint.url, 1, timeout_s=0.1, max_retries=1)
    given_up.set()


def test_a_refusal_of_one_request_costs_only_that_request() -> None:
    def refuse(number: int, body: dict[str, Any]) -> Reply | None:
        too_long = "adds 4 to" in json.dumps(body["messages"])
        return (400, '{"error": {"message": "too long"}}', JSON) if too_long else None

    with serve_endpoint(refuse) as endpoint:
        answers = ask(endpoint.url, concurrency=1)
    assert [id for id, a in answers.items() if a and a.finish_reason == "refused"] == ["p4"]
    assert endpoint.requests == 6


def test_an_endpoint_that_refuses_from_the_start_is_an_error() -> None:
    with (
        serve_endpoint(
            lambda n, body: (400, '{"error": {"message": "bad model"}}', JSON)
        ) as endpoint,
        pytest.raises(ProviderError, match="status 400"),
    ):
        ask(endpoint.url)


def test_answers_under_way_at_a_failure_are_still_delivered(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    heard = threading.Event()

    def wait(under_way: dict[Future[Answer | None], Request], *how: Any) -> Any:
        if "p5" not in {request.problem.id for request in under_way.values()}:
            heard.set()  # the failure was taken out, and the others are waited for
        return whole(under_way, *how)

    whole = provider.wait
    monkeypatch.setattr(provider, "wait", wait)

    def fail_fifth(number: int, body: dict[str, Any]) -> Reply | None:
        if "adds 5 to" in json.dumps(body["messages"]):
            return (401, '{"error": {"message": "no"}}', JSON)
        heard.wait()
        return None

    delivered = []
    with serve_endpoint(fail_fifth) as endpoint:
        teacher = OpenAIProvider(settings(endpoint.url, concurrency=6))
        requests = (Request(p, 0, teacher.request_sha(p)) for p in map(problem, range(50)))

        def drain() -> None:
            for request, _ in answer_all(teacher, requests):
                delivered.append(request.problem.id)

        with pytest.raises(ProviderError):
            drain()
        teacher.close()
        assert sorted(delivered) == ["p0", "p1", "p2", "p3", "p4"]
        assert endpoint.requests == 6


def test_requests_are_taken_only_when_they_can_be_sent() -> None:
    taken = 0

    def requests(teacher: OpenAIProvider) -> Iterator[Request]:
        nonlocal taken
        for p in map(problem, range(10)):
            taken += 1
            yield Request(p, 0, teacher.request_sha(p))

    with (
        serve_endpoint() as endpoint,
        closing(OpenAIProvider(settings(endpoint.url))) as teacher,
    ):
        for answered, _ in enumerate(answer_all(teacher, requests(teacher))):
            assert taken <= answered + 3
    assert taken == 10


def test_the_key_of_a_request_depends_on_its_content_and_not_on_its_address() -> None:
    here = OpenAIProvider(settings("http://a/v1"))
    there = OpenAIProvider(settings("http://b/v1"))
    hotter = OpenAIProvider(settings("http://a/v1", temperature=0.8))
    assert here.request_sha(problem(1)) == there.request_sha(problem(1))
    assert here.request_sha(problem(1)) != here.request_sha(problem(2))
    assert here.request_sha(problem(1)) != hotter.request_sha(problem(1))
    for asked in (here, there, hotter):
        asked.close()


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"answers": ["x"]}, "answers.jsonl:2: problem_id or instruction is missing"),
        ({"problem_id": "q"}, "answers.jsonl:2: answers is missing"),
        ({"problem_id": "q", "answers": "x"}, "answers.jsonl:2: answers = 'x' is not"),
        ({"problem_id": "q", "answers": [1]}, "answers.jsonl:2: answers = [1] is not"),
        ({"problem_id": "p", "answers": []}, "answers.jsonl:2: answers for 'p' came before"),
    ],
)
def test_a_broken_recording_is_refused_with_file_and_line(
    tmp_path: Any, row: dict[str, Any], words: str
) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps({"problem_id": "p", "answers": []}) + "\n" + json.dumps(row) + "\n")
    with pytest.raises(InputError) as caught:
        RecordedProvider(path)
    assert words in str(caught.value)
