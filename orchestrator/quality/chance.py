"""A program that gets from chance something else than hashes: other addresses and another date.

The sandbox runs a suite again with other seeds of hashes; but what is made first still lies
before what is made next, and it is the same day. A program that leans on one of these passes
every time, so it is rewritten to get another value.

Not seen: clocks under other names than the usual.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from orchestrator.quality.python_code import insert_first

_CLOCKS = frozenset({("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today")}) | {
    ("date", "today")
}
#: Who sets the clock knows what it shows.
_CLOCK_IS_SET = frozenset(
    {"patch", "mock", "Mock", "MagicMock", "monkeypatch", "freeze_time", "freezegun"}
)

_ID, _LATER = "_another_id", "_another_day"
_HELPERS = f"""
def {_ID}(value):
    return (1 << 64) - id(value)

def {_LATER}(moment):
    if isinstance(moment, float):
        return moment + 397 * 86400
    return moment + __import__('datetime').timedelta(days=397)
"""


def with_other_chances(trees: Iterable[ast.Module]) -> bool:
    """Rewrites programs that run together; says whether there was anything to rewrite."""
    trees = list(trees)
    clock_is_set = any(_CLOCK_IS_SET & _mentioned(tree) for tree in trees)
    return any([_rewrite(tree, clock_is_set) for tree in trees])


def _rewrite(tree: ast.Module, clock_is_set: bool) -> bool:
    rewriter = _Rewriter(_bound(tree), clock_is_set)
    rewriter.visit(tree)
    if rewriter.changed:
        insert_first(tree, ast.parse(_HELPERS).body)
    return rewriter.changed


def _mentioned(tree: ast.Module) -> set[str]:
    """Names and attributes that stand anywhere in a program."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name():
                found.add(node.id)
            case ast.Attribute():
                found.add(node.attr)
            case ast.alias():
                found.add(node.name)
            case ast.arg():
                found.add(node.arg)
    return found


def _bound(tree: ast.Module) -> set[str]:
    """Names to which a program gives a meaning of its own somewhere."""
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(ctx=ast.Store()):
                found.add(node.id)
            case ast.arg():
                found.add(node.arg)
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                found.add(node.name)
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)):
                found.add(name)
    return found


class _Rewriter(ast.NodeTransformer):
    def __init__(self, bound: set[str], clock_is_set: bool) -> None:
        self.changed = False
        self._id_is_builtin = "id" not in bound
        self._clock_is_set = clock_is_set

    def visit_Name(self, node: ast.Name) -> ast.Name:
        if node.id != "id" or not self._id_is_builtin:
            return node
        self.changed = True
        return ast.Name(_ID, node.ctx)

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if self._clock_is_set or not _reads_the_clock(node.func):
            return node
        self.changed = True
        return ast.Call(ast.Name(_LATER, ast.Load()), [node], [])


def _reads_the_clock(function: ast.expr) -> bool:
    match function:
        case ast.Attribute(ast.Name("time"), "time"):
            return True
        case ast.Attribute(ast.Name(owner) | ast.Attribute(_, owner), method):
            return (owner, method) in _CLOCKS
    return False
