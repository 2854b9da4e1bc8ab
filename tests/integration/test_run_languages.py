"""A whole run in every language but Python: from instructions to a dataset and a score.

A language whose toolchain is not on this machine is skipped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import SandboxError
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import embedded_sandbox
from tests.integration.endpoint import completion, serve_endpoint
from tests.integration.http_server import Reply
from tests.integration.run_helpers import labels, plum, stages_of, write_recipe


@dataclass(frozen=True)
class Texts:
    """The exercise "add {n}" in one language.

    add: a solution whose result is the expression put for `BODY`.
    bad: one that cannot run. suite: with `ONE` for what f(1) is and `TWO` for f(2).
    """

    add: str
    bad: str
    suite: str


TEXTS = {
    "javascript": Texts(
        "function add(x) {\n  return BODY\n}\n",
        "function add(x {\n",
        "console.assert(add(1) === ONE)\nconsole.assert(add(2) === TWO)\n",
    ),
    "typescript": Texts(
        "function add(x: number): number {\n  return BODY;\n}\n",
        "function add(x: number): number {\n  return 'a';\n}\n",
        "import * as assert from 'node:assert';\n"
        "assert.strictEqual(add(1), ONE);\nassert.strictEqual(add(2), TWO);\n",
    ),
    "cpp": Texts(
        "int add(int x) { return BODY; }\n",
        "int add(int x) { return nothing_like_it; }\n",
        "#include <cassert>\nint main() { assert(add(1) == ONE); assert(add(2) == TWO); }\n",
    ),
    "java": Texts(
        "class Solution {\n    int add(int x) { return BODY; }\n}\n",
        "class Solution {\n    int add(int x) { return nothing_like_it; }\n}\n",
        "class Main {\n    public static void main(String[] args) {\n"
        "        Solution s = new Solution();\n"
        "        if (s.add(1) != ONE || s.add(2) != TWO) throw new AssertionError();\n    }\n}\n",
    ),
    "go": Texts(
        "package main\n\nfunc Add(x int) int { return BODY }\n",
        "package main\n\nfunc Add(x int) int { return nothing_like_it }\n",
        'func TestAdd(t *testing.T) {\n\tif Add(1) != ONE {\n\t\tt.Errorf("one")\n\t}\n'
        '\tif Add(2) != TWO {\n\t\tt.Errorf("two")\n\t}\n}\n',
    ),
    "lua": Texts(
        "function add(x)\n  return BODY\nend\n",
        "function add(x\n",
        "assert(add(1) == ONE)\nassert(add(2) == TWO)\n",
    ),
    "ruby": Texts(
        "def add(x)\n  BODY\nend\n",
        "def add(x\n",
        "raise unless add(1) == ONE\nraise unless add(2) == TWO\n",
    ),
    "rust": Texts(
        "fn add(x: i64) -> i64 { BODY }\n",
        "fn add(x: i64) -> i64 { nothing_like_it }\n",
        "#[cfg(test)]\nmod tests {\n    use super::*;\n    #[test]\n    fn adds() {\n"
        "        assert_eq!(add(1), ONE);\n        assert_eq!(add(2), TWO);\n    }\n}\n",
    ),
}

#: What is asked for, and what becomes of the suite.
KINDS = {
    "add 3": "kept",
    "add 4": "kept",
    "add 5": "dropped: reference: ASSERTION_FAILED (TEST)",
    "keep": "dropped: vacuous: an empty stub passes",
}
MEASURED = "add 7"
SAMPLES = ("right", "wrong", "does not run", "says nothing")


class Author:
    """Answers as a generator and as a policy, in one language."""

    def __init__(self, language: str) -> None:
        self._language = language
        self._texts = TEXTS[language]

    def __call__(self, number: int, body: dict[str, Any]) -> Reply:
        prompt = body["messages"][-1]["content"]
        kind = next(kind for kind in (*KINDS, MEASURED) if kind in prompt)
        added = 0 if kind == "keep" else int(kind[4:])
        if body["model"] == "teacher":
            assert f"Programming language: {self._language}\n" in prompt
            texts = [self._taught(added)]
        else:
            assert f"```{self._language}\n" in prompt  # the start code
            texts = [self._drawn(added, sample) for sample in SAMPLES[: body.get("n") or 1]]
        reply = json.dumps(completion(body, texts))
        return 200, reply, {"Content-Type": "application/json"}

    def _taught(self, added: int) -> str:
        """Four sections. Of `add 5` the reference is wrong; what keeps x is like its start code."""
        return (
            f"[Analysis]\nAddition.\n\n[Solution]\n{self._code(f'x + {0 if added == 5 else added}')}"
            f"\n[Start Code]\n{self._code('x')}\n[Test Code]\n{self._fenced(self.suite(added))}"
        )

    def _drawn(self, added: int, sample: str) -> str:
        match sample:
            case "right":
                return f"Here it is:\n\n{self._code(f'{added} + x')}\nThat is all."
            case "wrong":
                return self._code("x * 100")
            case "does not run":
                return self._fenced(self._texts.bad)
            case _:
                return ""

    def suite(self, added: int) -> str:
        """Of the exercise that adds so much."""
        return self._texts.suite.replace("ONE", str(1 + added)).replace("TWO", str(2 + added))

    def _code(self, body: str) -> str:
        return self._fenced(self._texts.add.replace("BODY", body))

    def _fenced(self, code: str) -> str:
        return f"```{self._language}\n{code}```\n"


#: Their compilers make much before they are ready.
SLOW = ("go", "java")


@pytest.fixture(
    params=[pytest.param(x, marks=pytest.mark.slow if x in SLOW else ()) for x in TEXTS]
)
def language(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def sandbox(language: str) -> Iterator[str]:
    with ExitStack() as stack:
        try:
            address = stack.enter_context(embedded_sandbox(languages=[language], slots=2))
        except SandboxError as e:
            pytest.skip(f"{language} is not served here: {e}")
        with SandboxClient([address]) as client:
            if language not in {served.name for served in client.info().languages}:
                pytest.skip(f"{language} is not served here")
        yield address


def prepare(folder: Path, author: Author, language: str, url: str, sandbox: str) -> Path:
    """A recipe with its instructions and a benchmark."""
    rows = [
        {"id": f"p{n}", "instruction": f"Write a function that does this: {kind}."}
        for n, kind in enumerate(KINDS)
    ]
    (folder / "instructions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    start = TEXTS[language].add.replace("BODY", "x")
    task = {"id": "b0", "language": language, "start_code": start, "test": author.suite(7)}
    task |= {"instruction": f"Write a function that does this: {MEASURED}."}
    (folder / "benchmark.jsonl").write_text(json.dumps(task) + "\n")
    more = '[[evaluation]]\npath = "benchmark.jsonl"\nformat = "plain"\nsamples = 2\n'
    recipe = write_recipe(folder, url, sandbox, k=len(SAMPLES), more=more)
    text = recipe.read_text().replace("seed = 3", f'seed = 3\nlanguage = "{language}"')
    recipe.write_text(text.replace("answers_per_problem = 2", "answers_per_problem = 1"))
    return recipe


def test_every_stage_works_in_every_language(tmp_path: Path, language: str, sandbox: str) -> None:
    author, run = Author(language), tmp_path / "run"
    with serve_endpoint(author) as endpoint:
        recipe = prepare(tmp_path, author, language, endpoint.url, sandbox)
        done = plum("run", recipe, "--run-dir", run, "--json")
    assert done.returncode == 0, done.stderr
    stages = stages_of(done)
    assert stages["filter"]["counts"] == Counter(KINDS.values()), stages["filter"]
    for check, suites in (("reordering", 3), ("mutation", 2)):
        note = f"check left out: no {check} for {language}: {suites} suites"
        assert note in stages["filter"]["notes"]
    assert plum("report", "--run-dir", run).returncode == 0
    page = (run / "report.html").read_text()
    assert f"no mutation for {language}" in page
    by_kind = {(row[0], SAMPLES[row[1]]): (row[3], row[4]) for row in labels(run)}
    assert {p for p, _ in by_kind} == {"p0", "p1"}
    for problem in ("p0", "p1"):
        assert by_kind[problem, "right"] == (1, "passed every suite")
        assert by_kind[problem, "wrong"] == (0, "runs and fails a suite")
        assert by_kind[problem, "does not run"][0] is None
        assert by_kind[problem, "does not run"][1] in ("does not parse", "does not compile")
        assert by_kind[problem, "says nothing"] == (None, "no code in the completion")
    files = (run / "dataset" / "kto").glob("*.jsonl")
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert Counter(row["label"] for row in rows) == {True: 2, False: 2}
    assert any("greedy pass@1, 1 problems: 100.0 %" in n for n in stages["evaluate"]["notes"])
    assert any("pass@1, 1 problems: 50.0 %" in n for n in stages["evaluate"]["notes"])
