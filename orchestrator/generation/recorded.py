"""A provider that replays answers from a file: for offline work, demonstrations and tests.

JSONL rows: `problem_id` or `instruction` says which problem, `answers` is a list of texts
in the four-section format.
"""

from __future__ import annotations

from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.generation.provider import Request, content_sha
from orchestrator.jsonl import Row, read_rows
from orchestrator.problem import Problem
from orchestrator.store.answers import Answer


class RecordedProvider:
    """Answers from a file, matched by problem id first, then by instruction.

    Raises:
        InputError: a row is broken, or two rows answer the same problem.
    """

    concurrency = 1

    def __init__(self, path: Path) -> None:
        self._by_id: dict[str, tuple[str, ...]] = {}
        self._by_instruction: dict[str, tuple[str, ...]] = {}
        for row in read_rows(path):
            answers = _answers(row)
            identifier = row.optional_text("problem_id")
            instruction = row.optional_text("instruction")
            if identifier is None and instruction is None:
                raise InputError(f"{row.where}: problem_id or instruction is missing")
            if identifier is not None:
                self._add(self._by_id, identifier, answers, row)
            elif instruction is not None:
                self._add(self._by_instruction, instruction.strip(), answers, row)

    def request_sha(self, problem: Problem) -> str:
        """The recorded texts themselves are what an answer depends on."""
        return content_sha({"provider": "recorded", "answers": list(self._find(problem))})

    def answer(self, request: Request) -> Answer | None:
        """The recorded answer with the request's index, if there are so many."""
        answers = self._find(request.problem)
        return Answer(answers[request.index], "recorded") if request.index < len(answers) else None

    def close(self) -> None:
        """Nothing is held."""

    def _find(self, problem: Problem) -> tuple[str, ...]:
        found = self._by_id.get(problem.id)
        return found or self._by_instruction.get(problem.instruction.strip(), ())

    @staticmethod
    def _add(
        table: dict[str, tuple[str, ...]], key: str, answers: tuple[str, ...], row: Row
    ) -> None:
        if key in table:
            raise InputError(f"{row.where}: answers for {key[:60]!r} came before")
        table[key] = answers


def _answers(row: Row) -> tuple[str, ...]:
    if row.fields.get("answers") is None:
        raise InputError(f"{row.where}: answers is missing")
    return tuple(row.texts("answers"))
