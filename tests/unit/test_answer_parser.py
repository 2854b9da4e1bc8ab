"""The parser finds the four sections as models write them, and never raises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.generation.parser import ParsedAnswer, parse_answer

SOLUTION = "def f(x):\n    return x + 1\n"
START = "def f(x):\n    pass\n"
TESTS = "assert f(1) == 2\nassert f(0) == 1\n"


def fenced(code: str) -> str:
    return f"```python\n{code}```"


def answer(heading: str) -> str:
    """An answer whose headings are made from a pattern."""
    parts = [
        ("Analysis", "Adds one."),
        ("Solution", fenced(SOLUTION)),
        ("Start Code", fenced(START)),
        ("Test Code", fenced(TESTS)),
    ]
    return "\n\n".join(f"{heading.format(name)}\n{body}" for name, body in parts)


EXPECTED = ParsedAnswer("Adds one.", SOLUTION, START, TESTS)


@pytest.mark.parametrize("fence", ["```rust\n", ""])
def test_an_attribute_of_rust_is_no_heading(fence: str) -> None:
    suite = "mod tests {\n    #[test]\n    fn adds() {\n        assert_eq!(add(1), 2);\n    }\n}\n"
    close = "```" if fence else ""
    text = f"[Solution]\n```\nfn add(x: i64) {{}}\n```\n[Test Code]\n{fence}{suite}{close}"
    assert parse_answer(text).test_code == suite


@pytest.mark.parametrize(
    ("language", "suite"),
    [
        ("javascript", "console.assert(add(1) === 2)\n"),
        ("rust", "mod tests {\n    #[test]\n    fn adds() { assert!(true); }\n}\n"),
        ("go", "func TestAdd(t *testing.T) {\n}\n"),
        ("java", "class Main {\n    void main() { throw new AssertionError(); }\n}\n"),
        ("cpp", "int main() {\n    assert(add(1) == 2);\n}\n"),
    ],
)
def test_without_headings_a_suite_is_known_by_what_asserts(language: str, suite: str) -> None:
    text = f"```{language}\nsolution\n```\nand\n```{language}\n{suite}```\n"
    assert parse_answer(text) == ParsedAnswer(None, "solution\n", None, suite)


@pytest.mark.parametrize(
    "heading",
    [
        "[{}]",
        "[{}]:",
        "## [{}]",
        "**[{}]**",
        "1. [{}]",
        "## {}",
        "### {}:",
        "**{}**",
        "**{}:**",
        "{}:",
        "> [{}]",
        "[ {} ]",
        "## 3. {}",
        "**3) {}**",
        "### {} (Python)",
        "<{}>",
        "  <{} >",
    ],
)
def test_headings_of_many_styles_are_found(heading: str) -> None:
    assert parse_answer(answer(heading)) == EXPECTED
    assert parse_answer(answer(heading).upper().replace("PYTHON", "python")).test_code is not None


@pytest.mark.parametrize("style", ["[{}{}]", "<{}{}>"])
def test_closing_tags_end_their_section(style: str) -> None:
    parts = [("Solution", SOLUTION), ("Start Code", START), ("Test Code", TESTS)]
    text = "\n".join(
        f"{style.format('', name)}\n{code}{style.format('/', name)}\nAnd on.\n"
        for name, code in parts
    )
    assert parse_answer(text) == ParsedAnswer(None, SOLUTION, START, TESTS)


def test_a_fence_may_open_behind_its_heading() -> None:
    text = f"[Solution] {fenced(SOLUTION)}\n## Test Code\n{fenced(TESTS)}"
    assert parse_answer(text) == ParsedAnswer(None, SOLUTION, None, TESTS)


@pytest.mark.parametrize("name", ["Unit Tests", "Test Suite", "tests", "TEST_CASES", "Test-Code"])
def test_suites_go_by_many_names(name: str) -> None:
    text = f"[Solution Code]\n{fenced(SOLUTION)}\n[{name}]\n{fenced(TESTS)}"
    assert parse_answer(text) == ParsedAnswer(None, SOLUTION, None, TESTS)


def test_sections_may_come_in_any_order() -> None:
    text = f"[Test Code]\n{fenced(TESTS)}\n[Solution]\n{fenced(SOLUTION)}\n"
    assert parse_answer(text) == ParsedAnswer(None, SOLUTION, None, TESTS)


def test_code_without_fences_is_taken_whole() -> None:
    text = f"[Solution]\n{SOLUTION}\n[Test Code]\n{TESTS}"
    assert parse_answer(text) == ParsedAnswer(None, SOLUTION, None, TESTS)


def test_prose_around_a_fence_is_left_out() -> None:
    text = f"[Solution]\nHere it is:\n{fenced(SOLUTION)}\nDone.\n[Test Code]\n{fenced(TESTS)}"
    assert parse_answer(text).solution == SOLUTION


def test_several_fences_of_a_section_are_joined() -> None:
    text = f"[Solution]\n{fenced(SOLUTION)}\nand\n{fenced('y = 1' + chr(10))}\n[Test Code]\n{fenced(TESTS)}"
    assert parse_answer(text).solution == f"{SOLUTION}\ny = 1\n"


def test_a_comment_in_code_that_reads_like_a_heading_is_code() -> None:
    code = "# Test Code\ndef f(x):\n    # Solution\n    return x\n"
    text = f"[Solution]\n{fenced(code)}\n[Test Code]\n{fenced(TESTS)}"
    assert parse_answer(text) == ParsedAnswer(None, code, None, TESTS)


def test_a_fence_that_is_never_closed_ends_at_the_next_bracketed_heading() -> None:
    text = f"[Solution]\n```python\n{SOLUTION}\n[Test Code]\n```python\n{TESTS}"
    parsed = parse_answer(text)
    assert parsed.solution is not None
    assert parsed.solution.strip() == SOLUTION.strip()
    assert parsed.test_code is not None
    assert parsed.test_code.strip() == TESTS.strip()


def test_the_last_of_two_equal_sections_counts() -> None:
    text = f"[Solution]\n{fenced('wrong = 1')}\n[Solution]\n{fenced(SOLUTION)}\n[Test Code]\n\n"
    assert parse_answer(text) == ParsedAnswer(None, SOLUTION, None, None)


def test_windows_line_ends_do_not_matter() -> None:
    assert parse_answer(answer("[{}]").replace("\n", "\r\n")) == EXPECTED


def test_without_headings_the_block_that_asserts_is_the_suite() -> None:
    text = f"Sure!\n{fenced(SOLUTION)}\nand the tests\n{fenced(TESTS)}"
    assert parse_answer(text) == ParsedAnswer(None, SOLUTION, None, TESTS)


@pytest.mark.parametrize("text", ["", "I cannot help.", "[Solution]", "[Test Code]\n```\n```\n"])
def test_missing_parts_are_none(text: str) -> None:
    parsed = parse_answer(text)
    assert (parsed.solution, parsed.test_code) == (None, None)


_pieces = st.sampled_from(
    [
        "[Solution]",
        "## Test Code",
        "Start Code:",
        "```",
        "```python",
        "~~~",
        "[te\u017ft]",
        "assert 1",
        "x",
    ]
)


@given(st.text() | st.lists(_pieces | st.text(max_size=9)).map("\n".join))
def test_arbitrary_text_never_raises_and_parts_come_from_the_text(text: str) -> None:
    parsed = parse_answer(text)
    for part in (parsed.solution, parsed.start_code, parsed.test_code):
        if part is not None:
            assert part.strip()
            assert all(line.strip() in text.replace("\r\n", "\n") for line in part.split("\n"))


@given(st.text("abc =#\n[]", min_size=1).filter(str.strip))
def test_what_was_written_in_a_fence_comes_out_as_it_was(code: str) -> None:
    text = f"[Solution]\n```python\n{code}\n```\n[Test Code]\n```python\n{TESTS}```\n"
    assert parse_answer(text) == ParsedAnswer(None, code + "\n", None, TESTS)
