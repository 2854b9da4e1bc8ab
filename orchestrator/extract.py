"""From a completion to a candidate: finds the code in what a model wrote. Never raises.

A completion is hostile text: whatever is looked at is bounded, nothing is run, and code that
does not parse is still handed on, because its honest verdict is the sandbox's to give.
"""

from __future__ import annotations

import ast
import re
import textwrap
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.fences import Block, find_blocks
from orchestrator.problem import Problem

#: Longer texts are not parsed to find their code in prose; nothing real is near it.
_MAX_PARSED_CHARS = 100_000
#: Attempts at finding the end of code that prose follows.
_MAX_CUTS = 20
#: Places in prose where code may start that are tried.
_MAX_STARTS = 5

_CODE_START = re.compile(
    r"(?:def |class |async def |import |from \w[\w.]* import |@\w|if __name__|[A-Za-z_]\w*\s*=[^=])"
)
_DEFINITION = re.compile(r"^(?:async\s+def|def|class)\s+(\w+)", re.MULTILINE)
#: What another name for a language is in the tag of a fence.
_TAGS = {
    "python": {"python", "py", "python3", "python-3", "ipython"},
    "javascript": {"javascript", "js", "node", "mjs"},
    "typescript": {"typescript", "ts"},
    "cpp": {"cpp", "c++", "cc", "cxx"},
    "java": {"java"},
    "go": {"go", "golang"},
    "rust": {"rust", "rs"},
    "ruby": {"ruby", "rb"},
}


@dataclass(frozen=True)
class Extraction:
    """A candidate's source, None where there is none, and how it was found."""

    source: str | None
    how: str


def extract_solution(problem: Problem, completion: str) -> Extraction:
    """The candidate in a completion for `problem`: continues its start code where there is one."""
    if problem.start_code is not None and problem.language == "python":
        return extract_continuation(problem.start_code, completion)
    found = extract_candidate(completion, problem.language)
    if found.source is not None and _is_left_open(problem.start_code, found.source):
        return Extraction(f"{problem.start_code}{found.source}", f"{found.how}, continued")
    return found


def _is_left_open(start_code: str | None, source: str) -> bool:
    """Whether start code of another language than Python is only whole with `source` behind it."""
    if start_code is None or start_code.count("{") <= start_code.count("}"):
        return False
    opened = "".join(start_code.rstrip().rpartition("\n")[2].split())
    return opened not in "".join(source.split())


def extract_candidate(completion: str, language: str) -> Extraction:
    """The code in a completion that stands on its own: fenced, bare, or with prose around it.

    Of several fenced blocks those of the language count (untagged ones where there is none),
    and are joined as the parts of one program; a block that defines a name again is an
    alternative, and the first one stands; blocks that only use what others define are examples.
    """
    text = _after_reasoning(completion.replace("\r\n", "\n"))
    if language == "python" and (head := _code_before_stray_fence(text)) is not None:
        return Extraction(head, "bare code, then a closing fence")
    blocks = _of_language(find_blocks(text), language)
    if blocks:
        source, how = _join(blocks, language)
        return Extraction(source, how) if source.strip() else Extraction(None, "empty fence")
    if not text.strip():
        return Extraction(None, "empty completion")
    if language != "python":
        return Extraction(text, "bare code")
    return _unfenced(text)


