"""Parsing and writing Python without ever running it, and without ever raising on any text."""

from __future__ import annotations

import ast
import warnings

#: Variants that are kept for the next step of the trials, of each kind: more than there are
#: suites that are tried together.
REMEMBERED = 16_384


def parse(source: str) -> ast.Module | None:
    """The tree of a program, or None where there is none we can work with."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the program's odd escapes, for example
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def unparse(tree: ast.Module) -> str | None:
    """The program of a tree, or None where it cannot be written or would not compile."""
    try:
        source = ast.unparse(ast.fix_missing_locations(tree)) + "\n"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(source, "variant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return source


def insert_first(tree: ast.Module, statements: list[ast.stmt]) -> None:
    """Puts statements where a program's own begin: behind docstring and future imports."""
    at = 0
    for index, statement in enumerate(tree.body):
        if is_docstring(statement) and index == 0:
            at = 1
        elif isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
            at = index + 1
    tree.body[at:at] = statements


def is_docstring(statement: ast.stmt) -> bool:
    """Whether a statement is nothing but a text."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
