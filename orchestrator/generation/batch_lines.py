"""The lines of a batch's output and error files, read strictly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from orchestrator.generation.completions import REFUSED, Unreadable, read_completion
from orchestrator.store.answers import Answer


@dataclass(frozen=True)
class BatchLine:
    """What came of one request of a batch. answer None: it has to be asked again."""

    custom_id: str
    answer: Answer | None
    reason: str  # why there is no answer that says anything; empty where there is one


def custom_id(request_sha: str, index: int) -> str:
    """The name of a request within its batch; some endpoints allow no more than 64 characters."""
    return f"{request_sha[:48]}-{index}"


def read_lines(content: bytes) -> list[BatchLine]:
    """All lines of a file.

    Raises:
        Unreadable: it is not such a file. It is read again rather than in part, as what it
            does not say would be asked, and paid for, again.
    """
    try:
        rows = [json.loads(line) for line in content.split(b"\n") if line.strip()]
    except (ValueError, RecursionError) as e:
        raise Unreadable("answered a file that is not JSONL") from e
    return [_read(row) for row in rows]


def _read(row: Any) -> BatchLine:
    name = row.get("custom_id") if isinstance(row, dict) else None
    if not isinstance(name, str):
        raise Unreadable("answered a file whose rows have no custom_id")
    response = row.get("response")
    response = response if isinstance(response, dict) else {}
    status, body, error = response.get("status_code"), response.get("body"), row.get("error")
    said = f"status {status}: {json.dumps(error or body)[:500]}"
    if status in REFUSED:
        return BatchLine(name, Answer(said, "refused"), said)
    if error or status != 200:
        return BatchLine(name, None, said)
    try:
        return BatchLine(name, read_completion(body), "")
    except Unreadable as e:
        return BatchLine(name, None, str(e))
