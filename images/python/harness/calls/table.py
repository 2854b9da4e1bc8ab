"""Reads a suite's text as a table of calls and checks, where it is nothing more than that.

Decided from the text alone, so that a candidate has no say in it. What a check
may contain is listed, not what it may not: literals, calls of the candidate's
functions with literal arguments, comparisons, and builtins that do a bounded
amount of work on bounded data. The checks are evaluated outside of the jail.
"""

from __future__ import annotations

import ast
import builtins
import marshal
from collections.abc import Callable, Sized
from dataclasses import dataclass, field
from types import CodeType
from typing import Any

from ..suite import FILENAME, OPERATORS, Place, holds_always, segment
from .flat import MAX_HASHED

#: Longer suites are not looked at, in bytes.
MAX_TEXT_BYTES = 64 << 10
#: What may wait in a socket that nobody reads, in bytes; the kernel holds several times that.
MAX_REQUEST_BYTES = 32 << 10
#: Functions without side effects whose work is bounded by the size of what they are given.
PURE: dict[str, Any] = {
    name: getattr(builtins, name)
    for name in (
        *("abs", "all", "any", "bool", "dict", "float", "frozenset", "int", "isinstance", "len"),
        *("list", "max", "min", "repr", "round", "set", "sorted", "str", "sum", "tuple", "type"),
    )
}
#: Those that hash what they are given: they are called under their name and an "@".
_HASHING = frozenset({"dict", "frozenset", "set"})
#: Those that tell in which order a set is iterated.
_ORDERING = frozenset({"list", "repr", "str", "tuple"})
#: Those whose arguments are all alike; any other takes one value, and constants that say how.
_OF_MANY = frozenset({"max", "min"})
_BUILTIN_NAMES = frozenset(dir(builtins))
_ARITHMETIC = (ast.Add, ast.Sub, ast.Div)
_RESULT = "@{}"


class TooMuchError(Exception):
    """A check wants more work than is done outside of the jail."""


def _bounded(make: Callable[..., Any]) -> Callable[..., Any]:
    def bounded(*values: Any, **named: Any) -> Any:
        if values and isinstance(values[0], Sized) and len(values[0]) > MAX_HASHED:
            raise TooMuchError
        return make(*values, **named)

    return bounded


#: What the expressions of a check are evaluated with.
NAMES: dict[str, Any] = PURE | {f"@{name}": _bounded(PURE[name]) for name in _HASHING}


@dataclass(frozen=True)
class Check:
    """One assertion: the calls it makes, in their order, and what is asked of the results."""

    #: Its number among the assertions of the table.
    index: int
    line: int
    #: (function, frame that asks the candidate's process for it).
    calls: tuple[tuple[str, bytes], ...]
    #: Comparison operator; empty where `left` alone must be true.
    operator: str
    #: Expressions over the results of the calls: "@0", "@1" and so on.
    left: CodeType
    right: CodeType | None
    #: What the suite says when it fails.
    message: str
    #: Whether it depends on the order in which a set is iterated.
    in_order: bool


@dataclass
class Table:
    """A suite that is nothing but checks."""

    source: str
    checks: list[Check] = field(default_factory=list)
    #: Per assertion: its line, and where its expression stands.
    assertions: list[tuple[int, Place]] = field(default_factory=list)
    #: Builtins that it means to be Python's.
    pure: set[str] = field(default_factory=set)

    def assertion(self, index: int) -> tuple[int, str]:
        """Line of assertion `index` from 1, and the source of its expression."""
        line, place = self.assertions[index]
        return line, segment(self.source, place)


class _NoTableError(Exception):
    """The suite is more than a table."""


