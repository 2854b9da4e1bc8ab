"""What a C++ solution must not use: it would reach below the language, into the suite's own code.

An assembler's macros change instructions that the compiler makes of the suite; a template of the
library's that is a solution's own specialisation, or a function of C's that it has put its own in
the place of, has no answer that could be relied on; and what macros paste together cannot be read.
"""

from __future__ import annotations

import re

from .specialised import foreign, own_types

#: White space of the preprocessor; the compiler takes a null character for it, too.
BLANK = r"[ \t\f\v\0]"
#: The same, and comments.
SPACE = rf"(?:{BLANK}|/\*[^*]*\*+(?:[^/*][^*]*\*+)*/)"
#: A line that is continued on the next one.
SPLICE = rf"\\{BLANK}*\r?\n"
_SPLICES = re.compile(SPLICE)
_NOT_CODE = re.compile(
    r'\bu?8?[LUu]?R"(?P<mark>[^()\\\s]{0,16})\(.*?(?:\)(?P=mark)"|\Z)'
    r"|//[^\n]*|/\*.*?(?:\*/|\Z)"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<!\w)'(?:\\.|[^'\\\n])*'",
    re.DOTALL,
)
_ASSEMBLERS = ("asm", "__asm", "__asm__")
_ASSEMBLY = re.compile(rf"\b({'|'.join(_ASSEMBLERS)})\b")
#: `template` in a macro but for one that declares a template, or with a macro in its place.
_HIDDEN = re.compile(rf"(?:#|%:){BLANK}*define\b[^\n]*?\btemplate\b(?!\s*<\s*(?:class|typename)\b)")
_AFTER_TEMPLATE = re.compile(r"\btemplate\s*(?:<\s*(\w+)\s*>|(\w+))")
_MACRO = re.compile(rf"(?:#|%:){BLANK}*define{BLANK}+(\w+)([^\n]*)")
_PASTE = re.compile(r"##|%:%:")
_HEAD = re.compile(r"\btemplate\b[^{};]*")
_WORD = re.compile(r"\w+")
#: Functions of C's by which suites, and what they use of the library, compare values.
_COMPARES = (
    *("abs", "bcmp", "fabs", "fabsf", "fabsl", "labs", "llabs", "memcmp", "strcasecmp", "strcmp"),
    *("strcoll", "strlen", "strncmp", "wcscmp", "wmemcmp"),
)
#: One of these declared as C's own: in C++ it is another function.
_OF_C = re.compile(
    rf"\b({'|'.join(_COMPARES)})\s*\((?P<given>[^(){{}};]*)\)\s*(?:noexcept|throw|__\w+)\b"
)
#: Pragmas that give a function of another name that of one of these.
_RENAMES = {"weak", "redefine_extname"}
_DECLARED = re.compile(
    rf"\b({'|'.join(_COMPARES)})\s*\([^(){{}};]*\)(?P<behind>[^;{{}}]{{0,500}}(?:;|\{{))"
)
#: What tells a call from a definition, which may say something else by attributes only.
_ASSIGNED = re.compile(r"=|\breturn\b")
_ATTRIBUTE = re.compile(r"\b__attribute|\[\s*\[|\basm\b")
_DIRECTIVE_LINE = re.compile(r"^[^\S\n]*(?:#|%:)[^\n]*", re.MULTILINE)
_NESTED = 4
_IN_BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]")
#: A file by a name that is computed, or by its place: none of these is looked at before.
_INCLUDE = re.compile(
    rf"^{SPACE}*(?:#|%:){SPACE}*(?:include(?:_next)?|import)\b"
    rf"(?!{SPACE}*(?:<(?!/|\.|[^>\n]*\.\.)[^>\n]+>|\"(?!/|\.|[^\"\n]*\.\.)[^\"\n]+\"))",
    re.MULTILINE,
)
#: Between these signs it would look as if a comment or a literal began. No name is that long.
_ODD_HEADER = re.compile(
    r"(?:include|import)\w{0,9}\s*\(?\s*<(?:[^>\n]{300}|[^>\n]{0,300}?(?:/\*|//|[\"']))"
)
#: How much is searched in what stands between two of these signs: the time for it grows faster.
_PIECES = re.compile(r"[{};]")
_MOST_TO_SEARCH = 30_000_000
_EXTERN_C = re.compile(r'\bextern\s*"C"')


def without_splices(text: str) -> str:
    """`text` with lines joined as the compiler joins them."""
    return _SPLICES.sub("", text)


def code_of(text: str) -> str:
    """`text` as the compiler joins its lines, without comments and literals."""
    return _NOT_CODE.sub(" ", without_splices(text))


