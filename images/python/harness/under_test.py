"""Which builtin names mean the candidate's own definition in a suite. Decided from its text."""

from __future__ import annotations

import ast
import builtins
import symtable

from .suite import FILENAME


def builtins_under_test(source: str, overridden: frozenset[str]) -> frozenset[str]:
    """Builtin names that mean the candidate's definition in this suite.

    None of them do where the suite uses any other name of the candidate's, or
    imports some, or looks for some: then `all` is Python's. A suite that uses none tests what
    shadows a builtin.

    overridden: builtin names that the candidate defines.
    """
    if _imports_by_name(ast.parse(source)) or _looks_up_names(ast.parse(source)):
        return frozenset()
    free = _free_names(symtable.symtable(source, FILENAME, "exec"))
    known = set(dir(builtins)) | {"__name__", "__file__", "__doc__", "__builtins__"}
    if free - known:
        return frozenset()
    used = frozenset(free & overridden)
    everywhere = _names_in_every_assertion(ast.parse(source))
    return (used & everywhere) or used


def _imports_by_name(tree: ast.Module) -> bool:
    """Whether the suite says which names are the candidate's."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import) and any(a.name == "solution" for a in node.names):
            return True
        if isinstance(node, ast.ImportFrom) and node.module == "solution":
            return any(a.name != "*" for a in node.names)
    return False


def _looks_up_names(tree: ast.Module) -> bool:
    """Whether the suite finds what it tests by a text: as a module, or in its own namespace."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and node.value in ("solution", "__main__"):
            return True
        if isinstance(node, ast.Name) and node.id in ("globals", "locals", "vars", "dir", "eval"):
            return True
    return False


def _free_names(table: symtable.SymbolTable) -> set[str]:
    bound = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_imported()}
    used: set[str] = set()
    tables = [table]
    while tables:
        at = tables.pop()
        top = at is table
        for s in at.get_symbols():
            if not top and s.is_declared_global() and s.is_assigned():
                bound.add(s.get_name())
            if s.is_referenced() and (top or s.is_global()):
                used.add(s.get_name())
        tables.extend(at.get_children())
    return used - bound


def _names_in_every_assertion(tree: ast.Module) -> frozenset[str]:
    common: frozenset[str] | None = None
    for node in ast.walk(tree):
        if isinstance(node, ast.Assert):
            found = frozenset(n.id for n in ast.walk(node.test) if isinstance(n, ast.Name))
            common = found if common is None else common & found
    return common or frozenset()
