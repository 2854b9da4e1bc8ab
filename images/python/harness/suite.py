"""Reads a suite's text: counts its assertions, and finds out what it needs.

Decided from the text alone, so that a candidate has no say in it.
"""

from __future__ import annotations

import ast
import builtins
import functools
from dataclasses import dataclass
from types import CodeType

from .needs import Needs
from .unimported import find_unimported

FILENAME = "suite.py"
#: Names under which the rewritten suite finds its helpers; no program can spell them.
COMPARE, TRUTH, HELD, FAILED = "@compare", "@truth", "@held", "@failed"
CAUGHT, SEEN = "@caught", "@seen"
ASKED = "@asked"

OPERATORS: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
}
#: A suite without these words needs nothing that `Needs` looks for.
_TELLING = (
    *("import", "class", "globals", "locals", "vars", "dir", "patch", "eval", "exec"),
    "solution.py",
)
#: First and last line from 1, first and last column in bytes.
Place = tuple[int, int, int, int]


@dataclass(frozen=True)
class Suite:
    """A suite that compiled."""

    source: str
    code: CodeType
    #: Per assertion: its line, and where its expression stands.
    assertions: list[tuple[int, Place]]
    #: Why it cannot run apart from the candidate; empty where it can.
    in_process: str
    #: Whether it looks at its own namespace as a whole.
    wants_names: bool
    imports: frozenset[str]
    #: Names of standard modules that it neither imports nor binds, and what it uses of each.
    unimported: dict[str, list[str]]

    def assertion(self, index: int) -> tuple[int, str]:
        """Line of assertion `index` from 1, and the source of its expression."""
        line, place = self.assertions[index]
        return line, segment(self.source, place)


def read_suite(source: str) -> Suite:
    """Parses, rewrites and compiles a suite.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: it does not compile.
    """
    tree = ast.parse(source, FILENAME)
    needs = Needs()
    if any(word in source for word in _TELLING):  # the plain majority is spared the search
        needs.visit(tree)
    unimported = find_unimported(source, tree)
    rewriter = _Rewriter(tree)
    rewriter.body(tree.body)
    if needs.reason():
        tree = ast.fix_missing_locations(_Questions().visit(tree))
    code = compile(tree, FILENAME, "exec", dont_inherit=True, optimize=0)
    return Suite(
        source=source,
        code=code,
        assertions=rewriter.assertions,
        in_process=needs.reason(),
        wants_names=needs.wants_names,
        imports=frozenset(needs.imports),
        unimported=unimported,
    )


class _Questions(ast.NodeTransformer):
    """Lets the ledger see every comparison of a suite that shares its process with the candidate.

    Apart from it, what a candidate's object says is weighed wherever it is asked.
    """

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if len(node.ops) > 1 or not isinstance(node.ops[0], ast.Eq | ast.NotEq | ast.In):
            return node
        operator = ast.Constant(OPERATORS[type(node.ops[0])])
        made = _call(ASKED, operator, node.left, node.comparators[0])
        return ast.copy_location(made, node)


