"""Extraction finds the code a model meant, and survives whatever it wrote."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.extract import extract_candidate, extract_continuation, extract_solution
from orchestrator.problem import Problem

CODE = "def f(x):\n    return x + 1\n"
PROMPT = 'from typing import List\n\n\ndef f(x: int) -> int:\n    """Adds one."""\n'

#: completion, the source that is to be found
STANDING_ALONE = {
    "fenced": (f"Sure!\n\n```python\n{CODE}```\nIt adds one.", CODE),
    "tilde fence": (f"~~~py\n{CODE}~~~", CODE),
    "untagged fence": (f"```\n{CODE}```", CODE),
    "fence with attributes": (f"```{{.python .numberLines}}\n{CODE}```", CODE),
    "longer fence around a shorter one": (f"````python\n{CODE}# ```\n````", f"{CODE}# ```\n"),
    "fence left open": (f"```python\n{CODE.rstrip()}", CODE),
    "fence in a list": (f"1. Do this:\n   ```python\n   {CODE[:-1]}\n   ```".replace(
        "\n    return", "\n       return"), CODE),
    "windows line ends": (f"```python\n{CODE}```".replace("\n", "\r\n"), CODE),
    "shell commands beside it": (f"```bash\npip install it\n```\n```\n{CODE}```", CODE),
    "example of use after it": (f"```python\n{CODE}```\nUse:\n```python\nprint(f(1))\n```", CODE),
    "alternative after it": (
        f"```python\n{CODE}```\nOr:\n```python\ndef f(x):\n    return 1 + x\n```", CODE),
    "two parts": (f"```python\nimport os\n```\nthen\n```python\n{CODE}```", f"import os\n\n{CODE}"),
    "thought aloud": (f"<think>```python\nx = 1\n```</think>\n```python\n{CODE}```", CODE),
    "bare": (CODE, CODE),
    "bare, fence opened by the prompt": (f"{CODE}```\nIt's done", CODE),
    "after prose": (f"Here it is, it's easy:\n\n{CODE}", CODE),
    "after a word": (f"Solution\n{CODE}", CODE),
    "before prose": (f"{CODE}This adds one, doesn't it?", CODE),
    "before a word": (f"{CODE}Done", CODE),
    "fenced and broken": ("```python\ndef f(:\n```", "def f(:\n"),
    "bare and broken": ("I'd say\ndef f(:\n  pass", "def f(:\n  pass"),
}  # fmt: skip


@pytest.mark.parametrize("name", STANDING_ALONE)
def test_code_is_found(name: str) -> None:
    completion, wanted = STANDING_ALONE[name]
    assert extract_candidate(completion, "python").source == wanted


@pytest.mark.parametrize("completion", ["", " \n\n", "I cannot do that.", "Answer: 42", "```\n```"])
def test_no_code_is_none(completion: str) -> None:
    assert extract_candidate(completion, "python").source is None


def test_the_fence_of_the_language_is_taken() -> None:
    completion = "```python\nprint()\n```\n```c++\nint f() { return 1; }\n```"
    assert extract_candidate(completion, "cpp").source == "int f() { return 1; }\n"


def test_another_language_without_a_fence_is_taken_whole() -> None:
    assert extract_candidate("func F() {}", "go").source == "func F() {}"


#: completion, body lines that the function f is to have
CONTINUED = {
    "body": "    return x + 1\n",
    "body without its first indentation": "return x + 1\n",
    "body without any indentation": "if x:\n    return x + 1\nreturn 1\n",
    "body with an indentation short of one": "   return x + 1\n",
    "first line stripped": "y = x\n    return y + 1\n",
    "body that runs on": "    return x + 1\n\n\ndef g(:\n",
    "body and prose": "    return x + 1\nThis is it, isn't it?\n",
    "body and a closing fence": "    return x + 1\n```\nIt's done",
    "whole": CODE,
    "whole, fenced": f"Sure:\n```python\n{CODE}```\nFine?",
    "body, fenced": "```python\n    return x + 1\n```",
}


@pytest.mark.parametrize("name", CONTINUED)
def test_a_continuation_defines_the_function_and_keeps_the_imports(name: str) -> None:
    source = extract_continuation(PROMPT, CONTINUED[name]).source
    assert source is not None
    assert source.startswith("from typing import List\n")
    namespace: dict[str, object] = {}
    exec(compile(source, "candidate", "exec"), namespace)  # our own text, from above
    function = namespace["f"]
    assert callable(function)
    assert function(1) == 2


def test_a_continuation_that_does_not_parse_is_kept_for_the_sandbox_to_judge() -> None:
    assert (
        extract_continuation(PROMPT, "    return (x + \n").source == PROMPT + "    return (x + \n"
    )


def test_start_code_without_a_body_takes_a_whole_solution() -> None:
    start = "import math\n\ndef f(x):\n"
    source = extract_continuation(start, f"```python\n{CODE}```").source
    assert source is not None
    assert "import math" in source
    assert ast.parse(source)


def test_a_problem_with_start_code_is_continued() -> None:
    problem = Problem("p", PROMPT, "python", PROMPT, "f", "test")
    assert extract_solution(problem, "    return 1\n").source == PROMPT + "    return 1\n"
    bare = Problem("p", "add one", "python", None, None, "test")
    assert extract_solution(bare, CODE).source == CODE


PIECES = st.sampled_from(
    ["```", "```python", "~~~", "def f(x):", "    return 1", "class A:", "@", "(", '"""', "x = 1",
     "\\d", "'", "\x00", "\ud800", "</think>", "return", "if x:", "lambda: (yield)", "\t", "é"]
)  # fmt: skip