def extract_continuation(prompt: str, completion: str) -> Extraction:
    """The code that comes of continuing `prompt`, Python code, with a completion.

    The completion may be the continuation itself (cut where it runs on into something that is
    no part of a program), or repeat the prompt's function whole, fenced or not: then it is put
    after the prompt, whose imports and helpers it may count on.
    """
    text = _after_reasoning(completion.replace("\r\n", "\n"))
    head = _code_before_stray_fence(text, prompt)
    blocks = [] if head is not None else _of_language(find_blocks(text), "python")
    if blocks:
        text, how = _join(blocks, "python")[0], "fenced"
    else:
        text, how = head if head is not None else text, "unfenced"
    if not text.strip():
        return Extraction(None, "empty completion")
    if _repeats(prompt, text):
        body = text if how == "fenced" else (_unfenced(text).source or text)
        return Extraction(_after_prompt(prompt, body), f"{how}, whole")
    for candidate in _continuations(prompt, text):
        cut = _longest_parsing(candidate, least=len(prompt))
        if cut is not None and cut[len(prompt) :].strip():
            return Extraction(cut, f"{how}, continued")
    if how == "fenced" or _CODE_START.match(text):
        return Extraction(_after_prompt(prompt, text), f"{how}, after the start code")
    return Extraction(prompt + text, f"{how}, continued")


def _after_reasoning(text: str) -> str:
    """The answer proper of a model that thinks aloud first."""
    return text.rpartition("</think>")[2]


def _of_language(blocks: Sequence[Block], language: str) -> list[Block]:
    tags = _TAGS.get(language, {language})
    tagged = [b for b in blocks if b.tag in tags]
    return tagged or [b for b in blocks if not b.tag]


def _join(blocks: Sequence[Block], language: str) -> tuple[str, str]:
    """One program of several blocks, and how it was made."""
    how = "fenced" if blocks[-1].closed else "fenced, fence left open"
    if len(blocks) == 1:
        return blocks[0].text, how
    if language != "python":
        # Nothing here can tell a part from an alternative in another language.
        return max(blocks, key=lambda b: len(b.text)).text, "longest fence"
    chosen: list[str] = []
    seen: set[str] = set()
    for block in blocks:
        names = _definitions(block.text)
        if names is None or not names or names & seen:
            continue
        chosen.append(block.text.rstrip("\n") + "\n")
        seen |= names
    if not chosen:
        return blocks[0].text, "first fence"
    return "\n".join(chosen), "fenced" if len(chosen) == 1 else f"{len(chosen)} fences joined"


