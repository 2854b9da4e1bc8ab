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
from orchestrator.generation.interrupts import Interrupts
from orchestrator.problem import Problem
from orchestrator.store.answers import Answer

#: How soon an interrupt from the keyboard is spoken of.
_LOOK_EVERY_S = 0.2


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
        with Interrupts() as interrupts:
            while True:
                failure = failure or _failed(interrupts, len(under_way))
                while failure is None and len(under_way) < provider.concurrency:
                    waiting = waiting or next(source, None)
                    if waiting is None or not admit(waiting):
                        break
                    under_way[pool.submit(provider.answer, waiting)] = waiting
                    waiting = None
                if not under_way:
                    break
                for future in wait(under_way, _LOOK_EVERY_S, FIRST_COMPLETED).done:
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
    failure = failure or _failed(interrupts, 0)
    if failure is not None:
        raise failure


def _failed(interrupts: Interrupts, under_way: int) -> KeyboardInterrupt | None:
    if not interrupts.noted:
        return None
    if under_way:
        print(
            f"generate: waiting for {under_way} answers under way, which are paid for;"
            " interrupt again to lose them",
            file=sys.stderr,
        )
    return KeyboardInterrupt()