def read_table(source: str) -> Table | None:
    """The table that this suite is; None where it is more, or checks nothing, or is broken."""
    if len(source) > MAX_TEXT_BYTES:
        return None
    try:
        return _read(source)
    except (_NoTableError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _read(source: str) -> Table:
    table = Table(source)
    functions: dict[str, ast.FunctionDef] = {}
    notes: set[str] = set()
    for node in ast.parse(source, FILENAME).body:
        match node:
            case ast.Assert():
                _check(table, node, {})
            case ast.FunctionDef():
                _no_effects(node)
                functions[node.name] = node
            case ast.Expr(ast.Call(ast.Name(name), arguments, [])) if name in functions:
                _call_of_a_function(table, functions[name], arguments)
            case ast.Assign([ast.Name(name)], value) if name.isupper():
                ast.literal_eval(value)  # a note to readers
                notes.add(name)
            case ast.Expr(ast.Constant()) | ast.Pass():
                pass
            case _:
                raise _NoTableError
    names = {name for check in table.checks for name, _ in check.calls}
    if not table.checks or names & (functions.keys() | notes | _BUILTIN_NAMES):
        raise _NoTableError
    return table


def _no_effects(function: ast.FunctionDef) -> None:
    """Raises _NoTableError where to define the function is to run something."""
    given = function.args
    annotations = [a.annotation for a in ast.walk(given) if isinstance(a, ast.arg)]
    if function.decorator_list or given.defaults or given.kw_defaults:
        raise _NoTableError
    for annotation in (*annotations, function.returns):
        match annotation:
            case None | ast.Constant():
                pass
            case ast.Name(name) if name in _BUILTIN_NAMES:
                pass
            case _:
                raise _NoTableError


def _call_of_a_function(table: Table, function: ast.FunctionDef, given: list[ast.expr]) -> None:
    """The checks of a function like HumanEval's ``check(candidate)``, each time it is called."""
    wanted = function.args
    if wanted.vararg or wanted.kwarg or wanted.posonlyargs or wanted.kwonlyargs:
        raise _NoTableError
    if len(wanted.args) != len(given):
        raise _NoTableError
    meant = {}
    for argument, value in zip(wanted.args, given, strict=True):
        if not isinstance(value, ast.Name):
            raise _NoTableError
        meant[argument.arg] = value.id
    for node in function.body:
        match node:
            case ast.Assert():
                _check(table, node, meant)
            case ast.Expr(ast.Constant()) | ast.Pass():
                pass
            case _:
                raise _NoTableError


def _check(table: Table, node: ast.Assert, meant: dict[str, str]) -> None:
    reader = _Reader(meant)
    test = node.test
    if isinstance(test, ast.Constant) or holds_always(test):
        raise _NoTableError  # it checks nothing, or always fails
    operator, right = "", None
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        operator = OPERATORS[type(test.ops[0])]
        left = _code(reader.expression(test.left))
        right = _code(reader.expression(test.comparators[0]))
    else:
        left = _code(reader.expression(test))
    if operator in ("is", "is not") and not _is_single(test):
        raise _NoTableError
    match node.msg:
        case None:
            message = ""
        case ast.Constant(str() as message):
            pass
        case _:
            raise _NoTableError
    start, end = test.lineno, test.end_lineno or test.lineno
    table.assertions.append((node.lineno, (start, end, test.col_offset, test.end_col_offset or 0)))
    table.pure |= reader.pure
    index = len(table.assertions) - 1
    calls = tuple(reader.calls)
    in_order = bool(reader.pure & _ORDERING)
    table.checks.append(Check(index, node.lineno, calls, operator, left, right, message, in_order))


def _is_single(test: ast.expr) -> bool:
    """Whether it asks for the identity with a value of which there is only one."""
    if not isinstance(test, ast.Compare):
        return False
    right = test.comparators[0]
    return isinstance(right, ast.Constant) and right.value in (None, True, False)


def _code(expression: ast.expr) -> CodeType:
    tree = ast.fix_missing_locations(ast.Expression(expression))
    return compile(tree, FILENAME, "eval", dont_inherit=True, optimize=0)


class _Reader:
    """Puts names of results where the calls of one assertion stand."""

    def __init__(self, meant: dict[str, str]) -> None:
        self.calls: list[tuple[str, bytes]] = []
        self.pure: set[str] = set()
        self._meant = meant

    def expression(self, node: ast.expr) -> ast.expr:
        """The same expression over results.

        Raises:
            _NoTableError: it contains what a table does not.
        """
        match node:
            case ast.Constant():
                return node
            case ast.Tuple(items) | ast.List(items) | ast.Set(items):
                node.elts = [self.expression(item) for item in items]
            case ast.Dict(keys, values) if None not in keys:
                node.keys = [self.expression(key) for key in keys if key is not None]
                node.values = [self.expression(value) for value in values]
            case ast.UnaryOp(_, operand):
                node.operand = self.expression(operand)
            case ast.BinOp(left, operator, right) if isinstance(operator, _ARITHMETIC):
                node.left, node.right = self.expression(left), self.expression(right)
            case ast.Subscript(value, ast.Constant() | ast.UnaryOp(ast.USub(), ast.Constant())):
                node.value = self.expression(value)
            case ast.Call():
                return self._call(node)
            case _:
                return self._logic(node)
        return node

    def _logic(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Compare(left, _, others):
                self._compare(node, left, others)
            case ast.BoolOp(_, values):
                self._bool(node, values)
            case _:
                raise _NoTableError
        return node

    def _compare(self, node: ast.Compare, left: ast.expr, others: list[ast.expr]) -> None:
        by_identity = any(isinstance(operator, ast.Is | ast.IsNot) for operator in node.ops)
        if by_identity and (len(others) > 1 or not _is_single(node)):
            raise _NoTableError
        node.left = self.expression(left)
        node.comparators = [self.expression(others[0]), *map(self._without_calls, others[1:])]

    def _bool(self, node: ast.BoolOp, values: list[ast.expr]) -> None:
        node.values = [self.expression(values[0]), *map(self._without_calls, values[1:])]

    def _without_calls(self, node: ast.expr) -> ast.expr:
        """What may not be evaluated at all must not be asked for beforehand."""
        before = len(self.calls)
        made = self.expression(node)
        if len(self.calls) > before:
            raise _NoTableError
        return made

    def _call(self, node: ast.Call) -> ast.expr:
        if not isinstance(node.func, ast.Name):
            raise _NoTableError
        name = self._meant.get(node.func.id, node.func.id)
        if name in PURE:
            self.pure.add(name)
            return self._pure_call(node, name)
        arguments = [ast.literal_eval(argument) for argument in node.args]
        named = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise _NoTableError
            named[keyword.arg] = ast.literal_eval(keyword.value)
        request = marshal.dumps((name, arguments, named))
        if len(request) > MAX_REQUEST_BYTES:
            raise _NoTableError
        self.calls.append((name, request))
        return ast.copy_location(ast.Name(_RESULT.format(len(self.calls) - 1), ast.Load()), node)

    def _pure_call(self, node: ast.Call, name: str) -> ast.expr:
        called = f"@{name}" if name in _HASHING else name
        node.func = ast.copy_location(ast.Name(called, ast.Load()), node)
        arguments = list(node.args)
        kinds: list[ast.expr] = []
        if name == "isinstance" and len(arguments) == 2:
            kinds = [arguments.pop()]
            if not (isinstance(kinds[0], ast.Name) and isinstance(PURE.get(kinds[0].id), type)):
                raise _NoTableError
            self.pure.add(kinds[0].id)
        if name not in _OF_MANY and not all(isinstance(a, ast.Constant) for a in arguments[1:]):
            raise _NoTableError  # `round(x, -n)`, `sum(xs, [])`: a number or a list may mean much work
        node.args = [*map(self.expression, arguments), *kinds]
        for keyword in node.keywords:
            if keyword.arg is None or not isinstance(keyword.value, ast.Constant):
                raise _NoTableError
        return node
