"""What a suite asserts, read from its text."""

from __future__ import annotations

import ast
import re

from orchestrator.quality.python_code import parse

#: How assertions are written in the languages whose suites are not parsed.
_ASSERTING = re.compile(
    r"\b(?:\w*assert\w*|expect\w*|require)\b|\bt\.(?:Error|Fatal|Fail)|\braise\b", re.IGNORECASE
)


def distinct_assertions(suite: str, language: str) -> int:
    """How many different assertions a suite holds; one in a loop counts once.

    Python is parsed; in other languages it is the number of different lines that assert.
    A suite that does not parse holds none.
    """
    if language != "python":
        lines = (" ".join(line.split()) for line in suite.splitlines())
        return len({line for line in lines if _ASSERTING.search(line)})
    tree = parse(suite)
    return 0 if tree is None else len({ast.dump(node) for node in ast.walk(tree) if _asserts(node)})


def suite_key(suite: str, language: str) -> str:
    """Equal for suites that differ in nothing but their layout (and in Python, comments)."""
    tree = parse(suite) if language == "python" else None
    if tree is not None:
        return ast.dump(tree)
    return "\n".join(line.strip() for line in suite.splitlines() if line.strip())


def is_assertion(statement: ast.stmt) -> bool:
    """Whether a statement does nothing but assert."""
    return isinstance(statement, ast.Assert) or (
        isinstance(statement, ast.Expr) and _is_assert_method(statement.value)
    )


def _asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Raise):
        error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return isinstance(error, ast.Name) and error.id == "AssertionError"
    return isinstance(node, ast.Assert) or _is_assert_method(node)


def _is_assert_method(node: ast.AST) -> bool:
    """`self.assertEqual(...)` and its like, `pytest.raises(...)`."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    owner, name = node.func.value, node.func.attr
    return isinstance(owner, ast.Name) and (
        (owner.id == "self" and name.startswith(("assert", "fail")))
        or (owner.id == "pytest" and name == "raises")
    )
