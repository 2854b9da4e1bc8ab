"""Which names mean modules of Python in a suite that does not import them.

A suite written to stand below its solution uses `math` where the solution has imported it. What
it means is Python's module, whatever the solution calls by that name. Decided from the text.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
import types

from . import names

#: A name and an attribute of it.
_ATTRIBUTE = re.compile(r"(?<![\w.])([a-z]\w*)\.([a-zA-Z]\w*)")


def find_unimported(source: str, tree: ast.Module) -> dict[str, list[str]]:
    """Names of standard modules that a suite neither imports nor binds; what it uses of each."""
    used = sorted(set(_ATTRIBUTE.findall(source)))
    found: dict[str, list[str]] = {}
    for name, attribute in used:
        if name in sys.stdlib_module_names:
            found.setdefault(name, []).append(attribute)
    for node in ast.walk(tree) if found else ():
        for name in _bound_by(node):
            found.pop(name, None)
    return found


def _bound_by(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(name, ast.Store()) | ast.arg(name):
            return [name]
        case ast.FunctionDef(name) | ast.AsyncFunctionDef(name) | ast.ClassDef(name):
            return [name]
        case ast.Import(aliases) | ast.ImportFrom(_, aliases):
            return [alias.asname or alias.name.partition(".")[0] for alias in aliases]
        case ast.ExceptHandler(_, str() as name) | ast.MatchAs(_, str() as name):
            return [name]
    return []


def module_meant(name: str, attributes: list[str]) -> types.ModuleType | None:
    """Python's module `name`; None where it lacks an attribute, and so is not what is meant."""
    module = importlib.import_module(name) if name == "random" else names.accept_module(name)
    if module is None or not all(hasattr(module, attribute) for attribute in attributes):
        return None
    return module
