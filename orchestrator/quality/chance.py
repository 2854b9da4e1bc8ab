"""A program that gets from chance something else: hashes, addresses, the order of sets, the date.

The sandbox holds the seed of hashes fixed, its processes begin with the same addresses, and a
rerun comes on the same day. A program that leans on one of these passes there every time, so it
is rewritten to get another value. What does not depend on chance stays as it is: numbers and
tuples of them hash to the same under any seed, and their order is the program's own choice.

Not seen: sets that are walked inside of libraries, or shown as part of something else; hashes
that only a dictionary or a dataclass computes; and clocks under other names than the usual.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable

from orchestrator.quality.python_code import insert_first

#: What goes through its arguments from the first element to the last.
_BUILTIN_WALKS = frozenset(
    {"dict", "enumerate", "filter", "iter", "list", "map", "max", "min", "sorted", "tuple", "zip"}
)
_LIBRARY_WALKS = frozenset(
    {"accumulate", "chain", "combinations", "groupby", "islice", "permutations", "product"}
    | {"Counter", "OrderedDict", "deque", "reduce"}
)
_LIBRARIES = frozenset({"collections", "functools", "itertools"})
_METHOD_WALKS = frozenset({"join", "extend", "fromkeys"})
_CLOCKS = frozenset({("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today")}) | {
    ("date", "today")
}
#: Who sets the clock knows what it shows.
_CLOCK_IS_SET = frozenset(
    {"patch", "mock", "Mock", "MagicMock", "monkeypatch", "freeze_time", "freezegun"}
)

_WALK, _POP, _HASH, _ID, _TEXT, _LATER = (
    "_in_another_order",
    "_another_pop",
    "_another_hash",
    "_another_id",
    "_another_text",
    "_another_day",
)
_HELPERS = f"""
def _is_fixed(value):
    if type(value) in (tuple, frozenset):
        return all(_is_fixed(part) for part in value)
    return isinstance(value, (int, float, complex))

def _is_open(values):
    if type(values) in (set, frozenset):
        for count, value in enumerate(values):
            if not _is_fixed(value):
                return True
            if count == 100:
                break
    return False

def {_WALK}(values):
    return list(values)[::-1] if _is_open(values) else values

def {_POP}(values):
    if type(values) is not set or len(values) < 2:
        return values.pop()
    first = values.pop()
    if _is_fixed(first):
        return first
    second = values.pop()
    values.add(first)
    return second

def {_HASH}(value):
    if type(value) in (tuple, frozenset) and not _is_fixed(value):
        return hash(type(value)({_HASH}(part) for part in value))
    return ~hash(value) if type(value) in (str, bytes) and value else hash(value)

def {_ID}(value):
    return (1 << 64) - id(value)

def {_TEXT}(value, shown=None):
    if _is_open(value):
        text = '{{' + ', '.join(repr(part) for part in {_WALK}(value)) + '}}'
        return text if type(value) is set else f'frozenset({{text}})'
    return value if shown is None else shown(value)

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
        self._bound = bound
        self._clock_is_set = clock_is_set

    def visit_For(self, node: ast.For) -> ast.For:
        self.generic_visit(node)
        node.iter = self._walked(node.iter)
        return node

    def visit_comprehension(self, node: ast.comprehension) -> ast.comprehension:
        self.generic_visit(node)
        if not node.is_async:
            node.iter = self._walked(node.iter)
        return node

    def visit_Starred(self, node: ast.Starred) -> ast.Starred:
        self.generic_visit(node)
        if isinstance(node.ctx, ast.Load):
            node.value = self._walked(node.value)
        return node

    def visit_YieldFrom(self, node: ast.YieldFrom) -> ast.YieldFrom:
        self.generic_visit(node)
        node.value = self._walked(node.value)
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.Assign:
        self.generic_visit(node)
        if any(isinstance(target, ast.Tuple | ast.List) for target in node.targets):
            node.value = self._walked(node.value)
        return node

    def visit_Name(self, node: ast.Name) -> ast.Name:
        other = {"hash": _HASH, "id": _ID}.get(node.id)
        if other is None or not self._is_builtin(node.id):
            return node
        self.changed = True
        return ast.Name(other, node.ctx)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.FormattedValue:
        self.generic_visit(node)
        if node.conversion == ord("r"):
            node.value = self._call(_TEXT, node.value, ast.Name("repr", ast.Load()))
            node.conversion = -1
        elif node.format_spec is None:
            node.value = self._call(_TEXT, node.value)
        return node

    def visit_Call(self, node: ast.Call) -> ast.expr:
        self.generic_visit(node)
        match node:
            case ast.Call(func=ast.Attribute(attr="pop") as method, args=[], keywords=[]):
                return self._call(_POP, method.value)
            case ast.Call(func=ast.Name("str" | "repr" as name), args=[value], keywords=[]):
                if self._is_builtin(name) and not isinstance(value, ast.Starred):
                    return self._call(_TEXT, value, node.func)
        if not self._clock_is_set and _reads_the_clock(node.func):
            return self._call(_LATER, node)
        if self._walks(node.func):
            node.args = [
                argument if isinstance(argument, ast.Starred) else self._walked(argument)
                for argument in node.args
            ]
        return node

    def _walks(self, function: ast.expr) -> bool:
        match function:
            case ast.Name(name):
                return name in _BUILTIN_WALKS | _LIBRARY_WALKS and self._is_builtin(name)
            case ast.Attribute(ast.Name(module), name) if module in _LIBRARIES:
                return name in _LIBRARY_WALKS
            case ast.Attribute(_, name):
                return name in _METHOD_WALKS
        return False

    def _is_builtin(self, name: str) -> bool:
        return name not in self._bound

    def _walked(self, values: ast.expr) -> ast.expr:
        plain = ast.List | ast.Tuple | ast.Constant | ast.ListComp | ast.GeneratorExp | ast.Dict
        if isinstance(values, plain) or _is_ordered(values):
            return values
        return self._call(_WALK, values)

    def _call(self, helper: str, *arguments: ast.expr) -> ast.Call:
        self.changed = True
        return ast.Call(ast.Name(helper, ast.Load()), list(arguments), [])


def _is_ordered(values: ast.expr) -> bool:
    return (
        isinstance(values, ast.Call)
        and isinstance(values.func, ast.Name)
        and values.func.id in ("range", "enumerate", "zip", "sorted")
    )


def _reads_the_clock(function: ast.expr) -> bool:
    match function:
        case ast.Attribute(ast.Name("time"), "time"):
            return True
        case ast.Attribute(ast.Name(owner) | ast.Attribute(_, owner), method):
            return (owner, method) in _CLOCKS
    return False
