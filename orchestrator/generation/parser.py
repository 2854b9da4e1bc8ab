"""Reads the four sections of a generator's answer. Tolerant; runs nothing; never raises.

Models write the headings in many ways (`[Test Code]`, `## 4. Test Code`, `**Tests:**`,
`<test_code>`), in any order, with and without fences, and leave parts out. A heading in square
brackets counts everywhere, as nobody writes such a line in code (but for Rust's `#[test]`,
which is none); any other style only outside of fences.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from orchestrator.fences import Block, find_blocks


@dataclass(frozen=True)
class ParsedAnswer:
    """What an answer holds; None where a part is missing."""

    analysis: str | None
    solution: str | None
    start_code: str | None
    test_code: str | None


_SECTIONS = {
    "analysis": "analysis",
    "solution": "solution",
    "reference solution": "solution",
    "model solution": "solution",
    "solution code": "solution",
    "start code": "start_code",
    "starter code": "start_code",
    "starting code": "start_code",
    "test code": "test_code",
    "test cases": "test_code",
    "test suite": "test_code",
    "unit tests": "test_code",
    "tests": "test_code",
    "test": "test_code",
}
_NAMES = "|".join(sorted((name.replace(" ", r"[ _-]?") for name in _SECTIONS), key=len)[::-1])
_NUMBER = r"(?:\d{1,2}[.)][ \t]*)?"
_MARKS = rf"[ \t>]*{_NUMBER}[#*_ \t]*{_NUMBER}"
#: A heading may go on in brackets: `## Test Code (Python)`.
_ASIDE = r"(?:\([^()]{0,60}\))?[*_: \t]*"
_BRACKETED = re.compile(
    rf"^{_MARKS}\[[ \t]*(/?)({_NAMES})[ \t]*\][*_: \t]*(.*)$", re.IGNORECASE | re.ASCII
)
_ATTRIBUTE = re.compile(r"^[ \t]*#\[")
_TAG = re.compile(rf"^[ \t]*<[ \t]*(/?)({_NAMES})[ \t]*>[ \t]*$", re.IGNORECASE | re.ASCII)
_DECORATED = re.compile(
    rf"^[ \t>]*{_NUMBER}(?:#{{1,6}}[ \t*_]*|\*\*[ \t]*|__[ \t]*){_NUMBER}({_NAMES})[*_: \t]*{_ASIDE}$",
    re.IGNORECASE | re.ASCII,
)
_COLON = re.compile(rf"^[ \t]*({_NAMES})[ \t]*:[ \t]*$", re.IGNORECASE | re.ASCII)
_FENCE = re.compile(r"^[ \t>]*(`{3,}|~{3,})")


def parse_answer(text: str) -> ParsedAnswer:
    """The sections of an answer. Where a heading comes twice, its last part with content counts."""
    sections = _split(text)
    if not sections:
        return _without_headings(text)
    return ParsedAnswer(
        analysis=_last(sections, "analysis"),
        solution=_code(sections, "solution"),
        start_code=_code(sections, "start_code"),
        test_code=_code(sections, "test_code"),
    )


def _split(text: str) -> list[tuple[str, str]]:
    """Section names and bodies, in their order."""
    sections: list[tuple[str, list[str]]] = []
    fence: str | None = None
    for line in text.replace("\r\n", "\n").split("\n"):
        found = _heading(line, in_fence=fence is not None)
        if found is not None:
            sections.append((found[0], [found[1]] if found[1].strip() else []))
            # A bracketed heading also ends a fence that was never closed, and may open one.
            opened = _FENCE.match(found[1])
            fence = opened[1] if opened is not None else None
            continue
        mark = _FENCE.match(line)
        if mark is not None:
            if fence is None:
                fence = mark[1]
            elif line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                fence = None
        if sections:
            sections[-1][1].append(line)
    return [(name, "\n".join(body)) for name, body in sections]


def _heading(line: str, *, in_fence: bool) -> tuple[str, str] | None:
    """The section that a line opens and what stands behind the heading, or None.

    A closing tag opens a section without a name, which nobody reads.
    """
    if len(line) > 400 or _ATTRIBUTE.match(line):
        return None
    match = _BRACKETED.match(line) or (None if in_fence else _TAG.match(line))
    if match is not None:
        rest = match[3] if match.re is _BRACKETED else ""
        return "" if match[1] else _section(match[2]), rest
    if in_fence:
        return None
    match = _DECORATED.match(line) or _COLON.match(line)
    return (_section(match[1]), "") if match is not None else None


def _section(heading: str) -> str:
    words = re.sub(r"[ _-]+", " ", heading.lower())
    return _SECTIONS.get(words) or next(
        section for name, section in _SECTIONS.items() if name.replace(" ", "") == words
    )


def _last(sections: list[tuple[str, str]], name: str) -> str | None:
    bodies = [body.strip("\n") for section, body in sections if section == name and body.strip()]
    return bodies[-1] if bodies else None


def _code(sections: list[tuple[str, str]], name: str) -> str | None:
    body = _last(sections, name)
    if body is None:
        return None
    blocks = [block.text for block in find_blocks(body) if block.text.strip()]
    code = "\n".join(blocks) if blocks else body + "\n"
    return code if code.strip() and not code.lstrip().startswith(("```", "~~~")) else None


def _without_headings(text: str) -> ParsedAnswer:
    """Guesses by content: the last block that asserts is the suite, the first other the solution."""
    blocks = [block for block in find_blocks(text) if block.text.strip()]
    suites = [block for block in blocks if _asserts(block)]
    others = [block for block in blocks if not _asserts(block)]
    return ParsedAnswer(
        analysis=None,
        solution=others[0].text if others else None,
        start_code=others[1].text if len(others) > 1 else None,
        test_code=suites[-1].text if suites else None,
    )


#: A line by which a block shows that it is a suite, in one of the languages.
_ASSERTS = re.compile(
    r"^[ \t]*(?:console\.)?assert\b|^[ \t]*#\[test\]|\*testing\.T\b|\bthrow new AssertionError\b",
    re.MULTILINE,
)


def _asserts(block: Block) -> bool:
    return _ASSERTS.search(block.text) is not None
