"""Sampling from endpoints: every sample once, whatever the servers can and cannot do."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from orchestrator.errors import InputError, PlumError
from orchestrator.sampling.backends import open_sampler
from orchestrator.sampling.openai_sampler import OpenAISampler
from orchestrator.sampling.sampler import Drawn, PromptSpec, Refused, Sampled, SamplingSettings

SETTINGS = SamplingSettings(temperature=0.7, max_new_tokens=64, top_p=0.9)
#: Requests that may be under way at one time, where it matters.
CONCURRENCY = 6

#: Status, message and Retry-After by the behaviours that never answer anything else.
ALWAYS = {
    "refuses": (400, "prompt too long", None),
    "wrong key": (401, "bad key", None),
    "busy": (429, "slow down", "30"),
    "broken": (500, "out of order", "0.01"),
}


class Gauge:
    """Requests that servers are answering, all together. None is answered until they are full."""

    def __init__(self) -> None:
        self.full = threading.Barrier(CONCURRENCY)
        self._lock = threading.Lock()
        self._now = self.most = 0

    def change(self, by: int) -> None:
        with self._lock:
            self._now += by
            self.most = max(self.most, self._now)


class Endpoint(ThreadingHTTPServer):
    """An OpenAI-compatible server. `behaviour` names what it cannot do."""

    daemon_threads = True

    def __init__(self, behaviour: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviour = behaviour
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.failures_left = 2  # or answers, where it is to die after them
        self.gauge = Gauge()
        self.status = 400  # of a prompt that is too long

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.requests.append((self.path, body))
        match self.server.behaviour:
            case name if name in ALWAYS:
                status, message, retry_after = ALWAYS[name]
                self._answer(status, {"error": {"message": message}}, retry_after)
            case "busy at first" if self.server.failures_left:
                self.server.failures_left -= 1
                self._answer(429, {"error": {"message": "slow down"}}, retry_after="0.01")
            case "short context" if "long" in str(body):
                self._answer(self.server.status, {"error": {"message": "too many tokens"}})
            case "only one" if body["n"] > 1:
                self._answer(400, {"error": {"message": "n must be 1"}})
            case "slow":
                self._answer_slowly(body)
            case "garbage" | "half an answer" as which:
                self._send(200, b"[1, 2]" if which == "garbage" else b'{"choices": [{"mess')
            case "dies" if not self.server.failures_left:
                self.close_connection = True  # nothing is said, as by a process that was killed
            case "dies":
                self.server.failures_left -= 1
                self._answer(200, self._choices(body, body["n"]))
            case "nothing" | "ignores n" as which:
                self._answer(200, self._choices(body, int(which == "ignores n")))
            case _:
                self._answer(200, self._choices(body, body["n"]))

    def _answer_slowly(self, body: dict[str, Any]) -> None:
        self.server.gauge.change(1)
        self.server.gauge.full.wait(60)
        self.server.gauge.change(-1)
        self._answer(200, self._choices(body, body["n"]))

    def _choices(self, body: dict[str, Any], count: int) -> dict[str, Any]:
        chat = self.path.endswith("/chat/completions")
        choices = []
        for i in range(count):
            prompt = body["messages"][0]["content"] if chat else body["prompt"]
            text = f"{prompt} {body['seed'] + i}"
            said = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            finish = "length" if prompt == "long" else "stop"
            choices.append({"index": i, "finish_reason": finish, **said})
        return {"id": "x", "object": "completion", "created": 0, "model": "m", "choices": choices}

    def _answer(self, status: int, body: Any, retry_after: str | None = None) -> None:
        self._send(status, json.dumps(body).encode(), retry_after)

    def _send(self, status: int, data: bytes, retry_after: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if retry_after is not None:
            self.send_header("Retry-After", retry_after)
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def endpoint(behaviour: str = "") -> Iterator[Endpoint]:
    with Endpoint(behaviour) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def specs(count: int, k: int = 3) -> list[PromptSpec]:
    return [PromptSpec(f"p{i}", f"do {i}", 100 * i, k) for i in range(count)]


_OPENED: list[OpenAISampler] = []


def opened(*arguments: Any, **settings: Any) -> OpenAISampler:
    """A sampler that is closed after the test."""
    _OPENED.append(OpenAISampler(*arguments, **settings))
    return _OPENED[-1]


@pytest.fixture(autouse=True)
def closing_of_samplers() -> Iterator[None]:
    yield
    while _OPENED:
        _OPENED.pop().close()


def sample(
    server: Endpoint, prompts: list[PromptSpec], *, chat: bool = True, retries: int = 2
) -> list[Drawn]:
    sampler = opened([server.url], "m", "key", chat=chat, concurrency=4, max_retries=retries)
    return list(sampler.sample(prompts, SETTINGS))


@pytest.mark.parametrize("behaviour", ["", "ignores n", "only one", "busy at first"])
@pytest.mark.parametrize("chat", [True, False])
def test_every_sample_comes_once_and_each_is_another(behaviour: str, chat: bool) -> None:
    with endpoint(behaviour) as server:
        found = sample(server, specs(10), chat=chat)
    assert sorted((s.problem_id, s.index) for s in found) == sorted(
        (f"p{i}", j) for i in range(10) for j in range(3)
    )
    assert len({s.text for s in found}) == 30
    path = "/v1/chat/completions" if chat else "/v1/completions"
    assert {where for where, _ in server.requests} == {path}


def test_settings_reach_the_endpoint() -> None:
    with endpoint() as server:
        sample(server, specs(1))
    [(_, body)] = server.requests
    assert body["temperature"] == 0.7
    assert body["top_p"] == 0.9
    assert body["max_tokens"] == 64
    assert body["n"] == 3


def test_a_completion_cut_by_the_limit_says_so() -> None:
    with endpoint() as server:
        found = sample(server, [PromptSpec("p", "long", 0, 1), PromptSpec("q", "short", 0, 1)])
    assert {s.problem_id: s.truncated for s in found} == {"p": True, "q": False}


def test_what_is_done_is_not_asked_for_again() -> None:
    with endpoint() as server:
        sampler = opened([server.url], "m", "key", chat=True)
        found = list(sampler.sample(specs(5), SETTINGS, done={"p1", "p3"}))
    assert {s.problem_id for s in found} == {"p0", "p2", "p4"}
    assert len(server.requests) == 3


def test_endpoints_take_turns_and_stand_in_for_each_other() -> None:
    with endpoint() as one, endpoint() as two, endpoint("broken") as three:
        urls = ["http://127.0.0.1:9/v1", one.url, two.url, three.url]
        sampler = opened(urls, "m", "key", chat=True, concurrency=4, max_retries=0)
        found = list(sampler.sample(specs(12), SETTINGS))
    assert len(found) == 36
    assert one.requests
    assert two.requests
    assert three.requests


def test_a_server_that_dies_half_way_costs_no_sample_and_is_left_alone() -> None:
    with endpoint("dies") as dying, endpoint() as other:
        sampler = opened([dying.url, other.url], "m", "key", chat=True, concurrency=4)
        found = list(sampler.sample(specs(40), SETTINGS))
    assert Counter(s.problem_id for s in found) == {f"p{i}": 3 for i in range(40)}
    assert len({s.text for s in found}) == 120
    # Those under way when it died, and nothing after.
    assert 2 < len(dying.requests) <= 2 + 4


@pytest.mark.parametrize("servers", [1, 2, 3])
def test_as_many_requests_are_under_way_as_allowed_however_many_servers(servers: int) -> None:
    gauge = Gauge()
    with ExitStack() as stack:
        all_servers = [stack.enter_context(endpoint("slow")) for _ in range(servers)]
        for server in all_servers:
            server.gauge = gauge
        urls = [server.url for server in all_servers]
        sampler = opened(urls, "m", "key", chat=True, concurrency=CONCURRENCY)
        assert len(list(sampler.sample(specs(5 * CONCURRENCY), SETTINGS))) == 15 * CONCURRENCY
    assert gauge.most == CONCURRENCY
    assert all(server.requests for server in all_servers)


def test_a_busy_server_is_spared_while_another_answers() -> None:
    with endpoint("busy") as busy, endpoint() as free:
        sampler = opened([busy.url, free.url], "m", "key", chat=True, concurrency=1)
        assert len(list(sampler.sample(specs(8), SETTINGS))) == 24
    assert (len(busy.requests), len(free.requests)) == (1, 8)


def test_stops_reach_the_endpoint_and_are_left_out_where_there_are_none() -> None:
    stopping = SamplingSettings(0.7, 64, stop=("\nclass", "\ndef"))
    with endpoint() as server:
        sampler = opened([server.url], "m", "key", chat=False)
        list(sampler.sample(specs(1), stopping))
        list(sampler.sample(specs(1), SETTINGS))
    (_, first), (_, second) = server.requests
    assert first["stop"] == ["\nclass", "\ndef"]
    assert "stop" not in second


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("wrong key", "bad key"),
        ("broken", "no endpoint answers .*out of order"),
        ("garbage", "no completion"),
        ("half an answer", "no completion"),
    ],
)
def test_a_server_that_will_not_answer_is_named_in_one_line(behaviour: str, message: str) -> None:
    with endpoint(behaviour) as server, pytest.raises(PlumError, match=message) as caught:
        sample(server, specs(1), retries=1)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("behaviour", "reason"), [("refuses", "prompt too long"), ("nothing", "sent no choices")]
)
def test_a_prompt_that_no_server_takes_is_refused_with_its_reason(
    behaviour: str, reason: str
) -> None:
    with endpoint(behaviour) as server:
        [refused] = sample(server, specs(1))
    assert isinstance(refused, Refused)
    assert refused.problem_id == "p0"
    assert reason in refused.reason


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_prompt_that_is_too_long_costs_only_its_own_problem(status: int) -> None:
    prompts = [*specs(4), PromptSpec("long", "long", 0, 3), *specs(8)[4:]]
    with endpoint("short context") as server:
        server.status = status
        found = sample(server, prompts)
    refused = [one for one in found if isinstance(one, Refused)]
    assert [one.problem_id for one in refused] == ["long"]
    assert "too many tokens" in refused[0].reason
    assert Counter(one.problem_id for one in found if isinstance(one, Sampled)) == {
        f"p{i}": 3 for i in range(8)
    }
    # The others are still asked for all of their samples at once.
    asked = [body["n"] for _, body in server.requests if body["messages"][0]["content"] != "long"]
    assert asked == [3] * 8


def test_an_unreachable_endpoint_is_named() -> None:
    sampler = opened(["http://127.0.0.1:9/v1"], "m", "key", chat=True, max_retries=0)
    with pytest.raises(PlumError, match=r"no endpoint answers \(http://127.0.0.1:9/v1"):
        list(sampler.sample(specs(1), SETTINGS))


def test_what_is_missing_is_said_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PLUM_TEST_KEY", raising=False)
    with pytest.raises(InputError, match="base_url"):
        open_sampler("openai", "m")
    with pytest.raises(InputError, match="PLUM_TEST_KEY"):
        open_sampler("openai", "m", base_urls=["http://x/v1"], api_key_env="PLUM_TEST_KEY")
    with pytest.raises(InputError, match="transformers, openai, vllm"):
        open_sampler("onnx", "m")


def test_a_missing_vllm_names_what_to_install() -> None:
    try:
        import vllm  # noqa: F401
    except ImportError:
        with pytest.raises(PlumError, match=r"plum-code\[vllm\]"):
            open_sampler("vllm", "m")
    else:
        pytest.skip("vllm is installed")
