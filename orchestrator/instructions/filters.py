"""Filters of instructions: each drops a row with a reason, or lets it pass."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from orchestrator.instructions.decontamination import open_contamination
from orchestrator.instructions.loaders import Instruction, canonical_language
from orchestrator.instructions.near_duplicates import NearDuplicates
from orchestrator.recipe_instructions import InstructionsSection
from orchestrator.store.problems import Drop

Filter = Callable[[Instruction], Drop | None]

_VERBS = (
    r"write|rewrite|create|implement|re-?implement|build|develop|make|generate|give me|provide|"
    r"design|code|program|complete|finish|fix|debug|correct|refactor|optimi[sz]e|convert|"
    r"translate|port|solve|add|extend|modify|update|improve|define|need|want|show me|produce"
)
_NAMES = (
    r"python|java|javascript|typescript|c\+\+|c#|rust|golang|ruby|php|kotlin|swift|scala|bash|"
    r"sql|html|css|numpy|pandas|react|django|flask"
)
_THINGS = (
    r"functions?|methods?|class(?:es)?|programs?|scripts?|code|snippets?|algorithms?|modules?|"
    r"librar(?:y|ies)|packages?|apis?|endpoints?|quer(?:y|ies)|regex(?:es)?|decorators?|"
    r"generators?|parsers?|apps?|applications?|bots?|web ?sites?|web ?pages?|components?|"
    r"data structures?|unit tests?|loops?|one-liners?|" + _NAMES
)
#: A verb of making and a thing made of code in one sentence, or a question for how to do
#: something in a language. Code that is only to be explained asks for prose.
_REQUEST = re.compile(
    rf"\b(?:{_VERBS})\b[^.?!\n]{{0,120}}?(?<!\w)(?:{_THINGS})(?!\w)"
    rf"|\b(?:how (?:do|can|would|could|to)|(?:can|could) you|please)\b[^.?!\n]{{0,160}}?"
    rf"\b(?:in|with|using) (?:{_NAMES})(?!\w)",
    re.IGNORECASE,
)


def apply_filters(
    rows: Iterable[Instruction | Drop], filters: Sequence[Filter]
) -> Iterator[Instruction | Drop]:
    """Each row once, in order: as it is where every filter lets it pass, else the first drop.

    A filter sees only the rows that those before it let pass.
    """
    for row in rows:
        if isinstance(row, Drop):
            yield row
        else:
            drops = (found for f in filters if (found := f(row)) is not None)
            yield next(drops, row)


def open_filters(settings: InstructionsSection, language: str) -> list[Filter]:
    """The filters that a recipe switches on, in their order. Made anew for each reading.

    What compares rows with each other comes last: a row that is dropped for another reason
    must not take its like with it.

    Raises:
        InputError: a benchmark cannot be read.
        PlumError: a library that a filter needs is not installed.
    """
    chosen, filters = settings.filters, list[Filter]()
    if chosen.language:
        filters.append(lambda row: _of_language(row, language))
    if chosen.min_chars is not None or chosen.max_chars is not None:
        low, high = chosen.min_chars or 0, chosen.max_chars
        filters.append(lambda row: _of_length(row, low, high))
    if chosen.asks_for_code:
        filters.append(_asking_for_code)
    if settings.decontamination.benchmarks:
        filters.append(open_contamination(settings.decontamination))
    filters.append(ExactDuplicates())
    if chosen.near_duplicates is not None:
        filters.append(NearDuplicates(chosen.near_duplicates))
    return filters


class ExactDuplicates:
    """Drops a row that asks for the same as one before it.

    Always on: problems and the answers that are paid for are known by their content.
    """

    def __init__(self) -> None:
        self._places: dict[str, str] = {}  # content -> location

    def __call__(self, row: Instruction) -> Drop | None:
        first = self._places.setdefault(row.content(), row.location)
        if first == row.location:
            return None
        return Drop(row.location, "duplicate", f"of {first}")


def asks_for_code(text: str) -> bool:
    """Whether somebody who writes `text` wants code back. A guess from the words alone."""
    return _REQUEST.search(text) is not None


def _of_language(row: Instruction, language: str) -> Drop | None:
    asked = row.asked_language
    if asked is None or canonical_language(asked) == language:
        return None
    return Drop(row.location, "another language", asked)


def _of_length(row: Instruction, low: int, high: int | None) -> Drop | None:
    length = len(row.problem.instruction.strip())
    if length < low:
        return Drop(row.location, "too short", f"{length} characters, at least {low}")
    if high is not None and length > high:
        return Drop(row.location, "too long", f"{length} characters, at most {high}")
    return None


def _asking_for_code(row: Instruction) -> Drop | None:
    if asks_for_code(row.problem.instruction):
        return None
    return Drop(row.location, "does not ask for code")