class _Rewriter:
    """Replaces each assertion by one that counts and remembers. Looks at statements only."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self.assertions: list[tuple[int, Place]] = []

    def body(self, statements: list[ast.stmt]) -> None:
        """Rewrites a block in place."""
        for at, node in enumerate(statements):
            if isinstance(node, ast.Assert):
                statements[at] = self._assertion(node)
                continue
            if isinstance(node, ast.Try) and at + 1 < len(statements):
                self._try_before(node, statements[at + 1])
            self._inside(node)

    def _inside(self, node: ast.stmt) -> None:
        if isinstance(node, ast.If) and _fails(node.body[-1]):
            self._checking_if(node)
        elif isinstance(node, ast.Try) and _always_fails((node.orelse or node.body)[-1]):
            self._expecting_try(node)
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if block:
                self.body(block)
        for name in ("handlers", "cases"):
            for part in getattr(node, name, ()):
                self.body(part.body)
                if name == "handlers":
                    noted = SEEN if self._may_mean_assertions(part) else CAUGHT
                    part.body.insert(0, _at(ast.Expr(_call(noted)), part))

    def _may_mean_assertions(self, handler: ast.ExceptHandler) -> bool:
        """Whether it says so, or names what the suite made; a name may be the candidate's, too."""
        if _catches_assertions(handler):
            return True
        parts = list(ast.walk(handler.type)) if handler.type is not None else []
        if any(isinstance(n, ast.Attribute) and n.attr == "failureException" for n in parts):
            return True
        named = {n.id for n in parts if isinstance(n, ast.Name) and not hasattr(builtins, n.id)}
        return bool(named and named & self._own_names)

    @functools.cached_property
    def _own_names(self) -> set[str]:
        nodes = ast.walk(self._tree)
        return {n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}

    def _assertion(self, node: ast.Assert) -> ast.stmt:
        index = self._note(node, node.test)
        check: ast.expr
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1:
            operator = ast.Constant(OPERATORS[type(test.ops[0])])
            check = _call(COMPARE, ast.Constant(index), operator, test.left, test.comparators[0])
        else:
            counted = not holds_always(test)
            check = _call(TRUTH, ast.Constant(index if counted else -1), test)
        failure = _call(FAILED, *([node.msg] if node.msg is not None else []))
        made = ast.If(ast.UnaryOp(ast.Not(), check), [ast.Raise(failure, None)], [])
        return _at(made, node)

    def _expecting_try(self, node: ast.Try) -> None:
        for handler in node.handlers:
            if not _catches_assertions(handler):
                self._expected(handler, node)

    def _expected(self, handler: ast.ExceptHandler, node: ast.Try) -> None:
        held = ast.Expr(_call(HELD, ast.Constant(self._note(handler, node))))
        handler.body.insert(0, _at(held, handler))

    def _try_before(self, node: ast.Try, then: ast.stmt) -> None:
        """A helper that returns where it caught what it expects, and fails at its end."""
        if _always_fails(then):
            for handler in node.handlers:
                if isinstance(handler.body[-1], ast.Return):
                    self._expected(handler, node)

    def _checking_if(self, node: ast.If) -> None:
        held = ast.Expr(_call(HELD, ast.Constant(self._note(node, node.test))))
        node.orelse.insert(0, _at(held, node))

    def _note(self, node: ast.stmt | ast.ExceptHandler, expression: ast.expr | ast.stmt) -> int:
        start, end = expression.lineno, expression.end_lineno or expression.lineno
        place = (start, end, expression.col_offset, expression.end_col_offset or 0)
        self.assertions.append((node.lineno, place))
        return len(self.assertions) - 1


def holds_always(test: ast.expr) -> bool:
    """Whether an assertion of `test` checks nothing: ``True``, or ``(f(1) == 2, "a message")``."""
    if isinstance(test, ast.Tuple):
        return bool(test.elts)
    return isinstance(test, ast.Constant) and bool(test.value)


def segment(source: str, place: Place) -> str:
    lines = source.splitlines()
    start, end, first, last = place
    if start == end:
        line = lines[start - 1].encode() if start <= len(lines) else b""
        return line[first:last].decode("utf-8", "replace")[:2048]
    return "\n".join(lines[start - 1 : end]).strip().removeprefix("assert ")[:2048]


def _call(name: str, *args: ast.expr) -> ast.Call:
    return ast.Call(ast.Name(name, ast.Load()), list(args), [])


def _at(made: ast.stmt, node: ast.AST) -> ast.stmt:
    return ast.fix_missing_locations(ast.copy_location(made, node))


def _raises_failure(node: ast.stmt) -> bool:
    if isinstance(node, ast.Raise) and node.exc is not None:
        raised = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return isinstance(raised, ast.Name) and raised.id in ("AssertionError", "Exception")
    return False


def _fails(node: ast.stmt) -> bool:
    """Whether a branch that ends so means that the suite fails: it raises, or exits with 1."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called, arguments = ast.unparse(node.value.func), node.value.args
        status = arguments[0] if len(arguments) == 1 else None
        if called in ("sys.exit", "exit", "quit"):
            return isinstance(status, ast.Constant) and status.value not in (None, 0, False)
    return _raises_failure(node)


def _always_fails(node: ast.stmt) -> bool:
    if isinstance(node, ast.Assert):
        return isinstance(node.test, ast.Constant) and not node.test.value
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        called = node.value.func
        return isinstance(called, ast.Attribute) and called.attr == "fail"
    return _raises_failure(node)


def _catches_assertions(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = {n.id for n in ast.walk(handler.type) if isinstance(n, ast.Name)}
    return bool(caught & {"AssertionError", "Exception", "BaseException"})
