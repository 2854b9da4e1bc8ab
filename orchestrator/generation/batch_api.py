"""The Batch API of an OpenAI-compatible endpoint: a file of requests goes in, files come out.

Creating a batch is what is paid for, and nothing tells the endpoint that two creations mean the
same. So a batch belongs to its uploaded file: before one is created, the endpoint is asked
whether that file has one already, from a try whose answer was lost.

What the endpoint says is read raw and strictly. The client would take a proxy's error page for
an empty list of batches, and the requests would be paid for again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

import openai
from openai import Omit, omit

from orchestrator.generation.batch_lines import BatchLine, custom_id, read_lines
from orchestrator.generation.client import endpoint_error, open_client
from orchestrator.generation.completions import Unreadable, request_body
from orchestrator.generation.provider import ProviderError, Request, content_sha
from orchestrator.generation.retry import GaveUp, Repeater, describe
from orchestrator.problem import Problem
from orchestrator.recipe import GenerationSection

T = TypeVar("T")

_URL: Literal["/v1/chat/completions"] = "/v1/chat/completions"
#: Of the newest batches of an account, among which one of ours is looked for; 100 on each.
_PAGES = 20
_ENDED = frozenset({"completed", "expired", "cancelled"})


class BatchFailed(ProviderError):
    """The endpoint took a batch and then refused it as a whole: nothing of it was done."""


class BatchApi:
    """Hands in and collects. Every call repeats what may go better.

    Raises (upload, create and wait): ProviderError, where that does not help.
    """

    def __init__(self, settings: GenerationSection) -> None:
        self._settings = settings
        self._repeater = Repeater(settings.max_retries)
        self._client = open_client(settings)

    def request_sha(self, problem: Problem) -> str:
        """Of the request's body; the same as for single requests."""
        return content_sha(request_body(self._settings, problem))

    def close(self) -> None:
        """Ends waits and connections."""
        self._repeater.stop()
        self._client.close()

    def upload(self, requests: Sequence[Request]) -> str:
        """Uploads requests; returns the endpoint's name of the file. Costs nothing."""
        lines = (json.dumps(self._line(request)) + "\n" for request in requests)
        file = ("requests.jsonl", "".join(lines).encode("ascii"), "application/jsonl")
        files = self._client.files.with_raw_response
        return self._call(
            lambda: _text(
                _object(files.create(file=file, purpose="batch").http_response.content), "id"
            )
        )

    def create(self, input_file_id: str) -> str:
        """The batch of an uploaded file, created where there is none; returns its name."""
        return self._call(lambda: self._find(input_file_id) or self._create(input_file_id))

    def wait(self, batch_id: str) -> list[BatchLine] | None:
        """Looks at a batch, and waits a moment where it has not ended; then returns None.

        Returns one line for each request that the endpoint says something about.

        Raises:
            BatchFailed: nothing of the batch was done, nor will be.
        """
        batch = self._call(lambda: self._retrieve(batch_id))
        if batch["status"] == "failed":
            said = " ".join(json.dumps(batch.get("errors")).split())
            raise BatchFailed(str(self._error(f"batch {batch_id} failed: {said[:500]}")))
        if batch["status"] not in _ENDED:
            self._repeater.sleep(self._settings.poll_s)
            return None
        lines: list[BatchLine] = []
        for key in ("output_file_id", "error_file_id"):
            if batch.get(key):
                lines += self._lines(_text(batch, key))
        return lines

    def _line(self, request: Request) -> dict[str, object]:
        return {
            "custom_id": custom_id(request.sha, request.index),
            "method": "POST",
            "url": _URL,
            "body": request_body(self._settings, request.problem),
        }

    def _find(self, input_file_id: str) -> str | None:
        after: str | Omit = omit
        for _ in range(_PAGES):
            response = self._client.batches.with_raw_response.list(limit=100, after=after)
            page = _object(response.http_response.content)
            batches = page.get("data")
            if not isinstance(batches, list) or not all(isinstance(b, dict) for b in batches):
                raise Unreadable("answered something that is not a list of batches")
            for batch in batches:
                if _text(batch, "input_file_id") == input_file_id:
                    return _text(batch, "id")
            if not batches or not page.get("has_more"):
                break
            after = _text(batches[-1], "id")
        return None

    def _create(self, input_file_id: str) -> str:
        response = self._client.batches.with_raw_response.create(
            input_file_id=input_file_id, endpoint=_URL, completion_window="24h"
        )
        return _text(_object(response.http_response.content), "id")

    def _retrieve(self, batch_id: str) -> dict[str, Any]:
        response = self._client.batches.with_raw_response.retrieve(batch_id)
        batch = _object(response.http_response.content)
        _text(batch, "status")
        return batch

    def _lines(self, file_id: str) -> list[BatchLine]:
        return self._call(lambda: read_lines(self._client.files.content(file_id).content))

    def _call(self, action: Callable[[], T]) -> T:
        try:
            return self._repeater.call(action)
        except openai.APIStatusError as e:
            raise self._error(describe(e)) from e
        except GaveUp as e:
            raise self._error(str(e)) from e

    def _error(self, reason: str) -> ProviderError:
        return endpoint_error(self._client, self._settings, reason)


def _object(content: bytes) -> dict[str, Any]:
    try:
        data = json.loads(content)
    except (ValueError, RecursionError) as e:
        raise Unreadable("answered something that is not JSON") from e
    if not isinstance(data, dict):
        raise Unreadable("answered something that is not an object")
    return data


def _text(data: dict[str, Any], key: str) -> str:
    value = data.get(key)
    if not isinstance(value, str) or not value:
        raise Unreadable(f"answered an object without {key!r}")
    return value
