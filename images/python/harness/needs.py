"""Finds what a suite needs that cannot cross between two processes. Decided from its text alone."""

from __future__ import annotations

import ast
import builtins

#: Modules that act on the process they are imported in, so that a split suite would miss.
_IN_PROCESS_MODULES = frozenset(
    {
        *("gc", "ctypes", "multiprocessing", "tracemalloc", "doctest"),
        # They run code that they are given as text, as a file, or as a pickle.
        *("runpy", "code", "codeop", "cProfile", "profile", "trace", "bdb", "pdb", "shelve"),
        "logging.config",
    }
)
_IN_PROCESS_ATTRIBUTES = frozenset(
    {
        *(("sys", "settrace"), ("sys", "setprofile"), ("sys", "modules"), ("os", "environ")),
        *(("random", "getstate"), ("random", "setstate")),
    }
)
_IN_PROCESS_METHODS = frozenset(
    {
        *("assertLogs", "assertNoLogs", "assertWarns", "assertWarnsRegex", "showwarning"),
        # What loads a module from a file.
        *("spec_from_file_location", "SourceFileLoader", "SourcelessFileLoader"),
        *("exec_module", "load_module", "zipimporter"),
    }
)
#: Functions that run code, which may be of the candidate's making.
_RUNNING = frozenset(
    {
        *("eval", "exec", "compile", "__import__", "import_module", "importlib.import_module"),
        *("pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "marshal.load"),
        *("timeit.timeit", "timeit.repeat", "timeit.Timer", "importlib.reload"),
    }
)
#: Names of arguments that are run.
_CODE_ARGUMENTS = frozenset({"source", "stmt", "setup", "name", "module"})
#: Those that need no import: whoever holds one, under whatever name, can run code.
_RUNNING_BUILTINS = frozenset({"eval", "exec", "compile", "__import__"})
#: Modules of such functions, and what else is imported from them.
_RUNNING_MODULES: dict[str | None, frozenset[str]] = {
    "pickle": frozenset(),
    "_pickle": frozenset(),
    "marshal": frozenset(),
    "timeit": frozenset({"default_timer"}),
    "importlib": frozenset({"import_module", "resources", "metadata"}),
    "importlib.util": frozenset({"find_spec"}),
    "importlib.machinery": frozenset(),
    "zipimport": frozenset(),
}
_SAME_AS = {"_pickle": "pickle"}
#: Modules whose attributes the candidate follows where a suite sets them.
_FOLLOWED_MODULES = frozenset({"builtins", "solution", "sys"})
_FOLLOWED_TARGETS = (
    *("builtins.input", "builtins.print", "builtins.open"),
    *("solution.", "__main__.", "sys.std", "sys.argv"),
)


class Needs(ast.NodeVisitor):
    """Why a suite must run in the candidate's process, and what else it is to find there."""

    def __init__(self) -> None:
        self.imports: set[str] = set()
        self.wants_names = False
        self._bound: set[str] = set()
        self._modules: set[str] = set()
        #: Modules by the other names that they are imported under.
        self._aliases: dict[str, str] = {}
        self._functions: set[str] = set()
        self._bases: list[str] = []
        self._reason = ""

    def reason(self) -> str:
        """Why the suite must run in the candidate's process; empty where it need not."""
        if self._reason:
            return self._reason
        for base in self._bases:
            if base not in self._bound and not hasattr(builtins, base):
                return f"a class of the suite derives from {base}"
        return ""

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            self._import(alias.name)
            self._bound.add(alias.asname or alias.name.partition(".")[0])
            self._modules.add(alias.asname or alias.name.partition(".")[0])
            if alias.asname or alias.name in _SAME_AS:
                name = alias.asname or alias.name
                self._aliases[name] = _SAME_AS.get(alias.name, alias.name)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        self._import(node.module or "")
        harmless = _RUNNING_MODULES.get(node.module)
        if harmless is not None and not all(alias.name in harmless for alias in node.names):
            self._because(f"it imports from {node.module}")
        if node.module == "builtins" and any(a.name in _RUNNING_BUILTINS for a in node.names):
            self._because("it imports what runs code")
        if node.module != "solution":
            self._bound.update(alias.asname or alias.name for alias in node.names)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._bound.add(node.name)
        for written in node.bases:
            base = written.value if isinstance(written, ast.Subscript) else written
            if isinstance(base, ast.Name):
                self._bases.append(base.id)
            elif isinstance(base, ast.Attribute) and ast.unparse(base).startswith("solution."):
                self._bases.append(ast.unparse(base))
        self.generic_visit(node)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._bound.add(node.name)
        self._functions.add(node.name)
        self.generic_visit(node)

    def visit_Name(self, node: ast.Name) -> None:
        if isinstance(node.ctx, ast.Store):
            self._bound.add(node.id)
        elif node.id in _RUNNING_BUILTINS:
            self._because(f"it hands {node.id} on")

    def visit_Constant(self, node: ast.Constant) -> None:
        if isinstance(node.value, str) and "solution.py" in node.value:
            self._because("it looks for the solution's file")

    def visit_arg(self, node: ast.arg) -> None:
        self._bound.add(node.arg)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        listens = node.attr == "addHandler" and "logging" in self.imports
        if listens or node.attr in _IN_PROCESS_METHODS:
            self._because(f"it uses {node.attr}")
        if isinstance(node.value, ast.Name):
            owner = self._aliases.get(node.value.id, node.value.id)
            if owner == "builtins" and node.attr in _RUNNING_BUILTINS:
                self._because(f"it hands {node.attr} on")
            if f"{owner}.{node.attr}" in _RUNNING:
                self._because(f"it hands {owner}.{node.attr} on")
            if (owner, node.attr) in _IN_PROCESS_ATTRIBUTES:
                self._because(f"it uses {owner}.{node.attr}")
            elif isinstance(node.ctx, ast.Store) and owner in self._modules - _FOLLOWED_MODULES:
                self._because(f"it sets {owner}.{node.attr}")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = self._name_of(node.func)
        if name in ("globals", "locals", "vars", "dir") and not node.args:
            self.wants_names = True
        given = [*node.args[:1], *(k.value for k in node.keywords if k.arg in _CODE_ARGUMENTS)]
        if name in _RUNNING and not all(map(self._is_its_own, given)):
            self._because(f"it runs what it is given, by {name}")
        if name.rpartition(".")[2] in ("patch", "dict", "object", "multiple") and "patch" in name:
            self._patch(node, name)
        elif name.endswith("catch_warnings") and node.keywords:
            self._because("it records warnings")
        if name == "getattr" and node.args and self._name_of(node.args[0]) == "builtins":
            self._because("it takes a builtin by a name")
        if name not in _RUNNING:  # which was looked at just now
            self.visit(node.func)
        for part in (*node.args, *node.keywords):
            self.visit(part)

    def _name_of(self, function: ast.expr) -> str:
        """Its dotted name, below the module's own; empty where it has none."""
        if isinstance(function, ast.Name):
            return self._aliases.get(function.id, function.id)
        if not isinstance(function, ast.Attribute):
            return ""
        owner, dot, rest = ast.unparse(function).partition(".")
        return self._aliases.get(owner, owner) + dot + rest

    def _is_its_own(self, code: ast.expr) -> bool:
        """Whether what is run stands in the suite's text, or was pickled by the suite just now."""
        if isinstance(code, ast.Call):
            return self._name_of(code.func) == "pickle.dumps"
        if isinstance(code, ast.Name):
            return code.id in self._functions
        return isinstance(code, ast.Constant | ast.Lambda)

    def _patch(self, node: ast.Call, name: str) -> None:
        """A patch of a builtin or of the solution crosses; one of a shared module does not."""
        first = node.args[0] if node.args else None
        target = first.value if isinstance(first, ast.Constant) else None
        what = target if isinstance(target, str) else "?"
        if name.endswith("patch.object"):
            if not (isinstance(first, ast.Name) and first.id in _FOLLOWED_MODULES):
                inner = ast.unparse(first) if first is not None else "?"
                if inner.partition(".")[0] in self._bound:
                    self._because(f"it patches {inner}")
        elif not (isinstance(target, str) and target.startswith(_FOLLOWED_TARGETS)):
            self._because(f"it patches {what}")

    def _import(self, name: str) -> None:
        top = name.partition(".")[0]
        self.imports.add(top)
        if not _IN_PROCESS_MODULES.isdisjoint((top, name)):
            self._because(f"it imports {name}")

    def _because(self, reason: str) -> None:
        self._reason = self._reason or reason
