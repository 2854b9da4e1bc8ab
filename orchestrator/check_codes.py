"""What the static check's codes mean: this program does not run, or only a remark.

A code means "does not run" where the finding is a NameError or worse as soon as its line is
reached, whatever the types are. Everything else is a remark: a program may be ill-typed
(`arg-type`, `union-attr`, ...) and run well, and one that is wrong shows it when it is executed.
A recipe changes single entries under `[check.codes]`; codes that are not listed, as those of
other languages' checkers, are remarks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Meaning(StrEnum):
    """What is done with a candidate that has such a finding."""

    DROP = "drop"  # it does not run
    WARN = "warn"


@dataclass(frozen=True)
class CodeEntry:
    """One line of the table: what a code means, and why."""

    meaning: Meaning
    why: str


def _drop(why: str) -> CodeEntry:
    return CodeEntry(Meaning.DROP, why)


def _warn(why: str) -> CodeEntry:
    return CodeEntry(Meaning.WARN, why)


_ILL_TYPED = _warn("ill-typed, which Python does not mind")
_OVERRIDE = _warn("breaks the contract of a base class, which Python does not mind")
_STYLE = _warn("a matter of style or of annotations")
_MAY_RUN = _warn("the checker sees less than the interpreter: often it runs")
_UNKNOWN_PACKAGE = _warn("the jail may have what the checker has not; if not, it fails to load")

#: mypy's codes, those that it reports only on demand included.
CHECK_CODES: Mapping[str, CodeEntry] = {
    "syntax": _drop("it does not parse"),
    "name-defined": _drop("a name that exists nowhere: NameError when it is reached"),
    "used-before-def": _drop("a name used above its only definition: NameError when it is reached"),
    "abstract": _warn("an abstract class is made an object of: TypeError if it is reached"),
    "annotation-unchecked": _STYLE,
    "arg-type": _ILL_TYPED,
    "assert-type": _ILL_TYPED,
    "assignment": _ILL_TYPED,
    "attr-defined": _MAY_RUN,
    "await-not-async": _warn("Python itself refuses it where it matters"),
    "call-arg": _MAY_RUN,
    "call-overload": _ILL_TYPED,
    "comparison-overlap": _ILL_TYPED,
    "deprecated": _STYLE,
    "dict-item": _ILL_TYPED,
    "empty-body": _STYLE,
    "exhaustive-match": _STYLE,
    "exit-return": _STYLE,
    "explicit-any": _STYLE,
    "explicit-override": _STYLE,
    "func-returns-value": _warn("uses the None of a function that returns nothing"),
    "has-type": _MAY_RUN,
    "ignore-without-code": _STYLE,
    "import": _UNKNOWN_PACKAGE,
    "import-not-found": _UNKNOWN_PACKAGE,
    "import-untyped": _UNKNOWN_PACKAGE,
    "index": _ILL_TYPED,
    "list-item": _ILL_TYPED,
    "literal-required": _ILL_TYPED,
    "maybe-unrecognized-str-typeform": _STYLE,
    "metaclass": _MAY_RUN,
    "method-assign": _OVERRIDE,
    "misc": _MAY_RUN,
    "mutable-override": _OVERRIDE,
    "name-match": _STYLE,
    "narrowed-type-not-subtype": _ILL_TYPED,
    "no-any-return": _STYLE,
    "no-any-unimported": _STYLE,
    "no-overload-impl": _warn("an overload without a body: fails where it is called"),
    "no-redef": _warn("a name defined twice: the later one counts"),
    "no-untyped-call": _STYLE,
    "no-untyped-def": _STYLE,
    "nonetype-type": _STYLE,
    "operator": _ILL_TYPED,
    "overload-cannot-match": _STYLE,
    "overload-overlap": _STYLE,
    "override": _OVERRIDE,
    "possibly-undefined": _warn("some path leaves a name unset: other paths run"),
    "prop-decorator": _STYLE,
    "redundant-cast": _STYLE,
    "redundant-expr": _STYLE,
    "redundant-self": _STYLE,
    "return": _warn("some path returns nothing"),
    "return-value": _ILL_TYPED,
    "safe-super": _MAY_RUN,
    "str-bytes-safe": _STYLE,
    "str-format": _MAY_RUN,
    "str-unpack": _ILL_TYPED,
    "top-level-await": _warn("Python itself refuses it"),
    "truthy-bool": _STYLE,
    "truthy-function": _STYLE,
    "truthy-iterable": _STYLE,
    "type-abstract": _ILL_TYPED,
    "type-arg": _STYLE,
    "type-var": _ILL_TYPED,
    "typeddict-item": _ILL_TYPED,
    "typeddict-readonly-mutated": _ILL_TYPED,
    "typeddict-unknown-key": _ILL_TYPED,
    "unimported-reveal": _warn("reveal_type is known to the checker alone"),
    "union-attr": _ILL_TYPED,
    "unreachable": _STYLE,
    "untyped-decorator": _STYLE,
    "unused-awaitable": _warn("a coroutine is made and thrown away"),
    "unused-coroutine": _warn("a coroutine is made and thrown away"),
    "unused-ignore": _STYLE,
    "valid-newtype": _MAY_RUN,
    "valid-type": _ILL_TYPED,
    "var-annotated": _STYLE,
}


def fatal_codes(changes: Mapping[str, str]) -> frozenset[str]:
    """The codes that mean "does not run"; `changes` is a recipe's, from codes to meanings."""
    table = {code: str(entry.meaning) for code, entry in CHECK_CODES.items()} | dict(changes)
    return frozenset(code for code, meaning in table.items() if meaning == Meaning.DROP)
