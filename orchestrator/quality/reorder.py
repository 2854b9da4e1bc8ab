"""A reference and its suite with everything in another order that ought not to matter.

Two orders are changed. Assertions that stand side by side and share no variable are shuffled.
And sets are walked backwards: the order of a set of texts depends on the seed of their hashes,
which the sandbox holds fixed, so that a program that leans on it would never be found out.
"""

from __future__ import annotations

import ast
import random
from functools import lru_cache

from orchestrator.quality.assertions import is_assertion
from orchestrator.quality.python_code import REMEMBERED, insert_first, parse, unparse

#: What goes through its argument from the first element to the last.
_WALKING = frozenset(
    {"deque", "dict", "enumerate", "filter", "iter", "list", "map", "max", "min", "sorted"}
    | {"tuple", "zip", "reduce", "Counter", "OrderedDict"}
)
_HELPER = "_in_another_order"
#: Numbers hash to themselves under any seed; their order is the program's own choice.
_HELPER_SOURCE = f"""
def {_HELPER}(values):
    if type(values) in (set, frozenset):
        if not all(isinstance(value, (int, float, complex)) for value in values):
            return list(values)[::-1]
    return values
"""


@lru_cache(maxsize=REMEMBERED)
def python_reordered(reference: str, suite: str, seed: int) -> tuple[str, str] | None:
    """Reference and suite in another order; None where they have no order that could change."""
    program, tests = parse(reference), parse(suite)
    if program is None or tests is None:
        return None
    shuffled = _shuffle_assertions(
        tests,
        _assigned(tests) | _assigned(program, top_level=True),
        random.Random(f"{seed} {suite}"),
    )
    walks = [_walk_backwards(tree) for tree in (program, tests)]
    new_reference, new_suite = unparse(program), unparse(tests)
    if new_reference is None or new_suite is None or not (shuffled or any(walks)):
        return None
    return new_reference, new_suite


def _shuffle_assertions(tree: ast.Module, variables: set[str], rng: random.Random) -> bool:
    """Shuffles each run of independent assertions; says whether there was one."""
    found = False
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list):
                found = _shuffle_block(block, variables, rng) or found
    return found


def _shuffle_block(block: list[ast.stmt], variables: set[str], rng: random.Random) -> bool:
    found = False
    start = 0
    for end in range(len(block) + 1):
        if end < len(block) and _is_independent(block[end], variables):
            continue
        run = block[start:end]
        if len(run) > 1:
            order = list(run)
            rng.shuffle(order)
            # Of two, half of all shuffles are none.
            block[start:end] = order if order != run else run[::-1]
            found = True
        start = end + 1
    return found


def _is_independent(statement: ast.stmt, variables: set[str]) -> bool:
    """Whether an assertion reads nothing that another statement could have changed."""
    if not is_assertion(statement):
        return False
    for node in ast.walk(statement):
        if isinstance(node, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
            return False
        if isinstance(node, ast.Name) and node.id in variables:
            return False
        if _is_own_state(node):
            return False
    return True


def _is_own_state(node: ast.AST) -> bool:
    """`self.something` of a test case that is no assertion."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
        and not node.attr.startswith("assert")
    )


def _assigned(tree: ast.Module, *, top_level: bool = False) -> set[str]:
    """Names that get a value by other means than a definition or an import."""
    roots: list[ast.AST] = [tree]
    if top_level:
        definitions = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
        roots = [statement for statement in tree.body if not isinstance(statement, definitions)]
    return {
        node.id
        for root in roots
        for node in ast.walk(root)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }


def _walk_backwards(tree: ast.Module) -> bool:
    """Has every walk over a set go backwards; says whether there is a walk at all."""
    wrapper = _Wrap()
    wrapper.visit(tree)
    if wrapper.count:
        insert_first(tree, ast.parse(_HELPER_SOURCE).body)
    return wrapper.count > 0


class _Wrap(ast.NodeTransformer):
    def __init__(self) -> None:
        self.count = 0

    def visit_For(self, node: ast.For) -> ast.For:
        self.generic_visit(node)
        node.iter = self._wrapped(node.iter)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.comprehension:
        self.generic_visit(node)
        if not node.is_async:
            node.iter = self._wrapped(node.iter)
        return node

    def visit_Starred(self, node: ast.Starred) -> ast.Starred:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load):
            node.value = self._wrapped(node.value)
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        function = node.func
        walks = (isinstance(function, ast.Name) and function.id in _WALKING) or (
            isinstance(function, ast.Attribute) and function.attr in ("join", "extend", "fromkeys")
        )
        if walks:
            node.args = [
                argument if isinstance(argument, ast.Starred) else self._wrapped(argument)
                for argument in node.args
            ]
        return node

    def _wrapped(self, values: ast.expr) -> ast.expr:
        plain = ast.List | ast.Tuple | ast.Constant | ast.ListComp | ast.GeneratorExp | ast.Dict
        if isinstance(values, plain) or _is_range(values):
            return values
        self.count += 1
        return ast.Call(ast.Name(_HELPER, ast.Load()), [values], [])


def _is_range(values: ast.expr) -> bool:
    return (
        isinstance(values, ast.Call)
        and isinstance(values.func, ast.Name)
        and values.func.id in ("range", "enumerate", "zip", "sorted")
    )
