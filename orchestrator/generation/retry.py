"""Repeats requests that may go better, with growing waits.

The client of the openai package could repeat by itself. It is not let to, because it waits at
most 8 s between tries, cannot be woken when another request has shown that all is in vain, and
takes an error page with status 200 for an answer.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

import openai

from orchestrator.generation.completions import Unreadable

T = TypeVar("T")

#: Seconds before the first repetition; doubled each time up to the second figure.
_FIRST_WAIT_S = 0.5
_LONGEST_WAIT_S = 60.0
#: The longest wait that an endpoint may ask for.
_LONGEST_ASKED_S = 600.0
_REPEAT = frozenset({408, 409, 425, 429})


class GaveUp(Exception):
    """Still failing after all repetitions, or nobody waits any more. Its text is one line."""


class Repeater:
    """Calls with repetitions, from any number of threads; `stop` wakes and ends all of them."""

    def __init__(self, max_retries: int) -> None:
        self._max_retries = max_retries
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Ends all waits. Idempotent."""
        self._stopped.set()

    def sleep(self, seconds: float) -> None:
        """Waits, until `stop` at the latest."""
        self._stopped.wait(seconds)

    def call(self, action: Callable[[], T]) -> T:
        """What `action` returns, repeated where a repetition may help.

        Raises:
            GaveUp: it still fails.
            openai.APIStatusError: of a status that another try cannot mend.
        """
        wait_s = _FIRST_WAIT_S
        for attempt in range(self._max_retries + 1):
            asked_s: float | None = None
            try:
                return action()
            except openai.APIStatusError as e:
                if e.status_code < 500 and e.status_code not in _REPEAT:
                    raise
                reason, asked_s = describe(e), _retry_after_s(e)
            except (openai.APIConnectionError, openai.APIResponseValidationError, Unreadable) as e:
                reason = describe(e)
            # Spread, so that requests which failed together do not come back together.
            pause_s = max(asked_s or 0.0, wait_s * random.uniform(0.5, 1.0))
            too_long = pause_s > _LONGEST_ASKED_S
            if attempt == self._max_retries or too_long or self._stopped.wait(pause_s):
                break
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)
        self.stop()  # the others need not go on waiting for the same endpoint
        asked = f"; asks to wait {asked_s:.0f} s" if too_long else ""
        raise GaveUp(f"{reason}, {attempt + 1} times{asked}")


def describe(error: openai.APIError | Unreadable) -> str:
    """One line of what went wrong; a cause says more than "Connection error."."""
    if isinstance(error, openai.APIStatusError):
        text = " ".join(str(error.message).split())
        return f"status {error.status_code}: {text[:300]}"
    cause = error.__cause__
    detail = f" ({cause})" if cause is not None and str(cause) else ""
    return f"{str(error).rstrip('.')}{detail}"


def _retry_after_s(error: openai.APIStatusError) -> float | None:
    """Seconds that the endpoint asks to wait, given as a number or as a date."""
    value = error.response.headers.get("retry-after", "")
    try:
        return float(value)
    except ValueError:
        pass
    try:
        asked = parsedate_to_datetime(value)
    except ValueError:
        return None
    return (asked.replace(tzinfo=asked.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