@given(st.lists(st.one_of(PIECES, st.text(max_size=20)), max_size=30))
def test_no_text_makes_extraction_fail(pieces: list[str]) -> None:
    text = "\n".join(pieces)
    for found in (
        extract_candidate(text, "python"),
        extract_candidate(text, "rust"),
        extract_continuation(PROMPT, text),
        extract_continuation(text, text),
    ):
        assert found.how
        assert found.source is None or found.source.strip()


ANYTHING = st.text(st.characters(exclude_categories=()), max_size=200)
LANGUAGES = st.sampled_from(
    ["python", "javascript", "typescript", "cpp", "java", "go", "rust", "cobol", ""]
)


@given(ANYTHING, LANGUAGES, st.none() | ANYTHING)
def test_any_completion_of_any_problem_is_dealt_with(
    completion: str, language: str, start_code: str | None
) -> None:
    problem = Problem("p", "do it", language, start_code, None, "test")
    found = extract_solution(problem, completion)
    assert found.how
    assert found.source is None or found.source.strip()


@pytest.mark.parametrize(
    "text",
    ["(" * 50_000, "x = " + "-" * 50_000 + "1", "def f():\n" + " \n" * 50_000, "```" * 50_000,
     "x = 1\n" * 20_000 + "(", " " * 100_000 + "`", "x" * 2_000_000, "[" * 90 + "]" * 90],
)  # fmt: skip
def test_pathological_text_is_dealt_with(text: str) -> None:
    assert extract_candidate(text, "python").how
    assert extract_continuation(PROMPT, text).how


@given(st.text(alphabet="abc_=+()\n    #", max_size=200))
def test_a_closed_fence_gives_back_its_content(body: str) -> None:
    source = extract_candidate(f"Text\n```python\n{body}\n```\nmore text", "python").source
    assert source == (body + "\n" if body.strip() else None)


def solutions(acceptance: Path) -> list[tuple[str, str, str]]:
    """Identifier, language and source of real programs in several languages."""
    lines = (acceptance / "humanevalpack_open.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [(row["id"], row["language"], row["solution"].rstrip("\n") + "\n") for row in rows]


def test_real_programs_come_out_of_fences_whole(acceptance: Path) -> None:
    for id, language, source in solutions(acceptance):
        fenced = f"It's this:\n\n```{language}\n{source}```\n\nThat's `it`."
        assert extract_candidate(fenced, language).source == source, id
        assert extract_candidate(source, language).source == source, id


def test_real_programs_come_out_of_prose(acceptance: Path) -> None:
    for id, language, source in solutions(acceptance):
        if language == "python":
            found = extract_candidate(f"It's this:\n\n{source}\nThat's it, isn't it?", "python")
            assert (found.source or "").strip() == source.strip(), id


def test_real_programs_are_continued_to_what_they_were(acceptance: Path) -> None:
    for id, language, source in solutions(acceptance):
        if language != "python":
            continue
        tree = ast.parse(source)
        last = tree.body[-1]
        assert isinstance(last, ast.FunctionDef)
        lines = source.split("\n")
        cut = last.body[0].lineno - 1
        prompt, body = "\n".join(lines[:cut]) + "\n", "\n".join(lines[cut:])
        runs_on = f"{body}\n\ndef check(:\n  it's"
        for said in (body, body.lstrip(), source, f"So:\n```python\n{body}```", runs_on):
            found = extract_continuation(prompt, said).source
            assert found is not None
            assert ast.dump(ast.parse(found).body[-1]) == ast.dump(last), id


@pytest.mark.parametrize(
    ("language", "start", "completion", "found"),
    [
        (
            "javascript",
            "const f = (x) => {\n",
            "  return x\n}\n",
            "const f = (x) => {\n  return x\n}\n",
        ),
        (
            "rust",
            "use a::B;\nfn f(x: i64) -> i64 {\n",
            "```rust\n    x\n}\n```",
            "use a::B;\nfn f(x: i64) -> i64 {\n    x\n}\n",
        ),
        (
            "cpp",
            "int f(int x) {\n",
            "```cpp\nint f(int x) { return x; }\n```",
            "int f(int x) { return x; }\n",
        ),
        ("java", "class Solution {\n}\n", "```java\nclass A {}\n```", "class A {}\n"),
    ],
)
def test_start_code_that_is_left_open_is_continued_in_other_languages(
    language: str, start: str, completion: str, found: str
) -> None:
    problem = Problem("p", "do it", language, start, None, "test")
    assert extract_solution(problem, completion).source == found
