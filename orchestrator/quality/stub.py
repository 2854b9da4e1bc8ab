"""An empty program with a reference's signatures: what no suite worth having lets pass."""

from __future__ import annotations

import ast
from functools import lru_cache

from orchestrator.quality.python_code import REMEMBERED, parse, unparse


@lru_cache(maxsize=REMEMBERED)
def python_stub(reference: str) -> str | None:
    """The reference with every function's body taken out; None where it has no function."""
    tree = parse(reference)
    if tree is None:
        return None
    blank = _Blank()
    blank.visit(tree)
    # What a program does when it is loaded may need what its functions return.
    tree.body = [s for s in tree.body if not isinstance(s, ast.Expr | ast.If | ast.For | ast.While)]
    return unparse(tree) if blank.functions else None


class _Blank(ast.NodeTransformer):
    """Takes the bodies out of functions and methods, with what is nested in them."""

    def __init__(self) -> None:
        self.functions = 0

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.functions += 1
        node.body = [ast.Pass()]
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        self.functions += 1
        node.body = [ast.Pass()]
        return node
