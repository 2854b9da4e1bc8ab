"""Several OpenAI-compatible servers of one model as one: who is asked, and what is tried again."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import openai

from orchestrator.errors import InputError, PlumError, one_line

T = TypeVar("T")

_TIMEOUT_S = 600.0
#: Seconds before the first repetition; doubled each time up to the second figure.
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0
#: For so many seconds a server that failed is asked only if no other answers.
_REST_S = 10.0
#: Statuses that say that this request is not to be asked again, and nothing of others: a bad
#: one, one that is too large, one that cannot be processed.
_REFUSED = frozenset({400, 413, 422})
#: Statuses below 500 that say "later", or "somewhere else".
_REPEAT = frozenset({408, 409, 425, 429})


class _Server:
    """One server: its client, and how it has been of late."""

    def __init__(self, base_url: str, api_key: str) -> None:
        self.client = openai.OpenAI(
            base_url=base_url,
            api_key=api_key,
            timeout=_TIMEOUT_S,
            max_retries=0,  # ours below knows which other server to ask
        )
        self.under_way = 0
        self.rests_until = 0.0  # time.monotonic()

    def __str__(self) -> str:
        return str(self.client.base_url)


class Endpoints:
    """Servers that share the requests and stand in for each other. Safe for threads.

    The one with the fewest requests under way is asked. Rate limits, server errors, lost
    connections and answers that cannot be read go to another server at once, and once none
    is left, to all again with growing pauses.
    """

    def __init__(self, base_urls: Sequence[str], api_key: str, max_retries: int) -> None:
        """Connects to nothing yet.

        max_retries: how often all servers are asked again, once none has answered.

        Raises:
            InputError: there is no server, or an address is not one.
        """
        if not base_urls:
            raise InputError("the openai back end needs at least one base_url")
        self._servers = [_Server(url, api_key) for url in base_urls]
        self._max_retries = max_retries
        self._turns = itertools.count()
        self._lock = threading.Lock()
        self._closed = threading.Event()

    def ask(self, request: Callable[[openai.OpenAI], T]) -> T:
        """What `request` returns with the client of the first server that answers it.

        Raises:
            RequestRefused: a server refuses this request; the others would, too.
            PlumError: no server answers, or one refuses to work for us.
        """
        wait_s = _FIRST_WAIT_S
        for attempt in itertools.count():
            asked_s, reason = 0.0, ""
            for server in self._in_order():
                try:
                    return self._ask_one(server, request)
                except _Lost as e:
                    asked_s, reason = max(asked_s, e.retry_after_s), str(e)
            if attempt == self._max_retries:
                break
            # Spread, so that requests which failed together do not come back together.
            pause_s = max(asked_s, wait_s * random.uniform(0.5, 1.0))
            if self._closed.wait(min(pause_s, _LONGEST_WAIT_S)):
                break
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
        urls = ", ".join(map(str, self._servers))
        raise PlumError(f"no endpoint answers ({urls}): {reason}")

    def close(self) -> None:
        """Ends waits and closes the connections."""
        self._closed.set()
        for server in self._servers:
            server.client.close()

    def _in_order(self) -> list[_Server]:
        """All servers, the one to ask first in front; among equals they take turns."""
        turn = next(self._turns) % len(self._servers)
        now = time.monotonic()
        with self._lock:
            return sorted(
                self._servers[turn:] + self._servers[:turn],
                key=lambda server: (server.rests_until > now, server.under_way),
            )

    def _ask_one(self, server: _Server, request: Callable[[openai.OpenAI], T]) -> T:
        with self._lock:
            server.under_way += 1
        try:
            return request(server.client)
        except (AttributeError, TypeError, ValueError, openai.APIResponseValidationError) as e:
            # The client passes on what it cannot read, a proxy's error page for example.
            server.rests_until = time.monotonic() + _REST_S
            raise _Lost("answers with something that is no completion") from e
        except openai.APIError as e:
            if isinstance(e, openai.APIStatusError) and e.status_code in _REFUSED:
                raise RequestRefused(_reason(e)) from e
            if not _may_be_repeated(e):
                raise PlumError(f"{server}: {_reason(e)}") from e
            lost = _Lost(_reason(e), _retry_after_s(e))
            server.rests_until = time.monotonic() + max(_REST_S, lost.retry_after_s)
            raise lost from e
        finally:
            with self._lock:
                server.under_way -= 1


class RequestRefused(Exception):
    """A server will not answer this request, whoever asks when."""


class _Lost(Exception):
    """A server did not answer this time."""

    def __init__(self, reason: str, retry_after_s: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


def _reason(error: Exception) -> str:
    """What went wrong; the cause says more than "Connection error."."""
    cause = error.__cause__
    return one_line(error) if cause is None else f"{one_line(error)} ({one_line(cause)})"


def _may_be_repeated(error: openai.APIError) -> bool:
    if isinstance(error, openai.APIStatusError):
        return error.status_code >= 500 or error.status_code in _REPEAT
    return isinstance(error, openai.APIConnectionError)


def _retry_after_s(error: openai.APIError) -> float:
    if not isinstance(error, openai.APIStatusError):
        return 0.0
    try:
        return float(error.response.headers.get("retry-after", ""))
    except ValueError:
        return 0.0