def forbidden(solution: str) -> str | None:
    """What `solution` uses of what it must not; None where there is nothing."""
    text = without_splices(solution)
    if _too_much(text):
        return "templates, macros or comments of that length"
    return _found(text, code_of(text))


def _found(text: str, code: str) -> str | None:
    if (match := _ASSEMBLY.search(code)) is not None:
        return match[1]
    defined = dict(_MACRO.findall(code))
    macros = {*defined}
    if _INCLUDE.search(text) is not None or _ODD_HEADER.search(text) is not None:
        return "a header by its place"
    if (found := foreign(code, macros)) is not None:
        return found
    hidden = _HIDDEN.search(code) is not None
    if hidden or any({*match.groups()} & macros for match in _AFTER_TEMPLATE.finditer(code)):
        return "a macro in the place of a template's head"
    if _PASTE.search(code) is not None and (found := _pasted(code, defined)) is not None:
        return found
    return _in_place_of_c(text, code, macros)


def _in_place_of_c(text: str, code: str, macros: set[str]) -> str | None:
    """What would take the place of a function of C's; None where there is nothing."""
    for line in text.splitlines() if "pragma" in text.lower() else ():
        words = {*_WORD.findall(line)} if "pragma" in line.lower() else set()
        if words & _RENAMES and words.intersection(_COMPARES):
            return "a pragma that gives functions other names"
    in_c = _EXTERN_C.search(text) is not None
    # A function of the solution's own types is none of C's, unless it is said to be.
    own = set() if in_c else own_types(code, macros)
    all_of_c = _OF_C.finditer(code)
    of_c = next((one for one in all_of_c if not own & {*_WORD.findall(one["given"])}), None)
    if of_c is None and in_c:
        all_of_c = _DECLARED.finditer(code)
        of_c = next((one for one in all_of_c if not _is_call(code, one, macros)), None)
    return f"a function {of_c[1]} of its own in the place of C's" if of_c else None


def _is_call(code: str, found: re.Match[str], macros: set[str]) -> bool:
    """Whether a function of C's is called where `found` is, and not put in the place of C's."""
    start = max(code.rfind(sign, 0, found.start()) for sign in ";{}") + 1
    before, behind = code[start : found.start()], found["behind"]
    if _ATTRIBUTE.search(before) or _ATTRIBUTE.search(behind) or macros & {"return"}:
        return False
    before = _DIRECTIVE_LINE.sub("", before)
    for _ in range(_NESTED):
        before, behind = _IN_BRACKETS.sub(" ", before), _IN_BRACKETS.sub(" ", behind)
    # A definition stands in no brackets, and nothing is assigned before it.
    inside = "(" in before or ")" in behind
    return inside or behind.endswith(";") or _ASSIGNED.search(before) is not None


def _too_much(text: str) -> bool:
    """Whether the search would take long: it runs outside of any jail."""
    pieces = [piece for piece in _PIECES.split(text) if "template" in piece]
    cost = sum(piece.count("template") * len(piece) ** 2 for piece in pieces)
    cost += sum(line.count("define") * len(line) for line in text.split("\n"))
    return cost + text.count("/*") * len(text) > _MOST_TO_SEARCH


def _pasted(code: str, defined: dict[str, str]) -> str | None:
    """What macros could make of pieces that must not be there; None where there is nothing.

    defined: the text of each macro, by name.
    """
    pasting = {name for name, text in defined.items() if _PASTE.search(text)}
    while more := {
        name
        for name, text in defined.items()
        if name not in pasting and pasting & {*_WORD.findall(text)}
    }:
        pasting |= more
    if any(pasting & {*_WORD.findall(head)} for head in _HEAD.findall(code)):
        return "a macro that joins names in a template's head"
    pieces = {word for text in defined.values() for word in _WORD.findall(text)}
    for name in pasting:
        for match in re.finditer(rf"\b{name}\s*\(", code):
            pieces |= {*_WORD.findall(code[match.end() : _closed(code, match.end())])}
    for word in ("template", *_ASSEMBLERS, *_COMPARES):
        if _is_made_of(word, pieces):
            return f"{word}, made of pieces"
    return None


def _closed(code: str, at: int) -> int:
    """Where the bracket is closed that opens before `at`."""
    depth = 1
    for place in range(at, len(code)):
        depth += {"(": 1, ")": -1}.get(code[place], 0)
        if depth == 0:
            return place
    return len(code)


def _is_made_of(word: str, pieces: set[str]) -> bool:
    """Whether two or more of `pieces` joined are `word`."""
    reached = {0}
    for end in range(1, len(word) + 1):
        starts = (start for start in reached if (start, end) != (0, len(word)))
        if any(word[start:end] in pieces for start in starts):
            reached.add(end)
    return len(word) in reached
