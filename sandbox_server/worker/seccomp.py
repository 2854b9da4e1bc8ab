"""Turns the allow-list in seccomp.json into filters that a process can be put under.

The filters are compiled once, by libseccomp, and loaded as bytes into jailed processes. That
happens in a process of its own: what the bindings import would be copied at every fork after it.
"""

from __future__ import annotations

import errno
import importlib
import json
import marshal
import os
from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from sandbox_server.worker.aside import aside
from sandbox_server.worker.errors import RefusedError

RULES = Path(__file__).with_name("seccomp.json")

#: Group of the rules for what only a jail's first process does.
FIRST = "first"

_COMPILED, _REFUSED = b"+", b"-"


def load_binding() -> ModuleType:
    """A Python binding of libseccomp: Debian's `seccomp` or PyPI's `pyseccomp`.

    Raises:
        RefusedError: there is none.
    """
    problems = []
    for name in ("seccomp", "pyseccomp"):
        try:
            return importlib.import_module(name)
        except (ImportError, OSError, RuntimeError) as e:
            problems.append(f"{name}: {e}")
    raise RefusedError("no binding of libseccomp: " + "; ".join(problems))


class Filters(NamedTuple):
    """Each an array of struct sock_filter, 8 bytes each."""

    #: For a jail's first process, and so for all that it forks: the allow-list.
    first: bytes
    #: For each role beside that: refuses what only the first process may. A role is put under it
    #: at every execution, and the kernel compiles it then, so it is short.
    role: bytes


def compile_filters(groups: Collection[str] = ()) -> Filters:
    """The filters with the rules that belong to no group and those of `groups`.

    Raises:
        RefusedError: libseccomp is missing, or refuses the rules.
    """
    data, _ = aside(lambda: _compiled_or_refused(groups))
    if data[:1] != _COMPILED:
        raise RefusedError(data[1:].decode("utf-8", "replace") or "libseccomp ended the process")
    return Filters(*marshal.loads(data[1:]))


def _compiled_or_refused(groups: Collection[str]) -> bytes:
    try:
        binding = load_binding()
        rules = json.loads(RULES.read_text(encoding="utf-8"))
        return _COMPILED + marshal.dumps(_compile(binding, rules, groups))
    except RefusedError as e:
        return _REFUSED + str(e).encode()
    except (OSError, ValueError, KeyError) as e:
        return _REFUSED + f"{RULES.name}: {type(e).__name__}: {e}".encode()


def _compile(
    binding: ModuleType, data: dict[str, Any], groups: Collection[str]
) -> tuple[bytes, bytes]:
    refused = binding.ERRNO(getattr(errno, data["default"]))
    first, role = binding.SyscallFilter(refused), binding.SyscallFilter(binding.ALLOW)
    # A binary tree instead of a list: the kernel runs a new filter once for every
    # system call there is.
    first.set_attr(binding.Attr.CTL_OPTIMIZE, 2)
    for rule in data["rules"]:
        if rule.get("group", None) in (None, FIRST, *groups):
            _add(binding, first, rule)
        if rule.get("group", None) == FIRST:
            _add(binding, role, {**rule, "deny": rule["allow"], "errno": data["default"]})
    return _exported(first), _exported(role)


def _exported(rules: Any) -> bytes:
    with open(os.memfd_create("filter"), "w+b") as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def _add(binding: ModuleType, rules: Any, rule: dict[str, Any]) -> None:
    if "deny" in rule:
        names, action = rule["deny"], binding.ERRNO(getattr(errno, rule["errno"]))
    else:
        names, action = rule["allow"], binding.ALLOW
    conditions = [_condition(binding, c) for c in rule.get("when", ())]
    for name in names:
        try:
            rules.add_rule(action, name, *conditions)
        except (OSError, ValueError, RuntimeError):
            # A call that this libseccomp or architecture does not know (no `open` on
            # arm64) keeps the default, which is to refuse it.
            continue


def _condition(binding: ModuleType, condition: dict[str, Any]) -> Any:
    value = int(str(condition["equals"]), 0)
    if "mask" in condition:
        mask = int(condition["mask"], 0)
        return binding.Arg(condition["argument"], binding.MASKED_EQ, mask, value)
    return binding.Arg(condition["argument"], binding.EQ, value)
