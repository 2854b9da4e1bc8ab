"""What of a Rust suite would mean something else beside a certain solution.

A suite is a module below the solution and takes all of its names, so a solution could give other
meanings to the language's own.
"""

from __future__ import annotations

import re

#: What a suite means by these names is the language's, whatever a solution declares so.
_PRELUDE = {
    **{name: f"std::option::Option::{name}" for name in ("Some", "None")},
    **{name: f"std::result::Result::{name}" for name in ("Ok", "Err")},
    **{"Box": "std::boxed::Box", "Option": "std::option::Option"},
    **{"String": "std::string::String", "Vec": "std::vec::Vec"},
    **{
        f"{kind}{size}": f"std::primitive::{kind}{size}"
        for kind in "iu"
        for size in (8, 16, 32, 64, 128)
    },
    **{
        name: f"std::primitive::{name}"
        for name in ("bool", "char", "f32", "f64", "isize", "str", "usize")
    },
    **{"std": "std", "core": "core"},
}
_DECLARED = (
    r"\b(?:struct|enum|union|trait|type|as|mod|fn|const|static|crate)\s+(?:r#)?{name}\b"
    r"|\benum\b[^{{]*{{[^}}]*\b{name}\b"
)
_MAKES_MACROS = re.compile(r"\bmacro_rules\b")
_TRAIT = re.compile(r"\btrait\s+(\$?\w+)[^{;]*\{")
_IMPLEMENTED = re.compile(
    r"\bimpl\b[^{;]*?(\$?\w+)(?:\s*<[^{;]*>)?\s+for\s+(?:\w+\s*::\s*)*([^\s{]*)"
)
_OWN_TYPE = re.compile(r"\b(?:struct|enum|union)\s+(\w+)")
_METHOD = re.compile(r"\bfn\s+(\$?\w+)")
_CALLED = re.compile(r"\.\s*(\w+)\s*(?:::\s*<[^;]*?>\s*)?\(")
#: Methods by which suites look at values of the library's types, and which a trait can hide: those
#: that these types have by reference.
_LIBRARY = frozenset(
    {
        *("as_bytes", "as_ref", "as_str", "binary_search", "chars", "clone", "cmp", "concat"),
        *("contains", "contains_key", "ends_with", "eq", "eq_ignore_ascii_case", "find", "first"),
        *("get", "is_empty", "is_err", "is_none", "is_ok", "is_some", "is_sorted", "iter", "join"),
        *("last", "len", "ne", "partial_cmp", "starts_with", "to_owned", "to_string", "to_vec"),
        "trim",
    }
)
_COMPARES_WITH_OTHERS = re.compile(r"\bPartialEq\s*<")
_ASSERTION = re.compile(r"\bassert\s*!\s*\(")
_BRACKETED = re.compile(r"[(\[{][^()\[\]{}]*[)\]}]")
#: Operators that bind less than a comparison does, and others of its kind.
_WEAKER = re.compile(r"&&|\|\||[!<>=]=?|;|\.\.|\breturn\b|\|")
_QUOTED = re.compile(
    r'r(#+)".*?"\1|r?"(?:\\.|[^"\\])*"|\'(?:\\.[^\']*|[^\'\\])\'|//[^\n]*', re.DOTALL
)


def shield(solution: str) -> str:
    """Imports that give the language's names their meaning, where `solution` declares them."""
    unsure = _MAKES_MACROS.search(solution) is not None
    return "".join(
        f"#[allow(unused_imports)] use ::{path}; "
        for name, path in _PRELUDE.items()
        if re.search(rf"\b{name}\b" if unsure else _DECLARED.format(name=name), solution)
    )


def hidden_method(solution: str, suite: str) -> str | None:
    """A method that `suite` calls, of the library's types, and that a trait of `solution` hides."""
    called: set[str] = {*_CALLED.findall(suite)} & _LIBRARY
    own = {*_OWN_TYPE.findall(solution)}
    foreign = {
        trait
        for trait, head in _IMPLEMENTED.findall(solution)
        if re.split(r"\W", head)[0] not in own
    }
    for match in _TRAIT.finditer(solution):
        methods = {*_METHOD.findall(solution, match.end(), _closing(solution, match.end(), "{}"))}
        # A macro can give a method any name.
        hidden = called if "$" in "".join(methods) else called & methods
        if hidden and match[1] in foreign:
            return min(hidden)
    return None


def asked_again(solution: str, suite: str) -> str:
    """`suite` with `plum_equal!(a, b)` for `assert!(a == b)`, where `solution` says what is equal.

    What an assertion is told to say where it does not hold is left out.
    """
    if _COMPARES_WITH_OTHERS.search(solution) is None:
        return suite
    # Of the same length, so that what is quoted is not taken for code.
    code = _QUOTED.sub(lambda match: "_" * len(match[0]), suite)
    for match in reversed([*_ASSERTION.finditer(code)]):
        start, end = match.end(), _closing(code, match.end(), "()")
        if end < 0:
            continue
        condition = _without_brackets(code[start:end]).split(",")[0]
        first, *rest = condition.split("==")
        if len(rest) != 1 or _WEAKER.search(first + rest[0]):
            continue
        middle, last = start + len(first), start + len(condition)
        compared = f"{suite[start:middle]},{suite[middle + 2 : last]}"
        suite = f"{suite[: match.start()]}plum_equal!({compared}{suite[end:]}"
    return suite


def _without_brackets(code: str) -> str:
    """`code` with something else, of the same length, for whatever stands in brackets."""
    made, found = code, 1
    while found:
        made, found = _BRACKETED.subn(lambda one: "_" * len(one[0]), made)
    return made


def _closing(code: str, at: int, pair: str) -> int:
    """Where the bracket of `pair` is closed that opens before `at`; -1 where it is not."""
    depth = 1
    for place in range(at, len(code)):
        depth += {pair[0]: 1, pair[1]: -1}.get(code[place], 0)
        if depth == 0:
            return place
    return -1
