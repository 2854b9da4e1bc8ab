"""What the generator is asked: four sections, so that a suite can be tried on its own reference."""

from __future__ import annotations

from orchestrator.generation.suite_shapes import SHAPES
from orchestrator.problem import Problem

_SYSTEM = """\
You set programming exercises for a class that is graded by machine. For the exercise you are \
given you write a model solution, the code that students begin from, and the tests that grade \
them. Your tests are appended to a student's file and the whole file is run once, so they must \
work with nothing but what a correct student's file defines."""

_ASK = """\
Programming language: {language}

<exercise>
{instruction}
</exercise>
{start}
Answer in exactly four sections, each opened by its name in square brackets on a line of its own:

[Analysis]
In a few sentences: what is asked for, which inputs are legal, and which edge cases matter. Where \
the exercise leaves something open, decide it here and keep to it below.

[Solution]
One fenced code block with a complete, correct solution, its imports included. It only defines \
things: it reads no input, prints nothing and runs nothing when it is loaded.{solution}

[Start Code]
One fenced code block with the signatures (functions, classes and their methods) that every \
student has to implement, with the same names and parameters as in your solution, and bodies that \
do nothing.

[Test Code]
One fenced code block with five to fifteen plain assertions on results that the exercise determines{suite}. Work out every expected value by hand. Cover \
ordinary input, edge cases and one larger case; avoid randomness, time, files and the network."""

_BARE = """. It is \
placed behind the student's code in the same file: call what the start code names, do not repeat \
or import the solution, and use no test framework"""

_SHAPED = """: {suite}. \
Call what the start code names, and do not repeat or import the solution"""

_START = """
Students begin from this code; keep its names and parameters:

{start_code}
"""

_COMPLETE = """
The exercise is code that students complete; keep its names and parameters.
"""


def messages(problem: Problem) -> list[dict[str, str]]:
    """The conversation that asks for one answer, in the shape of the OpenAI protocol."""
    start = ""
    if problem.start_code is not None:
        same = problem.start_code == problem.instruction
        start = _COMPLETE if same else _START.format(start_code=problem.start_code)
    shape = SHAPES.get(problem.language)
    ask = _ASK.format(
        language=problem.language,
        solution="" if shape is None else f" {shape.solution}",
        suite=_BARE if shape is None else _SHAPED.format(suite=shape.suite),
        instruction=problem.instruction.strip(),
        start=start,
    )
    return [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": ask}]
