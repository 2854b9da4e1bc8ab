"""Fenced code blocks in Markdown, read leniently as models write them."""

from __future__ import annotations

import re
import textwrap
from dataclasses import dataclass

_OPENING = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})(?P<info>[^`]*)$")


@dataclass(frozen=True)
class Block:
    """One fenced block. `tag` is the first word after the fence in lower case, or empty."""

    tag: str
    text: str
    closed: bool


def find_blocks(text: str) -> list[Block]:
    """The blocks of a text in their order. A fence that nothing closes runs to the end."""
    blocks: list[Block] = []
    opening: re.Match[str] | None = None
    body: list[str] = []
    for line in text.split("\n"):
        if opening is None:
            opening = _OPENING.match(line)
            body = []
        elif _closes(line, opening["fence"]):
            blocks.append(_block(opening, body, closed=True))
            opening = None
        else:
            body.append(line)
    if opening is not None and any(line.strip() for line in body):
        blocks.append(_block(opening, body, closed=False))
    return blocks


def _closes(line: str, fence: str) -> bool:
    stripped = line.strip()
    return len(stripped) >= len(fence) and set(stripped) == {fence[0]}


def _block(opening: re.Match[str], body: list[str], *, closed: bool) -> Block:
    text = "\n".join(body)
    if opening["indent"]:  # a block within a list item
        text = textwrap.dedent(text)
    words = opening["info"].strip().strip("{}").split()
    tag = words[0].lstrip(".").rstrip(",:").lower() if words else ""
    return Block(tag, text + "\n" if text else "", closed)
