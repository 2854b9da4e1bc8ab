"""Functions of the standard library that look into an object run where the object lives."""

from __future__ import annotations

import os
import random
import sys
from typing import Any

from .handles import RemoteMethod, is_handle, pairs
from .peer import Peer

#: Deeper containers are not searched for what is the candidate's.
_MOST_LEVELS = 50


def redirect_library(peer: Peer, imports: frozenset[str]) -> None:
    """Makes functions that look into an object run where the object lives.

    imports: modules that the suite uses.
    """
    for module, functions in _LIBRARY.items():
        loaded = sys.modules.get(module) if module in imports else None
        for name in functions if loaded is not None else ():
            setattr(loaded, name, _redirected(peer, module, name, getattr(loaded, name)))
    if "random" in imports:
        _mirror_seed(peer)
    if "sys" in imports:
        _mirror_limit(peer)


def _mirror_seed(peer: Peer) -> None:
    seed = random.seed

    def mirrored_seed(a: Any = None, version: int = 2) -> None:
        seed(a, version)
        peer.request("seed", a, version)

    random.seed = mirrored_seed


def _mirror_limit(peer: Peer) -> None:
    limit, digits = sys.setrecursionlimit, sys.set_int_max_str_digits

    def mirrored_limit(n: int, /) -> None:
        limit(n)
        peer.request("recursion limit", n)

    def mirrored_digits(maxdigits: int) -> None:
        digits(maxdigits)
        peer.request("int digits", maxdigits)

    sys.setrecursionlimit, sys.set_int_max_str_digits = mirrored_limit, mirrored_digits


def _redirected(peer: Peer, module: str, name: str, real: Any) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        encoded = module == "json" and not kwargs.keys() & {"cls", "default"}
        if args and (_is_theirs(args[0]) or (encoded and _holds_theirs(args[0]))):
            return peer.request("library", module, name, args, pairs(kwargs))
        return real(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__module__ = module
    function.__wrapped__ = real  # type: ignore[attr-defined]
    return function


def _is_theirs(value: Any) -> bool:
    return is_handle(value) or type(value) is RemoteMethod


def _holds_theirs(value: Any, depth: int = 0) -> bool:
    """Whether an object of the candidate is somewhere in plain containers."""
    if type(value) is dict:
        value = [*value, *value.values()]
    elif type(value) is not list and type(value) is not tuple:
        return _is_theirs(value)
    return depth < _MOST_LEVELS and any(_holds_theirs(item, depth + 1) for item in value)


class _NoModules:
    """Finds no module in its folder."""

    def find_spec(self, name: str, target: Any = None) -> None:
        """None, always."""


def import_nothing_writable() -> None:
    """Keeps the suite from importing files that the candidate may have put there."""
    known = [folder for folder in sys.path if folder and folder != os.getcwd()]

    def hook(path: str) -> _NoModules:
        place = os.path.abspath(path)
        # What belongs to another user need not be Python's, even if this one cannot write to it.
        installed = any(f"{place}/".startswith(f"{os.path.abspath(f)}/") for f in known)
        if installed and not os.access(place, os.W_OK):
            raise ImportError(f"{path!r} is for the other finders")
        return _NoModules()

    sys.path_hooks.insert(0, hook)


_LIBRARY: dict[str, tuple[str, ...]] = {
    "inspect": (
        "getsource",
        "getsourcelines",
        "getdoc",
        "getmembers",
        "isfunction",
        "ismethod",
        "isgeneratorfunction",
        "iscoroutinefunction",
        "isasyncgenfunction",
        "isabstract",
        "getfullargspec",
    ),
    "json": ("dump", "dumps"),
    "asyncio": ("iscoroutinefunction",),
    "dataclasses": ("asdict", "astuple", "replace", "is_dataclass", "fields"),
    "typing": ("get_type_hints",),
}
