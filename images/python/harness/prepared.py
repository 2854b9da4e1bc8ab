"""Suites that were read once: how their code gets from one judge to the next.

The same suite judges many candidates, and reading it (parsing, rewriting,
compiling) costs a judge more than running it. So the first judge of a suite
writes the result to its report, and the supervisor hands it to the next one.

Why this lets no candidate influence a later verdict: the code is the first
thing in the report, written before the judge reads a byte from the candidate,
and what is in a pipe cannot be taken back. A judge that was handed code
writes none, and none is taken from its report. The supervisor keeps bytes
under the suite's text and never looks into them, so a suite can
at most spoil itself.
"""

from __future__ import annotations

import struct
from collections import OrderedDict

# Bound here: a candidate that shares the process with its suite may replace the module's.
from marshal import dumps, loads

from .suite import Suite

#: Longer code is not kept, in bytes.
_MAX_CODE_BYTES = 128 << 10
#: Suites that one supervisor keeps.
_MAX_KEPT = 32
_LENGTH = struct.Struct("<I")
_MARK = b"S"


class Shelf:
    """The code of the suites used last, by their text."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, bytes] = OrderedDict()

    def find(self, test: bytes) -> bytes:
        """The code of this suite; empty where there is none."""
        code = self._kept.get(test, b"")
        if code:
            self._kept.move_to_end(test)
        return code

    def keep(self, test: bytes, code: bytes) -> None:
        """Remembers the code of this suite and forgets the one that was not used for longest."""
        self._kept[test] = code
        if len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)


def pack(test: bytes, code: bytes) -> bytes:
    """What the judge gets: the suite's text, and its code or nothing."""
    return _LENGTH.pack(len(code)) + code + test


def unpack(data: bytes) -> tuple[bytes, bytes]:
    """Text and code, as `pack` got them."""
    end = _LENGTH.size + _LENGTH.unpack_from(data)[0]
    return data[end:], data[_LENGTH.size : end]


def announce(suite: Suite) -> bytes:
    """What the report of a judge that read `suite` itself begins with; empty for a large one."""
    code = encode(suite)
    if len(code) > _MAX_CODE_BYTES:
        return b""
    return _MARK + _LENGTH.pack(len(code)) + code


def encode(suite: Suite) -> bytes:
    """All of a suite but its text."""
    parts = suite.code, suite.assertions, suite.wants_names, suite.imports, suite.unimported
    return dumps(parts)


def split(report: bytes) -> tuple[bytes, bytes]:
    """The code at the beginning of a report, and the rest. Both empty where it breaks off."""
    if report[:1] != _MARK:
        return b"", report
    start = 1 + _LENGTH.size
    if len(report) < start:
        return b"", b""
    end = start + _LENGTH.unpack_from(report, 1)[0]
    return (report[start:end], report[end:]) if len(report) >= end else (b"", b"")


def restore(source: str, code: bytes) -> Suite:
    """The suite with this text, from what `encode` made of it."""
    compiled, assertions, wants_names, imports, unimported = loads(code)
    return Suite(
        source=source,
        code=compiled,
        assertions=assertions,
        in_process="",
        wants_names=wants_names,
        imports=imports,
        unimported=unimported,
    )
