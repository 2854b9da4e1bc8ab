"""What a C++ solution must not use: it would reach below the language, into the suite's own code.

An assembler's macros change instructions that the compiler makes of the suite, and a container of
the library's that is a solution's own specialisation has no equality that could be relied on.
"""

from __future__ import annotations

import re

#: White space of the preprocessor; the compiler takes a null character for it, too.
BLANK = r"[ \t\f\v\0]"
#: A line that is continued on the next one.
SPLICE = rf"\\{BLANK}*\r?\n"
_SPLICES = re.compile(SPLICE)
_NOT_CODE = re.compile(
    r'\bu?8?[LUu]?R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)"'
    r"|//[^\n]*|/\*.*?\*/"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<!\w)'(?:\\.|[^'\\\n])*'",
    re.DOTALL,
)
_ASSEMBLY = re.compile(r"\b(asm|__asm|__asm__)\b")
#: A template of a class for some of its arguments.
SPECIALISED = re.compile(
    r"\btemplate\s*<[^{};]*?(?<!-)>[\w\s\[\]]*?(?P<scope>(?:\w*\s*::\s*)*)\b(?P<name>\w+)\s*<[^{};]*?>"
    r"\s*(?:final\s*)?(?:\{|:(?!:))"
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
_OWNERS = _LIBRARY | {"string", "wstring", "string_view", "__normal_iterator"}
#: What is declared of a function for some of its arguments, up to its parameters.
_FUNCTION = re.compile(r"\btemplate\s*<\s*>(?P<declared>[^(){};]*)")
_ARGUMENTS = re.compile(r"<[^<>]*>")
_OWNER = re.compile(r"\b(?P<owner>\w+)\s*::\s*(?:~?\w+|operator\b[^\w]*)\s*$")
#: `template` in a macro but for one that declares a template, or with a macro in its place.
_HIDDEN = re.compile(rf"(?:#|%:){BLANK}*define\b[^\n]*?\btemplate\b(?!\s*<\s*(?:class|typename)\b)")
_AFTER_TEMPLATE = re.compile(r"\btemplate\s*(?:<\s*(\w+)\s*>|(\w+))")
_MACRO = re.compile(rf"(?:#|%:){BLANK}*define{BLANK}+(\w+)")


def without_splices(text: str) -> str:
    """`text` with lines joined as the compiler joins them."""
    return _SPLICES.sub("", text)


def code_of(text: str) -> str:
    """`text` as the compiler joins its lines, without comments and literals."""
    return _NOT_CODE.sub(" ", without_splices(text))


def forbidden(solution: str) -> str | None:
    """What `solution` uses of what it must not; None where there is nothing."""
    code = code_of(solution)
    if (match := _ASSEMBLY.search(code)) is not None:
        return match[1]
    macros = {*_MACRO.findall(code)}
    for match in SPECIALISED.finditer(code):
        name = match["name"]
        if name in _LIBRARY or name in macros or name.startswith("_"):
            return f"a specialisation of {name}"
    for match in _FUNCTION.finditer(code):
        owner = _owner(match["declared"])
        if owner in _OWNERS or owner in macros:
            return f"a specialisation of a member of {owner}"
    hidden = _HIDDEN.search(code) is not None
    if hidden or any({*match.groups()} & macros for match in _AFTER_TEMPLATE.finditer(code)):
        return "a macro in the place of a template's head"
    return None


def _owner(declared: str) -> str | None:
    """The class of the member that is declared; None where it is none of a class."""
    while (shorter := _ARGUMENTS.sub("", declared)) != declared:
        declared = shorter
    match = _OWNER.search(declared)
    return match["owner"] if match else None