def _definitions(source: str) -> set[str] | None:
    """Names that the top level of a program binds; None where it does not parse."""
    tree = _parse(source)
    if tree is None:
        return None
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Import() | ast.ImportFrom():
                # Imported twice is no redefinition: keep these names apart.
                names.update(f"import {a.asname or a.name} {len(source)}" for a in node.names)
            case ast.Assign():
                names.update(t.id for t in node.targets if isinstance(t, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
            case _:
                pass
    return names


def _unfenced(text: str) -> Extraction:
    """Python code in text without fences."""
    if (bare := _without_stray_words(text)) is not None:
        return Extraction(bare, "bare code")
    lines = text.split("\n")
    starts = [i for i, line in enumerate(lines) if _CODE_START.match(line)]
    for start in starts[:_MAX_STARTS]:
        cut = _longest_parsing("\n".join(lines[start:]), least=1)
        if cut is not None and (found := _without_stray_words(cut)) is not None:
            return Extraction(found, "code in prose")
    definition = _DEFINITION.search(text)
    if definition is None:
        return Extraction(None, "no code")
    return Extraction(text[definition.start() :], "code that does not parse")


def _without_stray_words(text: str) -> str | None:
    """`text`, if it parses, less the words before and after its code; None where it is no code.

    "Solution" and "Done." are Python too, and a NameError each.
    """
    tree = _parse(text)
    if tree is None:
        return None
    code = [i for i, node in enumerate(tree.body) if _is_code(node)]
    if not code:
        return None
    first, last = code[0], code[-1]
    if first == 0 and last == len(tree.body) - 1:
        return text
    lines = text.split("\n")
    start = 0 if first == 0 else tree.body[first - 1].end_lineno or 0
    return "\n".join(lines[start : tree.body[last].end_lineno]) + "\n"


def _is_code(node: ast.stmt) -> bool:
    """False for what a word, a word and a colon, or a title in quotes parses as."""
    match node:
        case ast.Expr(value=ast.Name() | ast.Constant() | ast.Attribute() | ast.Tuple()):
            return False
        case ast.AnnAssign(value=None):
            return False
        case _:
            return True


def _longest_parsing(text: str, least: int) -> str | None:
    """A long run of whole lines from the start of `text` that parses, None without one.

    Cuts only before lines that are not indented, for a statement never ends within one, and
    only above the line that the parser complains of, for what follows cannot mend it.
    """
    wrong = _wrong_line(text)
    if wrong is None:
        return text
    cuts = [m.start() + 1 for m in re.finditer(r"\n(?=\S)", text)]
    end = sum(len(line) + 1 for line in text.split("\n")[:wrong])
    for cut in reversed([c for c in cuts if least <= c < end][-_MAX_CUTS:]):
        if _wrong_line(text[:cut]) is None:
            return text[:cut]
    return None


def _code_before_stray_fence(text: str, prompt: str = "") -> str | None:
    """What stands before a first bare fence that closes what the prompt had opened."""
    match = re.search(r"^(?:```|~~~)[ \t]*$", text, re.MULTILINE)
    if match is None or re.search(r"^[ \t]*(?:```|~~~)", text[: match.start()], re.MULTILINE):
        return None
    head = text[: match.start()]
    for candidate in (head, prompt + head) if prompt else (head,):
        tree = _parse(candidate)
        if head.strip() and tree is not None and any(_is_code(node) for node in tree.body):
            return head
    return None


def _repeats(prompt: str, text: str) -> bool:
    """Whether `text` defines at its top level what the prompt is about."""
    asked = _DEFINITION.findall(prompt)
    return bool(asked) and asked[-1] in _DEFINITION.findall(text)


def _after_prompt(prompt: str, source: str) -> str:
    """`source` with the start code before it where that parses, or does with an empty body."""
    for head in (prompt, prompt.rstrip() + "\n    pass\n"):
        if _parse(head) is not None:
            return f"{head.rstrip()}\n\n\n{source}"
    return source


def _continuations(prompt: str, text: str) -> list[str]:
    """`text` put after `prompt` as it is, and with the indentation that models tend to lose."""
    if not _DEFINITION.search(prompt):
        return [prompt + text]
    last = prompt.rstrip().rpartition("\n")[2]
    indent = last[: len(last) - len(last.lstrip())] or "    "
    head = prompt.rstrip() + "\n"
    body = text.strip("\n")
    first, newline, rest = body.partition("\n")
    kept = prompt + text
    mended = [
        head + indent + first.lstrip() + newline + rest,
        head + textwrap.indent(textwrap.dedent(body), indent),
    ]
    return [kept, *mended] if first[:1].isspace() else [*mended, kept]


def _parse(source: str) -> ast.Module | None:
    """The syntax tree, or None where there is none to be had."""
    tree = _tree_or_line(source)
    return tree if isinstance(tree, ast.Module) else None


def _wrong_line(source: str) -> int | None:
    """The line, from 1, at which `source` stops being Python; None where it does not."""
    line = _tree_or_line(source)
    return line if isinstance(line, int) else None


def _tree_or_line(source: str) -> ast.Module | int:
    last = source.count("\n") + 1
    if len(source) > _MAX_PARSED_CHARS:
        return last
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in hostile text is nothing to warn us about
            tree = ast.parse(source)
    except SyntaxError as e:
        return e.lineno or last
    except (ValueError, RecursionError, MemoryError, OverflowError):
        return last
    return _stray_return(tree) or tree


def _stray_return(tree: ast.Module) -> int | None:
    """The line of a return outside every function, which the parser lets pass."""
    todo: list[ast.AST] = [*reversed(tree.body)]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Return):
            return node.lineno
        if isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case) and not isinstance(
            node, ast.FunctionDef | ast.AsyncFunctionDef
        ):
            todo.extend(ast.iter_child_nodes(node))
    return None
