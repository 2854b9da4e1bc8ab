"""A reference and its suite with everything changed that ought not to matter.

Assertions that stand side by side and share no variable are shuffled, and addresses and the date
are others.
"""

from __future__ import annotations

import ast
import random
from functools import lru_cache

from orchestrator.quality.assertions import is_assertion
from orchestrator.quality.chance import with_other_chances
from orchestrator.quality.python_code import REMEMBERED, parse, unparse


@lru_cache(maxsize=REMEMBERED)
def python_reordered(reference: str, suite: str, seed: int) -> tuple[str, str] | None:
    """Reference and suite in another order; None where they have nothing that could change."""
    program, tests = parse(reference), parse(suite)
    if program is None or tests is None:
        return None
    shuffled = _shuffle_assertions(
        tests,
        _assigned(tests) | _assigned(program, top_level=True),
        random.Random(f"{seed} {suite}"),
    )
    rewritten = with_other_chances([program, tests])
    new_reference, new_suite = unparse(program), unparse(tests)
    if new_reference is None or new_suite is None or not (shuffled or rewritten):
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
