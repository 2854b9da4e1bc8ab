"""From rows of instructions to problems. Every row ends as a problem or as a drop with a reason.

The shapes are those of the published datasets:

oss_instruct   `problem` (or `instruction`), `lang`, beside `solution`, `seed` and indices
evol_instruct  `instruction`, `output`
sharegpt       `conversations`: turns of `from` ("human", "gpt", ...) and `value`
plain          `instruction`, optional `id`, `language`, `start_code`, `entry_point`, or what
               the recipe says that the rows call them

An `id` is taken where a row has one; elsewhere it is made from the content.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

from orchestrator.errors import InputError
from orchestrator.fences import find_blocks
from orchestrator.jsonl import Row
from orchestrator.problem import Problem
from orchestrator.recipe_instructions import FieldNames
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


@dataclass(frozen=True)
class Instruction:
    """A problem, the row that it is from, and the language that the row asks for, if it does."""

    location: str
    problem: Problem
    asked_language: str | None

    def content(self) -> str:
        """Digest of what is asked for: equal where two rows are the same problem."""
        # Rows that differ in white space at their ends ask for the same.
        text = f"{self.problem.instruction.strip()}\0{self.problem.start_code}"
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def read_instructions(
    rows: Iterable[Row], row_format: str, language: str, fields: FieldNames
) -> Iterator[Instruction | Drop]:
    """One instruction or drop for each row, in their order.

    language: of the run, which every problem gets.
    fields: what the rows of a plain source call theirs.

    Raises:
        InputError: a row is broken, or lacks a field.
    """
    read = _FORMATS[row_format]
    for row in rows:
        yield read(row, language, fields)


def _oss_instruct(row: Row, language: str, fields: FieldNames) -> Instruction | Drop:
    instruction = row.text("problem", "instruction")
    asked = row.optional_text("lang", "language")
    return _instruction(row, "oss_instruct", instruction, asked, language)


def _evol_instruct(row: Row, language: str, fields: FieldNames) -> Instruction | Drop:
    instruction = row.text("instruction")
    asked = _language_of_answer(row.optional_text("output") or "")
    return _instruction(row, "evol_instruct", instruction, asked, language)


def _sharegpt(row: Row, language: str, fields: FieldNames) -> Instruction | Drop:
    turns = row.fields.get("conversations")
    if turns is None:
        raise InputError(f"{row.where}: conversations is missing")
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise row.wrong("conversations", "a list of turns")
    said = [Row(f"{row.where}: turn {i}", turn) for i, turn in enumerate(turns, 1)]
    roles = [(turn.optional_text("from") or "").lower() for turn in said]
    human = next((i for i, role in enumerate(roles) if role in ("human", "user")), None)
    if human is None:
        return Drop(row.where, "no human turn")
    reply = said[human + 1].optional_text("value") if human + 1 < len(said) else None
    asked = _language_of_answer(reply or "")
    return _instruction(row, "sharegpt", said[human].text("value"), asked, language)


def _plain(row: Row, language: str, fields: FieldNames) -> Instruction | Drop:
    for ours, theirs in asdict(fields).items():
        if theirs != ours and theirs not in row.fields:
            raise InputError(f"{row.where}: {theirs} is missing ({ours})")
    instruction = row.text(fields.instruction)
    asked = row.optional_text(fields.language)
    # Spaces can carry meaning here: a start code is often the whole instruction.
    start_code = row.optional_text(fields.start_code)
    entry_point = row.optional_text(fields.entry_point)
    return _instruction(
        *(row, "plain", instruction, asked, language),
        start_code=start_code,
        entry_point=entry_point,
        id_field=fields.id,
    )


def _instruction(
    row: Row,
    source: str,
    instruction: str,
    asked: str | None,
    language: str,
    *,
    start_code: str | None = None,
    entry_point: str | None = None,
    id_field: str = "id",
) -> Instruction | Drop:
    if not instruction.strip():
        return Drop(row.where, "empty instruction")
    content = hashlib.sha256(
        f"{language}\0{instruction}\0{start_code}".encode("utf-8", "surrogatepass")
    ).hexdigest()
    identifier = _given_id(row, id_field) or content[:16]
    problem = Problem(identifier, instruction, language, start_code, entry_point, source)
    return Instruction(row.where, problem, asked)


def _given_id(row: Row, field: str) -> str | None:
    return None if row.fields.get(field) in (None, "") else row.id(field)


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


_FORMATS: dict[str, Callable[[Row, str, FieldNames], Instruction | Drop]] = {
    "oss_instruct": _oss_instruct,
    "evol_instruct": _evol_instruct,
    "sharegpt": _sharegpt,
    "plain": _plain,
}
