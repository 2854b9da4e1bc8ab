"""Makes one crate of a Rust solution and a suite.

The suite is a module below the solution, so that `super::*` and plain names
find what the solution defines, private or not. It is a file of its own: nothing
that the solution leaves open reaches it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import Any

from .build import arguments
from .meaning import asked_again, hidden_method, shield

#: With these a program runs code before its main function, or takes the place of a library's.
_BY_HAND = re.compile(
    r"\b(no_mangle|export_name|link_section|link_name|no_main|global_allocator|panic_handler"
    r"|alloc_error_handler|global_asm|naked_asm|link_args)\b"
    r"|\barch\b[^;]*\b(asm)\b|#\s*!?\[\s*(link|start)\b"
)
#: What the searches begin at, each of which may go on to the end of the text.
_SEARCHED = re.compile(r"\b(?:arch|enum|impl|trait|macro_rules)\b")
_MOST_TO_SEARCH = 5_000_000
_TOO_MUCH = 'compile_error!("a solution must not declare so much: it takes long to read");\n'
_REFUSED = '\ncompile_error!("a solution must not use {word}: it reaches below the language");\n'
#: The item before the module takes an attribute that the solution leaves open.
_SUITE_MODULE = """
const _: () = ();
{modules}
"""
_MODULE = '#[cfg(test)] #[path = "{folder}/suite.rs"] mod plum_suite_{number};'
#: Of the standard library whatever macros a solution has; the first three are counted.
_COUNTED = ("assert", "assert_eq", "assert_ne")
_MACROS = (
    *("debug_assert", "debug_assert_eq", "debug_assert_ne", "format", "matches", "panic"),
    *("print", "println", "unreachable", "vec", "write", "writeln"),
)
_HEAD = (
    "#[allow(unused_imports)] use super::*; {shield}{macros}"
    " #[test] fn plum_counts_other_checks() {{ ::{runtime}::other_checks({other_checks}) }} "
)
_INNER_ATTRIBUTES = re.compile(r"(?:\s+|//[^\n]*\n|/\*.*?\*/|#!\[[^\]]*\])*", re.DOTALL)
#: What a module can do that reaches beyond it, or by which it can tell what it is called.
_FAR_REACHING = re.compile(
    r"\b(?:impl|derive|extern|unsafe|macro_export|macro_use|no_mangle|export_name|link_section"
    r"|global_asm|asm|module_path|include|include_str|include_bytes|type_name|feature|plum_\w*"
    r"|crate)\b|#\s*\[\s*path\b"
)
_TEST = re.compile(r"#\s*\[\s*test\s*\]")
_MAIN = re.compile(r"^\s*(?:pub\s+)?fn\s+main\s*\(", re.MULTILINE)
_RUNS_MAIN = "#[test] fn plum_runs_main() -> impl ::std::process::Termination { main() } "
_OTHER_CHECK = re.compile(
    r"\b(?:panic|unreachable|todo|unimplemented|debug_assert\w*)!|\.(?:unwrap|expect)(?:_err)?\("
    r"|\?\s*;|\bErr\b|\bshould_panic\b|\bprocess::(?:exit|abort)\b"
)
_SYNTAX = re.compile(
    r"^(?:expected|unexpected|mismatched closing|this file contains an un|unterminated|unknown"
    r" (?:start|prefix)|unclosed|missing)"
)


def sources(solution: str, suite: str, prepared: str) -> dict[str, Any]:
    """The files of the crate and the compiler's arguments; without a suite, the solution alone."""
    if _too_much(solution):
        solution = _TOO_MUCH
    text = solution
    if (match := _BY_HAND.search(solution)) is not None:
        text += _REFUSED.format(word=next(filter(None, match.groups())))
    elif (method := hidden_method(solution, suite)) is not None:
        text += _REFUSED.format(word=f"a trait that hides the library's {method}")
    if not suite:
        return {"files": {"solution.rs": text}, "arguments": arguments(prepared)}
    return _crate(text, [suite], prepared)


def _too_much(solution: str) -> bool:
    """Whether the searches would take long: they run outside of any jail."""
    return len(_SEARCHED.findall(solution)) * len(solution) > _MOST_TO_SEARCH


def together(solution: str, suites: Sequence[str], prepared: str) -> list[dict[str, Any]]:
    """One crate with a module for each suite that nothing outside of it can notice."""
    if "plum_" in solution or _too_much(solution) or _BY_HAND.search(solution) is not None:
        return []
    places = [
        index
        for index, suite in enumerate(suites)
        if _FAR_REACHING.search(suite) is None and hidden_method(solution, suite) is None
    ]
    made = _crate(solution, [suites[index] for index in places], prepared)
    return [{**made, "suites": places, "one_program": True}]


def _crate(solution: str, suites: Sequence[str], prepared: str) -> dict[str, Any]:
    # A name that the solution cannot take for a crate of its own, and places that it cannot read.
    runtime = f"plum_{secrets.token_hex(8)}"
    folders = [secrets.token_hex(16) for _ in suites]
    given = [*arguments(prepared), "--extern", f"{runtime}={prepared}/libtest.rlib"]
    modules = [_MODULE.format(folder=f, number=number) for number, f in enumerate(folders)]
    files = {
        f"{folder}/suite.rs": _suite_module(solution, suite, runtime)
        for folder, suite in zip(folders, suites, strict=True)
    }
    files["solution.rs"] = solution + _SUITE_MODULE.format(modules=" ".join(modules))
    return {"files": files, "arguments": given}


def _suite_module(solution: str, suite: str, runtime: str) -> str:
    """The suite with its own macros and imports before it, on its first line."""
    meanings = {name: f"counted_{name}" for name in _COUNTED}
    meanings |= {name: f"library::{name}" for name in _MACROS}
    meanings["plum_equal"] = "counted_equality"
    macros = " ".join(
        f"#[allow(unused_macros)] macro_rules! {name}"
        f" {{ ($($t:tt)*) => {{ ::{runtime}::{meaning}!($($t)*) }} }}"
        for name, meaning in meanings.items()
    )
    head = _HEAD.format(
        shield=shield(solution),
        macros=macros,
        runtime=runtime,
        other_checks=int(_OTHER_CHECK.search(suite) is not None),
    )
    if _TEST.search(suite) is None and _MAIN.search(suite) is not None:
        head += _RUNS_MAIN
    suite = asked_again(solution, suite)
    match = _INNER_ATTRIBUTES.match(suite)
    start = match.end() if match is not None else 0
    return suite[:start] + head + suite[start:]


def broken_suite(messages: Sequence[str]) -> bool:
    """Whether the compiler could not even read the suite."""
    return any(_SYNTAX.search(message) for message in messages)
