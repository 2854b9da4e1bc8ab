"""A real HTTP endpoint with files and batches, for tests of the Batch API.

It answers as the teacher of `endpoint` does. What it counts as paid is every request of every
batch that was created, whoever hears of it.
"""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.integration.endpoint import completion, teacher_answer
from tests.integration.http_server import QuietHandler, Reply, serve

#: Number of the call (from 0), method, path; None lets it be answered as usual.
CallFault = Callable[[int, str, str], Reply | None]
#: custom_id and how often it was handed in before; status and body in place of the answer.
LineFault = Callable[[str, int], tuple[int, Any] | None]


@dataclass
class BatchEndpoint:
    """What a test sees of the server, and what it may set."""

    url: str = ""
    paid: Counter[str] = field(default_factory=Counter)  # by custom_id
    calls: list[str] = field(default_factory=list)  # "POST /files" and so on
    files: dict[str, str] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)
    before: CallFault | None = None  # in place of what was asked
    after: CallFault | None = None  # in place of the answer to what was done
    line: LineFault | None = None
    polls: int = 1  # looks at a batch until it has ended
    ends_as: str = "completed"
    lock: threading.RLock = field(default_factory=threading.RLock)

    def sizes(self) -> list[int]:
        """Requests in each batch that was created, in order."""
        return [len(batch["lines"]) for batch in self.batches.values()]


@contextmanager
def serve_batches() -> Iterator[BatchEndpoint]:
    """Serves on a free port of this machine until the block ends."""
    endpoint = BatchEndpoint()

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            self.reply(_answer(endpoint, "GET", self.path, b""))

        def do_POST(self) -> None:
            self.reply(_answer(endpoint, "POST", self.path, self.body()))

    with serve(Handler) as address:
        endpoint.url = f"{address}/v1"
        yield endpoint


def _answer(endpoint: BatchEndpoint, method: str, target: str, body: bytes) -> Reply:
    path = target.removeprefix("/v1").split("?")[0]
    with endpoint.lock:
        number = len(endpoint.calls)
        endpoint.calls.append(f"{method} {path}")
        reply = endpoint.before(number, method, path) if endpoint.before else None
        if reply is None:
            reply = _reply(endpoint, method, path, body)
            if endpoint.after is not None:
                reply = endpoint.after(number, method, path) or reply
    return reply


def _reply(endpoint: BatchEndpoint, method: str, path: str, body: bytes) -> Reply:
    if (method, path) == ("POST", "/files"):
        return _json(_add_file(endpoint, _uploaded(body)))
    if (method, path) == ("POST", "/batches"):
        return _json(_create(endpoint, json.loads(body)["input_file_id"]))
    if (method, path) == ("GET", "/batches"):
        newest_first = [_shown(batch) for batch in reversed(endpoint.batches.values())]
        return _json({"object": "list", "data": newest_first, "has_more": False})
    if match := re.fullmatch(r"/batches/(\w+)", path):
        return _json(_look(endpoint, endpoint.batches[match[1]]))
    if match := re.fullmatch(r"/files/(\w+)/content", path):
        return 200, endpoint.files[match[1]], {"Content-Type": "application/octet-stream"}
    return 404, '{"error": {"message": "no such path"}}', {"Content-Type": "application/json"}


def _json(value: Any) -> Reply:
    return 200, json.dumps(value), {"Content-Type": "application/json"}


def _uploaded(body: bytes) -> str:
    """The file of a multipart form."""
    part = body[body.index(b'filename="') :]
    content = part[part.index(b"\r\n\r\n") + 4 :]
    return content[: content.index(b"\r\n--")].decode()


def _add_file(endpoint: BatchEndpoint, text: str) -> dict[str, Any]:
    name = f"file{len(endpoint.files)}"
    endpoint.files[name] = text
    shown = {"id": name, "object": "file", "bytes": len(text), "created_at": 0}
    return shown | {"filename": "requests.jsonl", "purpose": "batch", "status": "processed"}


def _create(endpoint: BatchEndpoint, input_file_id: str) -> dict[str, Any]:
    lines = [json.loads(line) for line in endpoint.files[input_file_id].splitlines()]
    name = f"batch{len(endpoint.batches)}"
    outcomes = {"output_file_id": [], "error_file_id": []}
    for line in lines:
        fault = (
            endpoint.line(line["custom_id"], endpoint.paid[line["custom_id"]])
            if endpoint.line
            else None
        )
        status, body = fault or (200, _complete(line["body"]))
        if status == 200:
            endpoint.paid[line["custom_id"]] += 1
        response = {"status_code": status, "request_id": "x", "body": body}
        row = {"id": "x", "custom_id": line["custom_id"], "response": response, "error": None}
        outcomes["output_file_id" if status == 200 else "error_file_id"].append(json.dumps(row))
    batch = {
        "id": name,
        "object": "batch",
        "endpoint": "/v1/chat/completions",
        "input_file_id": input_file_id,
        "completion_window": "24h",
        "created_at": 0,
        "status": "in_progress",
        "lines": lines,
        "outcomes": outcomes,
        "polls": 0,
    }
    endpoint.batches[name] = batch
    return _shown(batch)


def _look(endpoint: BatchEndpoint, batch: dict[str, Any]) -> dict[str, Any]:
    batch["polls"] += 1
    if batch["polls"] > endpoint.polls and batch["status"] == "in_progress":
        batch["status"] = endpoint.ends_as
        if endpoint.ends_as == "failed":
            errors = [{"code": "token_limit_exceeded", "message": "too many tokens are waiting"}]
            batch["errors"] = {"object": "list", "data": errors}
        else:
            for kind, rows in batch["outcomes"].items():
                # In no order, as the protocol allows.
                text = "".join(row + "\n" for row in sorted(rows, key=hash))
                batch[kind] = _add_file(endpoint, text)["id"] if rows else None
    return _shown(batch)


def _shown(batch: dict[str, Any]) -> dict[str, Any]:
    return {key: v for key, v in batch.items() if key not in ("lines", "outcomes", "polls")}


def _complete(body: dict[str, Any]) -> dict[str, Any]:
    number = int(re.findall(r"adds (\d+) to", body["messages"][-1]["content"])[0])
    return completion(body, [teacher_answer(number)])
