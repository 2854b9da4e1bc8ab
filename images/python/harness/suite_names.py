"""What names mean in a suite that runs apart from the candidate."""

from __future__ import annotations

import builtins
import types
from typing import Any

from .judge_peer import JudgePeer

_BUILTINS = vars(builtins)


class Names(dict[str, Any]):
    """The builtins of the suite: Python's, and behind them the candidate's globals."""

    def __init__(self, peer: JudgePeer) -> None:
        # Filled as names are used: a copy would touch every builtin, and so copy its page.
        super().__init__(__build_class__=__build_class__, __import__=__import__)
        self._peer = peer
        self._functions: dict[str, Any] = {}

    def __missing__(self, name: str) -> Any:
        if name in _BUILTINS:
            value = _BUILTINS[name]
            if name in ("input", "print", "open"):
                return value  # the suite may replace these; then it means the replacement
            self[name] = value
            return value
        found = self._functions.get(name)
        if found is not None:
            return found
        if type(name) is not str or name[:2] == "__" or name[:1] == "@":
            raise KeyError(name)
        exists, value, stays = self._peer.request("global", name)
        if not exists:
            raise KeyError(name)
        if not stays:
            return value
        if isinstance(value, type) or type(value).__name__ == "function":
            # Plain data is fetched at each use; what is defined once is kept.
            self._functions[name] = value
        return value

    def forget(self) -> None:
        """Has the candidate asked again for what it defines."""
        self._functions.clear()


class MainModule(types.ModuleType):
    """The suite's module. Who looks at it from outside finds the candidate's globals there too.

    So ``patch("__main__.helper")`` does what it does where both are one file.
    """

    def __init__(self, peer: JudgePeer, names: Names) -> None:
        super().__init__("__main__")
        # Names that no program can spell: this is the suite's namespace.
        self.__dict__.update({"@peer": peer, "@names": names, "@theirs": set()})

    def __getattr__(self, name: str) -> Any:
        exists, value, _ = self.__dict__["@peer"].request("global", name)
        if not exists:
            raise AttributeError(f"module '__main__' has no attribute {name!r}")
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        if self._is_candidates(name):
            setattr(self._candidate(), name, value)
        else:
            super().__setattr__(name, value)

    def __delattr__(self, name: str) -> None:
        if self._is_candidates(name):
            delattr(self._candidate(), name)
        else:
            super().__delattr__(name)

    def _is_candidates(self, name: str) -> bool:
        theirs = self.__dict__["@theirs"]  # a patch deletes what it puts back
        if name not in self.__dict__ and self.__dict__["@peer"].request("has", name):
            theirs.add(name)
        return name in theirs

    def _candidate(self) -> Any:
        self.__dict__["@names"].forget()
        return self.__dict__["@peer"].request("module")


class SolutionModule(types.ModuleType):
    """What the suite imports as ``solution``: the candidate's globals, one by one."""

    def __init__(self, peer: JudgePeer, suite: dict[str, Any]) -> None:
        """suite: the namespace that a star import fills."""
        super().__init__("solution")
        self.__dict__["@module"] = peer.request("module")
        self.__dict__["@suite"] = suite

    def __getattr__(self, name: str) -> Any:
        if name == "__all__":
            # A candidate must not shadow what the suite takes for Python's, nor our helpers.
            names = self.__dict__["@module"].__all__
            return [n for n in names if type(n) is str and n.isidentifier() and self._is_free(n)]
        return getattr(self.__dict__["@module"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.__dict__["@module"], name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self.__dict__["@module"], name)

    def __dir__(self) -> list[str]:
        return dir(self.__dict__["@module"])

    def _is_free(self, name: str) -> bool:
        if name[:2] == "__" or name in _BUILTINS:
            return False
        return not isinstance(self.__dict__["@suite"].get(name), types.ModuleType)
