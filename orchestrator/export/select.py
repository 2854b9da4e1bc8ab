"""Which samples of a problem become rows, on which side, and in which split."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

from orchestrator.labels import Label, LabelReason
from orchestrator.problem import Problem
from orchestrator.recipe_export import ExportSection

SPLITS = ("train", "test")
#: The fate of a sample that became a row.
EXPORTED = "exported"
#: Reasons that mean: this program does not run.
DOES_NOT_RUN = frozenset(
    {
        LabelReason.SYNTAX_ERROR,
        LabelReason.STATIC_ERROR,
        LabelReason.DOES_NOT_COMPILE,
        LabelReason.DOES_NOT_LOAD,
    }
)


@dataclass(frozen=True)
class LabelledSample:
    """One sample with its final label."""

    index: int
    completion: str  # raw
    label: Label


@dataclass(frozen=True)
class LabelledProblem:
    """A problem and all its samples."""

    problem: Problem
    samples: Sequence[LabelledSample]


@dataclass(frozen=True)
class ExportSettings(ExportSection):
    """What is to be written, and the seed of every choice."""

    seed: int = 0


#: Whether a sample is desirable (True), undesirable (False) or no row (None) in a dataset.
Side = Callable[[LabelledSample], bool | None]


def labelled_side(sample: LabelledSample) -> bool | None:
    """As its label says."""
    return sample.label.value


def running_side(sample: LabelledSample) -> bool | None:
    """Of the ablation: as its label says, but undesirable is what does not run at all."""
    if sample.label.reason in DOES_NOT_RUN:
        return False
    return True if sample.label.value is True else None


def select(
    labelled: LabelledProblem, settings: ExportSettings, side: Side = labelled_side
) -> tuple[list[LabelledSample], list[str]]:
    """The samples of a problem that become rows, and the fate of each sample in their order.

    Equal completions become one row; of what is over the cap, a seed chooses. A problem
    without a desirable sample gives no rows.
    """
    fates = {s.index: f"dropped: {s.label.reason}" for s in labelled.samples}
    classes = _without_twins(labelled, side, fates)
    if not classes[True]:
        for sample in classes[False]:
            fates[sample.index] = f"dropped: {LabelReason.NO_PASSING_CANDIDATE}"
        classes[False].clear()
    chosen: list[LabelledSample] = []
    generator = random.Random(f"{settings.seed}:{labelled.problem.id}:cap")
    for samples in classes.values():
        cap = len(samples) if settings.max_per_problem is None else settings.max_per_problem
        chosen += generator.sample(samples, min(cap, len(samples)))
    for sample in chain(classes[True], classes[False]):
        fates[sample.index] = "left out: over the cap"
    chosen.sort(key=lambda s: s.index)
    for sample in chosen:
        fates[sample.index] = EXPORTED
    return chosen, [fates[s.index] for s in labelled.samples]


def _without_twins(
    labelled: LabelledProblem, side: Side, fates: dict[int, str]
) -> dict[bool, list[LabelledSample]]:
    """The samples of each side, of equal completions only the first; notes the others' fates."""
    by_text: dict[str, list[LabelledSample]] = {}
    for sample in labelled.samples:
        if side(sample) is not None:
            by_text.setdefault(sample.completion, []).append(sample)
    classes: dict[bool, list[LabelledSample]] = {True: [], False: []}
    for twins in by_text.values():
        agreed = len({side(s) for s in twins}) == 1
        for twin in twins:
            fates[twin.index] = "merged: duplicate" if agreed else "dropped: duplicates disagree"
        if agreed:
            classes[side(twins[0]) is True].append(twins[0])
    return classes


def split_of(problem_id: str, settings: ExportSettings) -> str:
    """The split of a problem, which does not change when other problems come or go."""
    digest = hashlib.sha256(f"{settings.seed}:{problem_id}:split".encode()).digest()
    return "test" if int.from_bytes(digest[:8], "big") / 2**64 < settings.test_share else "train"
