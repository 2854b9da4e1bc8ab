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
from typing import Any

from tests.integration.http_server import QuietHandler, Reply, serve

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

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            body = json.loads(self.body())
            with endpoint.lock:
                number = endpoint.requests
                endpoint.requests += 1
            reply = endpoint.fault(number, body) if endpoint.fault else None
            if reply is None:
                reply = (200, json.dumps(_complete(body)), {"Content-Type": "application/json"})
                if body["model"] == "teacher":
                    with endpoint.lock:
                        endpoint.answered[self.headers["Idempotency-Key"]] += 1
            self.reply(reply)

    with serve(Handler) as address:
        endpoint.url = f"{address}/v1"
        yield endpoint


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
