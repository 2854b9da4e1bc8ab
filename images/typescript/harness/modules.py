"""Declares what a TypeScript solution imports of modules that are not its own, as anything.

A module that is declared as a whole has no types in it: a solution could call what it imports, and
not say that a parameter is one. The full declarations take longer to read than a solution to check.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

#: Where an import ends, with the module's name. All searches here are outside of any jail, so each
#: goes over the text once.
_FROM = re.compile(r"\bfrom\s*[\"']([\w@:/-]+)[\"']")
#: No longer than any that a program has.
_MOST_IN_IMPORT = 2000
_CLAUSE = re.compile(r"\s+(?:type\s+)?([\w$*{},\s]+)")
_NAMED = re.compile(r"\{([^{}]*)\}")
_WHOLE = re.compile(r"\*\s*as\s+([\w$]+)")
_MAIN = re.compile(r"^\s*([A-Za-z_$][\w$]*)\s*(?:,|$)")
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
#: What no declaration can be called.
_RESERVED = frozenset(
    {
        *("any", "as", "await", "bigint", "boolean", "break", "case", "catch", "class", "const"),
        *("continue", "debugger", "default", "delete", "do", "else", "enum", "export", "extends"),
        *("false", "finally", "for", "function", "if", "implements", "import", "in", "instanceof"),
        *("interface", "let", "never", "new", "null", "number", "object", "package", "private"),
        *("protected", "public", "return", "static", "string", "super", "switch", "symbol", "this"),
        *("throw", "true", "try", "type", "typeof", "undefined", "unknown", "var", "void", "while"),
        *("with", "yield"),
    }
)
_MEMBER = re.compile(r"(?<![\w$.])([\w$]+)\s*\.\s*([A-Za-z]\w*)")
_TYPE = "export type {name}<A = any, B = any, C = any, D = any> = any;"
_VALUE = "export const {name}: any;"
#: Value, type and, where its members are used as types, namespace.
_DEFAULT = (
    "const plum_all: any; type plum_all<A = any, B = any> = any;"
    " namespace plum_all {{ {types} }} export default plum_all;"
)


def declared(solution: str) -> str:
    """Declarations of the modules that `solution` imports, by what it imports of them."""
    names: dict[str, set[str]] = defaultdict(set)
    members: dict[str, set[str]] = defaultdict(set)
    used: dict[str, set[str]] = defaultdict(set)
    for name, member in _MEMBER.findall(solution):
        used[name].add(member)
    for clause, module in _imports(solution):
        listed = (one for list_ in _NAMED.findall(clause) for one in list_.split(","))
        found = ([word for word in _NAME.findall(one) if word not in _RESERVED] for one in listed)
        names[module] |= {word for words in found for word in words[:1]}
        for whole in _WHOLE.findall(clause):
            names[module] |= used[whole]
        for main in _MAIN.findall(clause):
            members[module] |= used[main]
    lines = []
    for module, found_names in names.items():
        own = sorted(found_names - _RESERVED)
        said = [template.format(name=name) for name in own for template in (_VALUE, _TYPE)]
        types = " ".join(_TYPE.format(name=name) for name in sorted(members[module] - _RESERVED))
        text = " ".join([*said, _DEFAULT.format(types=types)])
        lines.append(f"declare module '{module}' {{ {text} }}\n")
    return "".join(lines)


def _imports(solution: str) -> Iterator[tuple[str, str]]:
    """What stands between each `import` and its `from`, and the module's name."""
    end = 0
    for found in _FROM.finditer(solution):
        start = max(end, found.start() - _MOST_IN_IMPORT)
        _, word, behind = solution[start : found.start()].rpartition("import")
        clause = _CLAUSE.fullmatch(behind) if word else None
        if clause is not None:
            yield clause[1], found[1]
        end = found.end()
