"""A real HTTP endpoint that speaks the OpenAI protocol, for tests: a teacher and a policy.

What it answers is a function of the request alone, so that repeated runs can be compared.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: status, body, headers; None in place of the body closes the connection without an answer.
Reply = tuple[int, str | None, dict[str, str]]
#: Gets the number of the request (from 0) and its body; None lets it be answered as usual.
Fault = Callable[[int, dict[str, Any]], Reply | None]


@dataclass
class Endpoint:
    """What a test sees of the server."""

    url: str = ""
    #: Answered requests to the teacher by their idempotency key, and requests of any kind.
    answered: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    fault: Fault | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def serve_endpoint(fault: Fault | None = None) -> Iterator[Endpoint]:
    """Serves on a free port of this machine until the block ends."""
    endpoint = Endpoint(fault=fault)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with endpoint.lock:
                number = endpoint.requests
                endpoint.requests += 1
            reply = endpoint.fault(number, body) if endpoint.fault else None
            if reply is None:
                reply = (200, json.dumps(_complete(body)), {"Content-Type": "application/json"})
                if body["model"] == "teacher":
                    with endpoint.lock:
                        endpoint.answered[self.headers["Idempotency-Key"]] += 1
            self._send(*reply)

        def _send(self, status: int, text: str | None, headers: dict[str, str]) -> None:
            if text is None:
                self.close_connection = True
                return
            data = text.encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            try:
                self.wfile.write(data)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client was killed: what some tests do

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Says nothing: clients are killed on purpose."""

    server = Server(("127.0.0.1", 0), Handler)
    endpoint.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield endpoint
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _complete(body: dict[str, Any]) -> dict[str, Any]:
    prompt = body["messages"][-1]["content"]
    number = int(re.findall(r"adds (\d+) to", prompt)[0])
    if body["model"] == "teacher":
        return completion(body, [teacher_answer(number)])
    count = body.get("n") or 1
    seed = body.get("seed") or 0
    return completion(body, [policy_answer(number, seed, index) for index in range(count)])


def completion(body: dict[str, Any], texts: list[str]) -> dict[str, Any]:
    """What the protocol answers to the request `body`, with these texts as its choices."""
    choices = [
        {
            "index": index,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": text},
        }
        for index, text in enumerate(texts)
    ]
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": body["model"],
        "choices": choices,
        "usage": usage,
    }


def teacher_answer(number: int) -> str:
    """A four-section answer; every fifth problem's reference fails its own suite."""
    added = number + 1 if number % 5 == 4 else number
    return (
        "[Analysis]\nAddition.\n\n"
        f"[Solution]\n```python\ndef add(x):\n    return x + {added}\n```\n\n"
        "[Start Code]\n```python\ndef add(x):\n    pass\n```\n\n"
        f"[Test Code]\n```python\nassert add(1) == {number + 1}\nassert add(0) == {number}\n```\n"
    )


def policy_answer(number: int, seed: int, index: int) -> str:
    """One of: right, wrong, no Python, does not load, no code at all."""
    kind = hashlib.sha256(f"{number}:{seed}:{index}".encode()).digest()[0] % 6
    bodies = {
        0: f"def add(x):\n    return x + {number}\n",
        1: f"def add(x):\n    return {number} + x\n",
        2: "def add(x):\n    return x\n",
        3: "def add(x:\n",
        4: "import nothing_like_it\n\ndef add(x):\n    return x\n",
    }
    return f"```python\n{bodies[kind]}```" if kind in bodies else "I do not know."
