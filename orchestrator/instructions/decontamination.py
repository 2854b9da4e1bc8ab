"""Decontamination: what shares a run of words with a benchmark's problem is not trained on.

Ten words in a row is what published pipelines for code data use (DeepSeek-Coder, OpenCoder,
Qwen2.5-Coder); general text is commonly compared by 13 (GPT-3). Prompts that are shorter than
the run, and have three words at least, count where they are the whole instruction.
"""

from __future__ import annotations

from collections.abc import Iterable

from orchestrator.benchmarks.read import read_benchmark
from orchestrator.instructions.loaders import Instruction
from orchestrator.instructions.words import ngrams, words_of
from orchestrator.problem import Problem
from orchestrator.recipe_instructions import DecontaminationSection
from orchestrator.store.problems import Drop

CONTAMINATED = "in a benchmark"
#: A shorter prompt says too little to be recognised by.
_LEAST_WORDS = 3
#: Problems that a drop names.
_NAMED = 5


class Contamination:
    """Finds instructions that overlap with problems of benchmarks."""

    def __init__(self, problems: Iterable[tuple[str, Problem]], size: int) -> None:
        """problems: each with a name for messages. size: of a run, in words."""
        self._size = size
        self._runs: dict[str, list[str]] = {}
        self._whole: dict[str, list[str]] = {}
        for name, problem in problems:
            words = words_of(problem)
            for run in set(ngrams(words, size)):
                self._runs.setdefault(run, []).append(name)
            if _LEAST_WORDS <= len(words) < size:
                self._whole.setdefault(" ".join(words), []).append(name)

    def __call__(self, row: Instruction) -> Drop | None:
        words = words_of(row.problem)
        hits: dict[str, str] = {}  # name of the benchmark's problem -> the first run it shares
        for run in ngrams(words, self._size):
            for name in self._runs.get(run, ()):
                hits.setdefault(name, run)
        whole = " ".join(words)
        for name in self._whole.get(whole, ()):
            hits.setdefault(name, whole)
        if not hits:
            return None
        names = list(hits)
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        detail = f"{', '.join(names[:_NAMED])}{more}: {hits[names[0]]!r}"
        return Drop(row.location, CONTAMINATED, detail)


def open_contamination(settings: DecontaminationSection) -> Contamination:
    """Reads the benchmarks.

    Raises:
        InputError: one cannot be read.
    """
    problems = [
        (f"{file.path.name} {judged.problem.id}", judged.problem)
        for file in settings.benchmarks
        for judged in read_benchmark(file.path, file.format)
    ]
    return Contamination(problems, settings.ngram)
