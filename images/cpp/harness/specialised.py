"""Which templates a C++ solution makes something else of for some arguments.

Its own it may; of the library's those by which its own types get a hash or an order. What it says
of others, such as a vector's equality, its suite would ask.

The search goes by the text, so it is for what is named: who is to be specialised must be called by
a name that the solution declares itself, and that is no other name of something else.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

#: A template of a class for some of its arguments.
SPECIALISED = re.compile(
    r"\btemplate\s*<[^{};]*?(?<!-)>[\w\s\[\]]*?(?P<scope>(?:\w*\s*::\s*)*)\b(?P<name>\w+)"
    r"\s*<(?P<arguments>[^{};]*?)>\s*(?:final\s*)?(?:\{|:(?!:))"
)
_LIBRARY = frozenset(
    {
        *("allocator", "allocator_traits", "array", "basic_string", "basic_string_view", "bitset"),
        *("char_traits", "complex", "deque", "forward_list", "initializer_list", "list", "map"),
        *("multimap", "multiset", "optional", "pair", "priority_queue", "queue", "set", "stack"),
        *("tuple", "unordered_map", "unordered_multimap", "unordered_multiset", "unordered_set"),
        *("valarray", "variant", "vector"),
    }
)
#: Their other names, and their iterators, by which members can be reached.
_OWNERS = _LIBRARY | {"string", "wstring", "string_view", "function", "shared_ptr", "unique_ptr"}
#: What the library leaves to programs to say of their types, and what they order theirs by.
_OPEN = frozenset(
    {
        *("hash", "less", "greater", "less_equal", "greater_equal", "equal_to", "not_equal_to"),
        *("numeric_limits", "tuple_size", "tuple_element", "iterator_traits", "common_type"),
    }
)
_OF_THE_LANGUAGE = re.compile(
    r"(?:\s|[,*&]|\b(?:bool|char\w*|const|double|float|int|long|short|signed|unsigned|void)\b)*"
)
_NESTED = r"(?:[^()]|\((?:[^()]|\([^()]*\))*\))*"
#: What may stand between a template's words and is no part of what it is called.
_ASIDE = re.compile(
    rf"\b(?:alignas|noexcept|throw|__attribute__|__attribute|__declspec)\s*\({_NESTED}\)"
    r"|\[\s*\[[^\[\]]*\]\s*\]"
)
_COMPUTED = re.compile(rf"\b(?:decltype|typeof|__typeof__|__typeof)\s*\({_NESTED}\)")
_OPERATOR = re.compile(r"\boperator\s*(?:\(\s*\)|\[\s*\]|[^\w\s(]+)")
#: A function or variable for some of its arguments.
_FUNCTION = re.compile(r"\btemplate\s*<\s*>(?P<head>[^{};=]*)")
_VARIABLE = re.compile(
    r"\btemplate\s*<[^{};()]*>(?!\s*(?:class|struct|union)\b)[\w\s]*"
    r"\bstd\s*::\s*\w+\s*<[^{};()]*>\s*(?==|\{)"
)
_CLASS = re.compile(r"\s*(?:class|struct|union|extern|template)\b")
_ARGUMENTS = re.compile(r"<[^<>]*>")
_CALLED = re.compile(r"(?P<owners>(?:\w*\s*::\s*)*)~?\s*(?P<name>\w+)\s*$")
_TYPES = re.compile(
    r"\b(?:class|struct|union|enum)\s+(\w+)"
    r"|\bnamespace\s+(\w+(?:\s*::\s*(?:inline\s+)?\w+)*)\s*\{"
)
_TEMPLATES = re.compile(r"\btemplate\s*<\s*[^>\s][^{};]*?\b(\w+)\s*\(")
_ALIASES = re.compile(r"\busing\s+(\w+)\s*=|\bnamespace\s+(\w+)\s*=|\btypedef\b([^;]{0,2000});")
_IN_STD = re.compile(r"\bnamespace\s+std\s*\{")
_WORD = re.compile(r"\w+")


def foreign(code: str, macros: set[str]) -> str | None:
    """The first specialisation in `code` that is none of the solution's own; None without.

    code: without comments and literals. macros: what the solution defines for the preprocessor.
    """
    if "template" not in code:
        return None
    code = _ASIDE.sub(" ", code)
    within = [*_library_blocks(code)]
    other_names = _other_names(code, macros)
    own = own_types(code, macros)
    for match in SPECIALISED.finditer(code):
        name, outside = match["name"], not any(start < match.start() < end for start, end in within)
        if name in _OPEN:
            if _OF_THE_LANGUAGE.fullmatch(match["arguments"]):
                return f"a specialisation of {name}"
        elif name not in own or name in _LIBRARY or "std" in match["scope"] or not outside:
            return f"a specialisation of {name}"
    own_functions = {*_TEMPLATES.findall(code)} - other_names | {"swap"}
    for match in _FUNCTION.finditer(code):
        outside = not any(start < match.start() < end for start, end in within)
        if (of := _foreign_member(match["head"], own, own_functions, outside)) is not None:
            return f"a specialisation of {of}"
    if _VARIABLE.search(code) is not None:
        return "a specialisation of a variable of the library"
    return None


def own_types(code: str, macros: set[str]) -> set[str]:
    """The types and namespaces that `code` declares by names that are no other names of others."""
    found = {name for names in _TYPES.findall(code) for name in _words(names)}
    return found - _other_names(code, macros) - {"std"}


def _other_names(code: str, macros: set[str]) -> set[str]:
    return macros | {name for found in _ALIASES.findall(code) for name in _words(found)}


def _foreign_member(head: str, own: set[str], own_functions: set[str], outside: bool) -> str | None:
    """What is specialised by `template <>` and `head`, where the solution must not; else None.

    outside: of the library's namespace.
    """
    if _CLASS.match(head):
        return None
    called = _OPERATOR.sub(" operator_ ", _COMPUTED.sub(" computed_ ", head))
    while (shorter := _ARGUMENTS.sub("", called)) != called:
        called = shorter
    name, opened, rest = called.partition("(")
    if opened and re.match(r"[^()]*\)\s*[(\[]", rest):
        return "something in brackets"
    match = _CALLED.search(name)
    if match is None:
        return "something without a name"
    owners = _words([match["owners"]])
    if owners and owners != ["std"]:
        refused = owners[-1] not in own or owners[-1] in _OWNERS or "std" in owners or not outside
        return f"a member of {owners[-1]}" if refused else None
    refused = match["name"] not in own_functions | {"operator_"} or (
        match["name"] != "swap" and (bool(owners) or not outside)
    )
    # Without brackets it is a variable, which is of this solution unless it says otherwise.
    refused = refused if opened else bool(owners) or not outside
    return match["name"] if refused else None


def _words(texts: tuple[str, ...] | list[str]) -> list[str]:
    return [word for text in texts for word in _WORD.findall(text)]


def _library_blocks(code: str) -> Iterator[tuple[int, int]]:
    """Where the library's namespace is opened, and where it is closed again."""
    for match in _IN_STD.finditer(code):
        depth, end = 1, match.end()
        while depth and end < len(code):
            depth += {"{": 1, "}": -1}.get(code[end], 0)
            end += 1
        yield match.start(), end
