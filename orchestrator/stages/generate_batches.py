"""Stage `generate` by the Batch API: hands requests in, waits, and collects what came of them.

What is handed in is noted before it leaves, each step after it is done, so that a run that was
killed anywhere finds its batches again and never hands in a request twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from orchestrator.generation.batch_api import BatchApi, BatchFailed
from orchestrator.generation.batch_lines import BatchLine, custom_id
from orchestrator.generation.provider import ProviderError, Request
from orchestrator.problem import Problem
from orchestrator.stages.answering import Answering
from orchestrator.store.answers import count_answers
from orchestrator.store.batches import (
    StoredBatch,
    add_batch,
    forget_batch,
    open_batches,
    requests_of,
    set_batch_id,
    set_input_file,
)
from orchestrator.store.problems import problem_by_id


def generate_in_batches(answering: Answering) -> None:
    """Gathers every answer that is not stored yet.

    Raises:
        ProviderError: the endpoint failed, or answered nothing that was handed in.
        BudgetError: the next answer may cost more than is left.
    """
    with closing(BatchApi(answering.settings)) as api:
        for batch in open_batches(answering.db):
            for _, index, problem_id in requests_of(answering.db, batch.id):
                answering.budget.reserve(problem_by_id(answering.db, problem_id), index)
        while True:
            blocked = _hand_in(answering, api)
            batches = open_batches(answering.db)
            if not batches:
                break
            _collect_all(answering, api, batches)
    if blocked is not None:
        raise answering.budget.error(blocked)


def _hand_in(answering: Answering, api: BatchApi) -> Problem | None:
    """Notes all that is missing in batches, uploads and creates them.

    Returns the first problem that there is no money for, or None.
    """
    limit = _Limit(answering)
    for requests in limit.groups(answering.missing(api.request_sha)):
        add_batch(answering.db, [(r.sha, r.index, r.problem.id) for r in requests])
    for batch in open_batches(answering.db):
        _create(answering, api, batch)
    return limit.blocked


def _create(answering: Answering, api: BatchApi, batch: StoredBatch) -> None:
    if batch.batch_id is not None:
        return
    db, input_file_id = answering.db, batch.input_file_id
    if input_file_id is None:
        requests = [
            Request(problem_by_id(db, problem_id), index, sha)
            for sha, index, problem_id in requests_of(db, batch.id)
        ]
        input_file_id = api.upload(requests)
        set_input_file(db, batch.id, input_file_id)
    set_batch_id(db, batch.id, api.create(input_file_id))


def _collect_all(answering: Answering, api: BatchApi, batches: list[StoredBatch]) -> None:
    answers, reasons = 0, ["the endpoint says nothing about them"]
    for batch in batches:
        lines = _wait(answering, api, batch)
        answers += _collect(answering, batch, lines)
        reasons += [line.reason for line in lines if line.reason]
    if not answers:
        # Else a request that never succeeds would be handed in for ever.
        raise ProviderError(f"generation: no request of the batches was answered: {reasons[-1]}")


def _wait(answering: Answering, api: BatchApi, batch: StoredBatch) -> list[BatchLine]:
    lines = None
    while lines is None:
        try:
            lines = api.wait(batch.batch_id or "")
        except BatchFailed:
            forget_batch(answering.db, batch.id)  # nothing was done: the next run asks again
            raise
    return lines


def _collect(answering: Answering, batch: StoredBatch, lines: list[BatchLine]) -> int:
    """Stores the answers of a batch; returns their number. What has none is missing again."""
    left = {
        custom_id(sha, index): (sha, index, problem_id)
        for sha, index, problem_id in requests_of(answering.db, batch.id)
    }
    # A model that refuses everything from the start has been asked wrongly.
    refused = _only_refusals(lines) and count_answers(answering.db) == 0
    taken = 0
    for line in [] if refused else lines:
        if line.answer is not None and line.custom_id in left:
            sha, index, problem_id = left.pop(line.custom_id)
            answering.take(problem_id, sha, index, line.answer)
            taken += 1
    for _, index, problem_id in left.values():
        answering.budget.settle(problem_id, index, None)
    forget_batch(answering.db, batch.id)
    return taken


def _only_refusals(lines: list[BatchLine]) -> bool:
    return all(line.answer is not None and line.answer.finish_reason == "refused" for line in lines)


@dataclass
class _Limit:
    """Cuts requests into groups for batches, as long as there is money."""

    answering: Answering
    blocked: Problem | None = None

    def groups(self, requests: Iterator[Request]) -> Iterator[list[Request]]:
        """Groups of at most `batch_size` requests."""
        group: list[Request] = []
        for request in requests:
            if not self.answering.budget.admit(request.problem, request.index):
                self.blocked = request.problem
                break
            group.append(request)
            if len(group) == self.answering.settings.batch_size:
                yield group
                group = []
        if group:
            yield group
