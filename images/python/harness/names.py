"""Standard objects that cross by name: each side uses its own clean copy.

A name that comes from the candidate is resolved only within `_MODULES`: pure
modules whose functions depend on nothing but their arguments, so that the
candidate can hand the judge no tool (no exit, no skip, no file).
"""

from __future__ import annotations

import builtins
import importlib
import sys
import types
from typing import Any

from .handles import FORWARDED

_MODULES = frozenset(
    [
        "builtins",
        "math",
        "cmath",
        "operator",
        "_operator",
        "functools",
        "_functools",
        "itertools",
        "collections",
        "collections.abc",
        "string",
        "typing",
        "types",
        "decimal",
        "_decimal",
        "_pydecimal",
        "fractions",
        "datetime",
        "re",
        "heapq",
        "_heapq",
        "bisect",
        "_bisect",
        "statistics",
        "dataclasses",
        "enum",
        "abc",
        "copy",
        "json",
        "json.decoder",
        "json.encoder",
        "numbers",
        "random",
        "queue",
        "_queue",
        "asyncio",
        "asyncio.exceptions",
        "asyncio.queues",
        "concurrent.futures",
        "concurrent.futures._base",
        "struct",
        "_struct",
        "zlib",
        "binascii",
        "csv",
        "_csv",
        "textwrap",
        "hashlib",
        "uuid",
        "pathlib",
        "time",
        "calendar",
        "contextlib",
        "io",
        "_io",
        "threading",
        "sqlite3",
        "zoneinfo",
        "ipaddress",
        "array",
        "unicodedata",
        "graphlib",
        "configparser",
        "subprocess",
        "secrets",
        "base64",
        "codecs",
        "locale",
        "keyword",
        "difflib",
        "pprint",
        "_random",
        "_collections_abc",
        "_collections",
        "_datetime",
        "_json",
        "_pickle",
        "pickle",
        "copyreg",
        "socket",
        "errno",
        "urllib.parse",
        "html",
        "xml.etree.ElementTree",
        "weakref",
        "_weakref",
        "_thread",
    ]
)
#: Builtins that act on their caller's process and so never stand for the candidate's.
_REFUSED = frozenset(
    [
        "exec",
        "eval",
        "compile",
        "open",
        "input",
        "exit",
        "quit",
        "help",
        "breakpoint",
        "__import__",
        "globals",
        "locals",
        "vars",
        "dir",
        "getattr",
        "setattr",
        "delattr",
        "print",
        "copyright",
        "credits",
        "license",
        "memoryview",
        "super",
    ]
)
#: Modules of which only classes are taken by name: their functions act on the process.
_CLASSES_ONLY = frozenset(
    [
        "io",
        "_io",
        "threading",
        "_thread",
        "sqlite3",
        "subprocess",
        "socket",
        "pathlib",
        "time",
        "weakref",
        "_weakref",
        "copyreg",
        "random",
        "_random",
        "contextlib",
        "asyncio",
        "queue",
        "pickle",
        "_pickle",
        "concurrent.futures",
    ]
)
#: Modules of which no class is taken as a value: an instance in the judge would run programs,
#: or code that it was given.
_EXCEPTIONS_ONLY = frozenset(["types", "pickle", "_pickle", "copyreg", "subprocess", "socket"])
#: What runs, or tells, what it is given. A suite may call what the candidate names, with what the
#: candidate made: ``assert f(g(1)) == 2``.
_TOOLS_OF_BURGLARS = frozenset(
    [
        ("", "code"),
        ("", "function"),
        ("typing", "get_type_hints"),
        ("functools", "singledispatch"),
        ("functools", "singledispatchmethod"),
        ("dataclasses", "make_dataclass"),
        ("string", "Formatter"),
        ("builtins", "str.format"),
        ("builtins", "str.format_map"),
    ]
)
#: Modules that a suite finds by itself, where the candidate has them. Any other it sees as the
#: candidate's: there it acts on the candidate's process.
_OWN_MODULES = (
    _MODULES
    - _EXCEPTIONS_ONLY
    - {"_thread", "_weakref", "codecs", "locale", "random", "_random", "sqlite3", "time"}
) | {"sys", "types", "unittest", "unittest.mock"}
#: Types that have no name in their module.
_NAMELESS_TYPES: tuple[type, ...] = (
    types.FunctionType,
    types.BuiltinFunctionType,
    types.MethodType,
    types.GeneratorType,
    types.CoroutineType,
    types.AsyncGeneratorType,
    types.ModuleType,
    types.MappingProxyType,
    types.SimpleNamespace,
    types.CodeType,
    types.FrameType,
    types.TracebackType,
    type(None),
    type(NotImplemented),
    type(...),
    type(iter([])),
    type(iter(())),
    type(iter({})),
    type(iter("")),
    type(iter(set())),
    type({}.keys()),
    type({}.values()),
    type({}.items()),
)
_NAMELESS: dict[str, type] = {str(t.__name__): t for t in _NAMELESS_TYPES}


def name_of(value: Any) -> tuple[str, str] | None:
    """Module and qualified name under which `value` is found in the standard library, if it is."""
    if isinstance(value, type):
        name = str(value.__name__)
        if _NAMELESS.get(name) is value:
            return "", name
    try:
        module, qualname = value.__module__, value.__qualname__
    except Exception:
        return None
    owner = getattr(value, "__objclass__", None)
    if module is None and isinstance(owner, type):
        module = owner.__module__
    if type(module) is not str or type(qualname) is not str:
        return None
    if module.partition(".")[0] not in sys.stdlib_module_names:
        return None
    return (module, qualname) if find(module, qualname) is value else None


def find(module: str, qualname: str) -> Any:
    """The object of that name in this process, or None."""
    if module == "":
        return _NAMELESS.get(qualname)
    found: Any = builtins if module == "builtins" else sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def accept_class(module: str, qualname: str) -> type | None:
    """The judge's own class for one that a candidate's class derives from; None where it may not."""
    found = _accept(module, qualname)
    return found if isinstance(found, type) else None


def accept(module: str, qualname: str) -> Any:
    """What a name given by the candidate stands for in the judge; None where it may not."""
    if (module, qualname) in _TOOLS_OF_BURGLARS:
        return None
    found = _accept(module, qualname)
    if module in _EXCEPTIONS_ONLY and not (
        isinstance(found, type) and issubclass(found, BaseException)
    ):
        return None
    return found


def _accept(module: str, qualname: str) -> Any:
    if module == "":
        return _NAMELESS.get(qualname)
    if module not in _MODULES or any(_private(part) for part in qualname.split(".")):
        return None
    if module == "builtins" and qualname in _REFUSED:
        return None
    if module not in sys.modules:
        importlib.import_module(module)
    found = find(module, qualname)
    # Not by another way, such as through a module that `module` imports.
    if name_of(found) != (module, qualname):
        return None
    if isinstance(found, type):
        return found
    return None if module in _CLASSES_ONLY or not callable(found) else found


def accept_module(name: str) -> types.ModuleType | None:
    """The judge's own module for a name given by the candidate; None where there is none."""
    if name not in _OWN_MODULES:
        return None
    if name not in sys.modules:
        importlib.import_module(name)
    return sys.modules[name]


def _private(part: str) -> bool:
    return part.startswith("_") and part not in FORWARDED
