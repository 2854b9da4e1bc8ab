"""Programs that differ from a reference in one small thing, which a suite ought to notice.

Only changes that keep a program running are made, as a crash is noticed by the emptiest suite.
Conditions and counters of `while` loops are left alone, as most changes there never end.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator
from functools import lru_cache

from orchestrator.quality.python_code import REMEMBERED, is_docstring, parse, unparse

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
#: Functions and methods that take the same and give something else.
_CALLED = {
    **{"max": "min", "min": "max", "any": "all", "all": "any", "sorted": "list"},
    **{"upper": "lower", "lower": "upper", "swapcase": "lower", "title": "upper"},
    **{"startswith": "endswith", "endswith": "startswith", "find": "rfind", "rfind": "find"},
    **{"strip": "lstrip", "lstrip": "rstrip", "rstrip": "lstrip", "isupper": "islower"},
    **{"islower": "isupper", "isdigit": "isalpha", "isalpha": "isdigit", "floor": "ceil"},
    **{"ceil": "floor", "union": "intersection", "intersection": "union", "keys": "values"},
}

#: Below so many mutants, one more is made whose results are wrapped: the few may do the same as
#: the reference, and a suite that compares anything at all is then not held to be vacuous.
_FEW = 3


@lru_cache(maxsize=REMEMBERED)
def python_mutants(reference: str, count: int, seed: int) -> tuple[str, ...]:
    """Up to `count` different mutants, the same for the same arguments.

    A larger count begins with the same mutants.
    """
    tree = parse(reference)
    if tree is None:
        return ()
    same = unparse(tree)
    points = [index for index, node in enumerate(_nodes(tree)) if _change_of(node) is not None]
    random.Random(f"{seed} {reference}").shuffle(points)
    found: dict[str, None] = {}
    for index in points:
        if len(found) == count:
            break
        mutant = _mutant(tree, index)
        if mutant is not None and mutant != same:
            found[mutant] = None
    if len(found) < min(count, _FEW):
        wrapped = _wrapped_returns(tree)
        if wrapped is not None:
            found[wrapped] = None
    return tuple(found)


def _mutant(tree: ast.Module, index: int) -> str | None:
    """The program with the node at `index` changed."""
    changed = copy.deepcopy(tree)
    change = next(_change_of(node) for at, node in enumerate(_nodes(changed)) if at == index)
    if change is not None:
        owner, name, value = change
        setattr(owner, name, value)
    return unparse(changed)


def _nodes(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes that may be changed, in a fixed order."""
    for name, value in ast.iter_fields(tree):
        if name in ("annotation", "returns", "decorator_list", "bases", "keywords", "pattern"):
            continue  # what a program is called and typed by, not what it does
        if isinstance(tree, ast.While) and name == "test":
            continue
        for node in value if isinstance(value, list) else [value]:
            if not isinstance(node, ast.AST) or isinstance(node, ast.JoinedStr):
                continue
            if isinstance(tree, ast.While) and isinstance(node, ast.AugAssign):
                continue
            if isinstance(node, ast.stmt) and (is_docstring(node) or _is_main_guard(node)):
                continue
            yield node
            yield from _nodes(node)


def _is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and "__name__" in ast.dump(node.test)


def _change_of(node: ast.AST) -> tuple[ast.AST, str, object] | None:
    """Whose field gets which other value, or None where nothing is to be changed."""
    change: tuple[ast.AST, str, object] | None = None
    match node:
        case ast.Compare(ops=[operator]):
            change = node, "ops", [_COMPARISONS[type(operator)]()]
        case ast.BinOp() | ast.AugAssign() if type(node.op) in _ARITHMETIC:
            change = node, "op", _ARITHMETIC[type(node.op)]()
        case ast.BoolOp():
            change = node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And()
        case ast.If() | ast.IfExp():
            change = node, "test", ast.UnaryOp(ast.Not(), node.test)
        case ast.comprehension(ifs=[condition, *rest]):
            change = node, "ifs", [ast.UnaryOp(ast.Not(), condition), *rest]
        case ast.Call(func=ast.Name(id=name) as function) if name in _CALLED:
            change = function, "id", _CALLED[name]
        case ast.Call(func=ast.Attribute(attr=name) as method) if name in _CALLED:
            change = method, "attr", _CALLED[name]
        case ast.Constant():
            value = _other_value(node.value)
            change = None if value is None else (node, "value", value)
    return change


def _wrapped_returns(tree: ast.Module) -> str | None:
    """The program with every result put into a list; None where nothing is returned."""
    changed = copy.deepcopy(tree)
    returns = [n for n in ast.walk(changed) if isinstance(n, ast.Return) and n.value is not None]
    for node in returns:
        node.value = ast.List([node.value or ast.Constant(None)], ast.Load())
    return unparse(changed) if returns else None


def _other_value(value: object) -> object:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "?"
    return None
