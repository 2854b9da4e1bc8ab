"""The rows of a problem, in every shape and style that trainers read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from orchestrator.export.select import (
    ExportSettings,
    LabelledSample,
    Side,
    labelled_side,
    running_side,
)
from orchestrator.pairs import balanced_pairs
from orchestrator.problem import Problem

#: What a prompt is made of a problem: for the plain style a text, for the other the message.
Render = Callable[[Problem], str]
Row = dict[str, Any]


def config_name(shape: str, style: str) -> str:
    """The name under which a dataset loader finds rows of a shape in a style."""
    return shape if style == "plain" else f"{shape}_{style}"


def side_of(shape: str) -> Side:
    """Which samples are desirable and undesirable in rows of a shape."""
    return running_side if shape == "ablation" else labelled_side


def problem_rows(
    shape: str,
    style: str,
    *,
    prompt: str,
    problem_id: str,
    chosen: Sequence[LabelledSample],
    settings: ExportSettings,
) -> Iterator[Row]:
    """The rows of one problem from its chosen samples."""
    side = side_of(shape)

    def row(**texts: Any) -> Row:
        shown = {k: _said(v, style) if isinstance(v, str) else v for k, v in texts.items()}
        asked = prompt if style == "plain" else [{"role": "user", "content": prompt}]
        return {"prompt": asked, **shown, "problem_id": problem_id}

    good = [s.completion for s in chosen if side(s) is True]
    if shape == "sft":
        yield from (row(completion=completion) for completion in good)
    elif shape == "dpo":
        bad = [s.completion for s in chosen if side(s) is False]
        seed = f"{settings.seed}:{problem_id}:pairs"
        pairs = balanced_pairs(good, bad, settings.pairs_per_problem, seed)
        yield from (row(chosen=a, rejected=b) for a, b in pairs)
    else:
        yield from (row(completion=s.completion, label=side(s)) for s in chosen)


def _said(text: str, style: str) -> str | list[dict[str, str]]:
    return text if style == "plain" else [{"role": "assistant", "content": text}]
