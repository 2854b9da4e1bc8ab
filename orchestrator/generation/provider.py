"""What every source of answers is asked and gives, and how many are asked at one time."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.errors import PlumError
from orchestrator.problem import Problem
from orchestrator.store.answers import Answer


class ProviderError(PlumError):
    """The generator cannot be reached, or refuses to work for us. Exit code 1."""


@dataclass(frozen=True)
class Request:
    """One answer that is wanted. `sha` names everything that the answer depends on."""

    problem: Problem
    index: int  # of the problem's answers, from 0
    sha: str


class Provider(Protocol):
    """A source of answers. Called from several threads at one time."""

    concurrency: int

    def request_sha(self, problem: Problem) -> str:
        """Hex digest of all that an answer for `problem` depends on, but the answer's index."""

    def answer(self, request: Request) -> Answer | None:
        """One answer, or None where this source has none for that request.

        Raises:
            ProviderError: no answer can be had; asking for others is useless too.
        """

    def close(self) -> None:
        """Frees what it holds. Nothing is asked after it."""


def content_sha(content: dict[str, Any]) -> str:
    """Hex digest of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode("ascii")).hexdigest()


def answer_all(
    provider: Provider,
    requests: Iterable[Request],
    admit: Callable[[Request], bool] = lambda request: True,
) -> Iterator[tuple[Request, Answer | None]]:
    """Answers as they come, in any order; takes a request only when it can be sent.

    admit: whether a request may be sent now. One that may not waits until others are answered;
        when none is under way and it still may not, no more answers come.

    When one fails, no other is sent, and what is under way is still yielded before the
    error is raised: it is paid for. The same goes for an interrupt from the keyboard.

    Raises:
        ProviderError: of the first request that failed.
    """
    source = iter(requests)
    waiting: Request | None = None
    under_way: dict[Future[Answer | None], Request] = {}
    failure: ProviderError | KeyboardInterrupt | None = None
    pool = ThreadPoolExecutor(provider.concurrency, "plum-generate")
    try:
        while True:
            while failure is None and len(under_way) < provider.concurrency:
                waiting = waiting or next(source, None)
                if waiting is None or not admit(waiting):
                    break
                under_way[pool.submit(provider.answer, waiting)] = waiting
                waiting = None
            if not under_way:
                break
            done, interrupt = _wait(under_way)
            if interrupt is not None and isinstance(failure, KeyboardInterrupt):
                raise interrupt  # the second one is meant
            failure = failure or interrupt
            for future in done:
                request = under_way.pop(future)
                try:
                    answer = future.result()
                except ProviderError as e:
                    failure = failure or e
                    continue
                yield request, answer
    except BaseException:
        provider.close()  # nobody waits for the answers any more
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    if failure is not None:
        raise failure


def _wait(
    under_way: dict[Future[Answer | None], Request],
) -> tuple[set[Future[Answer | None]], KeyboardInterrupt | None]:
    """Those that are done, at least one of them unless the keyboard interrupted the wait."""
    try:
        return wait(under_way, return_when=FIRST_COMPLETED).done, None
    except KeyboardInterrupt as e:
        print(
            f"generate: waiting for {len(under_way)} answers under way, which are paid for;"
            " interrupt again to lose them",
            file=sys.stderr,
        )
        return set(), e
