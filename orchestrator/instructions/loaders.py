"""From a file of instructions to problems. Every row ends as a problem or as a drop with a reason.

The shapes are those of the published datasets:

oss_instruct   `problem` (or `instruction`), `lang`, beside `solution`, `seed` and indices
evol_instruct  `instruction`, `output`
sharegpt       `conversations`: turns of `from` ("human", "gpt", ...) and `value`
plain          `instruction`, optional `id`, `language`, `start_code`, `entry_point`

An `id` is taken where a row has one; elsewhere it is made from the content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from orchestrator.errors import InputError
from orchestrator.fences import find_blocks
from orchestrator.instructions.records import Record, read_records
from orchestrator.problem import Problem
from orchestrator.store.problems import Drop

#: Names that datasets use, where they differ from the sandbox's.
_LANGUAGE_NAMES = {
    "py": "python",
    "python3": "python",
    "js": "javascript",
    "ts": "typescript",
    "c++": "cpp",
    "golang": "go",
    "rs": "rust",
    "c#": "csharp",
    "sh": "shell",
    "bash": "shell",
}
#: What the fence around an answer says about the language that was asked for. Other
#: tags ("json", "text", ...) say nothing.
_TELLING_TAGS = frozenset(
    {
        *("python", "javascript", "typescript", "cpp", "c", "java", "go", "rust", "csharp"),
        *("php", "ruby", "swift", "kotlin", "scala", "shell", "sql", "html", "css", "r"),
    }
)


def load_instructions(
    path: Path, row_format: str, language: str, limit: int | None = None
) -> Iterator[tuple[str, Problem] | Drop]:
    """Problems with their locations, and drops, in the order of the file.

    language: of the run; rows that ask for another one are dropped.
    limit: ends after so many problems.

    Raises:
        InputError: a row is broken, lacks a field, or takes another row's id.
    """
    read = _FORMATS[row_format]
    places: dict[str, tuple[str, str]] = {}  # id -> content, location
    contents: dict[str, str] = {}  # content -> location
    for record in read_records(path):
        if limit is not None and len(places) >= limit:
            return
        found = read(record, language)
        if isinstance(found, Drop):
            yield found
            continue
        content = _content(found)
        known = places.get(found.id)
        if known is not None and known[0] != content:
            raise InputError(f"{record.location}: id {found.id!r} is taken by {known[1]}")
        if content in contents:
            yield Drop(record.location, "duplicate", f"of {contents[content]}")
            continue
        places[found.id] = (content, record.location)
        contents[content] = record.location
        yield record.location, found


def _oss_instruct(record: Record, language: str) -> Problem | Drop:
    instruction = record.text("problem", "instruction")
    asked = record.optional_text("lang", "language")
    return _problem(record, "oss_instruct", instruction, asked, language)


def _evol_instruct(record: Record, language: str) -> Problem | Drop:
    instruction = record.text("instruction")
    asked = _language_of_answer(record.optional_text("output") or "")
    return _problem(record, "evol_instruct", instruction, asked, language)


def _sharegpt(record: Record, language: str) -> Problem | Drop:
    turns = record.fields.get("conversations")
    if turns is None:
        raise InputError(f"{record.location}: field 'conversations' is missing")
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise record.wrong_type("conversations", turns, "a list of turns")
    said = [Record(f"{record.location}: turn {i}", turn) for i, turn in enumerate(turns, 1)]
    roles = [(turn.optional_text("from") or "").lower() for turn in said]
    human = next((i for i, role in enumerate(roles) if role in ("human", "user")), None)
    if human is None:
        return Drop(record.location, "no human turn")
    reply = said[human + 1].optional_text("value") if human + 1 < len(said) else None
    asked = _language_of_answer(reply or "")
    return _problem(record, "sharegpt", said[human].text("value"), asked, language)


def _plain(record: Record, language: str) -> Problem | Drop:
    instruction = record.text("instruction")
    return _problem(record, "plain", instruction, record.optional_text("language"), language)


def _problem(
    record: Record, source: str, instruction: str, asked: str | None, language: str
) -> Problem | Drop:
    if not instruction.strip():
        return Drop(record.location, "empty instruction")
    if asked is not None and canonical_language(asked) != language:
        return Drop(record.location, "another language", asked)
    # Spaces can carry meaning here: a start code is often the whole instruction.
    plain = source == "plain"
    start_code = record.optional_text("start_code") if plain else None
    entry_point = record.optional_text("entry_point") if plain else None
    content = hashlib.sha256(
        f"{language}\0{instruction}\0{start_code}".encode("utf-8", "surrogatepass")
    ).hexdigest()
    identifier = _given_id(record) or content[:16]
    return Problem(identifier, instruction, language, start_code, entry_point, source)


def _given_id(record: Record) -> str | None:
    value = record.fields.get("id")
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise record.wrong_type("id", value, "a string or a whole number")
    return str(value)


def _language_of_answer(answer: str) -> str | None:
    """The language of the first fenced block whose tag names one."""
    for block in find_blocks(answer):
        name = canonical_language(block.tag)
        if name in _TELLING_TAGS:
            return name
    return None


def canonical_language(name: str) -> str:
    """The name that the sandbox uses for a language."""
    name = name.strip().lower()
    return _LANGUAGE_NAMES.get(name, name)


def _content(problem: Problem) -> str:
    # Rows that differ in white space at their ends ask for the same.
    text = f"{problem.instruction.strip()}\0{problem.start_code}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


_FORMATS: dict[str, Callable[[Record, str], Problem | Drop]] = {
    "oss_instruct": _oss_instruct,
    "evol_instruct": _evol_instruct,
    "sharegpt": _sharegpt,
    "plain": _plain,
}
