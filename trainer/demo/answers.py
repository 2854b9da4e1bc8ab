"""The demo's files: instructions, a generator's recorded answers, and benchmarks.

The answers are made, not generated, in the four-section format of any other
generator. A known share of them is broken in the ways in which real ones are,
so that the consistency filter has work; see `FLAWS`.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from trainer.demo.tasks import Task, assertions

#: Share of the answers with each flaw; the rest is sound.
FLAWS = {
    "wrong reference": 0.08,
    "wrong expectation": 0.07,
    "suite does not parse": 0.04,
    "suite checks nothing": 0.03,
    "no suite": 0.03,
}

_ANSWER = """\
[Analysis]
The list is filtered first, then every kept number is changed, then the results are brought \
together: {instruction} An empty list has to work too.

[Solution]
```python
{solution}```

[Start Code]
```python
def solve(xs):
    ...
```
{test_section}"""

_TEST_SECTION = """
[Test Code]
```python
{suite}
```
"""


def write_instructions(file: Path, tasks: Sequence[Task]) -> None:
    """JSONL rows `id`, `instruction`."""
    _write_rows(file, ({"id": task.id, "instruction": task.instruction} for task in tasks))


def write_answers(file: Path, tasks: Sequence[Task], answers: int, seed: int) -> None:
    """JSONL rows `problem_id`, `answers`: as many recorded answers to each task as asked for."""
    rng = random.Random(f"answers {seed}")
    _write_rows(
        file,
        ({"problem_id": t.id, "answers": [_answer(t, rng) for _ in range(answers)]} for t in tasks),
    )


def write_benchmark(file: Path, tasks: Sequence[Task], seed: int) -> None:
    """JSONL rows `id`, `instruction`, `test`: problems with sound suites, to measure a policy on."""
    rng = random.Random(f"benchmark {seed}")
    _write_rows(
        file,
        (
            {"id": t.id, "instruction": t.instruction, "test": "\n".join(assertions(t, rng)) + "\n"}
            for t in tasks
        ),
    )


def _answer(task: Task, rng: random.Random) -> str:
    flaw = rng.choices([*FLAWS, None], [*FLAWS.values(), 1 - sum(FLAWS.values())])[0]
    suite = assertions(task, rng)
    solution = task.program()
    if flaw == "wrong reference":
        solution = _misread(task, rng)
    elif flaw is not None and flaw != "no suite":
        suite = _SPOILED[flaw](suite, rng)
    section = "" if flaw == "no suite" else _TEST_SECTION.format(suite="\n".join(suite))
    return _ANSWER.format(
        instruction=task.instruction.rpartition("). ")[2], solution=solution, test_section=section
    )


def _misread(task: Task, rng: random.Random) -> str:
    """The program with one phrase misread, which the suite finds unless it means the same."""
    flags = [False, False, False]
    flags[rng.randrange(3)] = True
    return task.program(flags)


def _wrong_expectation(suite: list[str], rng: random.Random) -> list[str]:
    index = rng.randrange(len(suite))
    call, _, expected = suite[index].partition(" == ")
    wrong = "[99]" if expected.startswith("[") else f"{expected} + 1"
    return [*suite[:index], f"{call} == {wrong}", *suite[index + 1 :]]


_SPOILED: dict[str, Callable[[list[str], random.Random], list[str]]] = {
    "wrong expectation": _wrong_expectation,
    "suite does not parse": lambda suite, _: [*suite[:-1], suite[-1].replace("(", "((", 1)],
    "suite checks nothing": lambda suite, _: [
        re.sub(r"^assert (.*) == .*$", r"\1", s) for s in suite
    ],
}


def _write_rows(file: Path, rows: Iterable[dict[str, Any]]) -> None:
    with file.open("w", encoding="utf-8") as stream:
        for row in rows:
            stream.write(json.dumps(row) + "\n")
