"""What gateway and worker say to each other: JSON objects in length-prefixed frames.

A frame is a 4-byte big-endian length and that many bytes of UTF-8 JSON. Byte
strings (captured output) travel as text decoded with ``surrogateescape``.

The worker speaks first::

    {"op": "ready", "language": str, "version": str, "slots": int,
     "tests": int, "hash_seeds": int, "default_limits": LIMITS,
     "isolation": [{"name", "in_force", "detail"}, ...]}

or, where it may not serve, ``{"op": "refused", "reason": str}`` before it ends.
`tests` is how many suites it is to be given with one solution: more than 1 where
it compiles a solution once for all of them. `hash_seeds` is how many values
`hash_seed` may have, from 0 on; it is left out where it is 1.
The gateway then sends, with `seq` a number of its own choosing::

    {"op": "execute", "seq": int, "solution": str, "tests": [str, ...], "limits": LIMITS,
     "hash_seed": int}                              # left out where it is 0
    {"op": "check", "seq": int, "candidates": [{"id": str, "solution": str}, ...]}
    {"op": "cancel", "seq": int, "test": int}

never more than `slots` of the first two at one time. They are answered in any order: a check
once, an execute once for each of its tests, in their order. A cancel is for the test of that
place, and of a check for its one answer::

    {"op": "result", "seq": int, "result": RESULT}     for a test of execute
    {"op": "checked", "seq": int, "results": [...]}    for check
    {"op": "failed", "seq": int, "message": str}       the sandbox failed, or it was cancelled

LIMITS holds every field of `Limits`; a RESULT every field of `Result`; a check
result is ``{"id", "status": "CHECKED" | "SYNTAX_ERROR" | "NOT_CHECKED",
"diagnostics": [{"line", "severity": "ERROR" | "WARNING" | "NOTE", "code", "message"}], "message"}``.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass, fields
from typing import Any, Protocol

_LENGTH = struct.Struct(">I")
_to_json = json.JSONEncoder(separators=(",", ":")).encode

#: No frame is longer: two 16 MiB sources at six bytes a character, and room.
MAX_FRAME_BYTES = 256 << 20

#: Suites of one solution in one request.
MOST_TESTS = 16

#: Seeds of hashes that a language may offer: each is an interpreter in memory.
MOST_HASH_SEEDS = 16

#: No limit is this high: 1 PiB, or more years than there have been people.
_MOST_OF_ANYTHING = 1 << 50

VERDICTS = frozenset(
    {
        "PASSED",
        "ASSERTION_FAILED",
        "RUNTIME_ERROR",
        "COMPILE_ERROR",
        "TIME_LIMIT_EXCEEDED",
        "MEMORY_LIMIT_EXCEEDED",
        "OUTPUT_LIMIT_EXCEEDED",
        "TAMPERED",
        "TEST_ERROR",
    }
)
PHASES = frozenset({"COMPILE", "LOAD", "TEST"})
PROOFS = frozenset({"separated", "in_process", "witness"})


class ProtocolError(Exception):
    """The other side sent something that is not a frame of this protocol."""


@dataclass(frozen=True)
class Limits:
    """Upper bounds of one execution, all of its processes together unless said otherwise."""

    cpu_time_s: float
    wall_time_s: float
    memory_bytes: int
    processes: int
    output_bytes: int
    file_bytes: int
    open_files: int  # of each process


@dataclass(frozen=True)
class Usage:
    """What one execution was measured to use, all of its processes together."""

    cpu_time_s: float
    wall_time_s: float
    memory_bytes: int  # peak


class Reader(Protocol):
    """A blocking byte stream, as ``socket.makefile('rb')`` gives."""

    def read(self, size: int, /) -> bytes:
        """Reads up to `size` bytes; fewer only at the end of the stream."""


def encode(message: dict[str, Any]) -> bytes:
    """One frame.

    Raises:
        ProtocolError: it would be longer than MAX_FRAME_BYTES.
    """
    return frame(_to_json(message).encode("ascii"))


def frame(body: bytes) -> bytes:
    """One frame of a message that is encoded already.

    Raises:
        ProtocolError: it would be longer than MAX_FRAME_BYTES.
    """
    if len(body) > MAX_FRAME_BYTES:
        raise ProtocolError(f"frame of {len(body)} bytes is outside [0, {MAX_FRAME_BYTES}]")
    return _LENGTH.pack(len(body)) + body


def frame_length(head: bytes) -> int:
    """Length in bytes of the body that follows the four bytes `head`.

    Raises:
        ProtocolError: it is over MAX_FRAME_BYTES.
    """
    length: int = _LENGTH.unpack(head)[0]
    if length > MAX_FRAME_BYTES:
        raise ProtocolError(f"frame of {length} bytes is outside [0, {MAX_FRAME_BYTES}]")
    return length


class Frames:
    """Cuts a stream of bytes into the bodies of its frames."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def cut(self, data: bytes | memoryview) -> list[bytes]:
        """The bodies that are complete with `data`, which comes next in the stream.

        Raises:
            ProtocolError: a frame is over MAX_FRAME_BYTES.
        """
        buffer = self._buffer
        buffer += data
        bodies = []
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            begin = start + _LENGTH.size
            end = begin + frame_length(bytes(buffer[start:begin]))
            if len(buffer) < end:
                break
            bodies.append(bytes(buffer[begin:end]))
            start = end
        del buffer[:start]
        return bodies


def decode(body: bytes) -> dict[str, Any]:
    """The message in the body of a frame.

    Raises:
        ProtocolError: it is not a JSON object.
    """
    try:
        message = json.loads(body)
    except ValueError as e:
        raise ProtocolError(f"frame is not JSON: {e}") from e
    if not isinstance(message, dict):
        raise ProtocolError(f"frame holds {type(message).__name__}, not an object")
    return message


def check_request(message: dict[str, Any]) -> None:
    """Checks what the gateway sent, so that nothing half done has to be given up later.

    Raises:
        ProtocolError: it is not a request of this protocol; names the field.
    """
    _require(message, "seq", int)
    match message.get("op"):
        case "cancel":
            _require(message, "test", int)
        case "execute":
            _require(message, "solution", str)
            tests = _require(message, "tests", list)
            if not 1 <= len(tests) <= MOST_TESTS or not all(isinstance(t, str) for t in tests):
                raise ProtocolError(f"tests is no list of 1 to {MOST_TESTS} texts")
            _check_limits(_require(message, "limits", dict))
            if "hash_seed" in message and _require(message, "hash_seed", int) < 0:
                raise ProtocolError(f"hash_seed={message['hash_seed']} is below 0")
        case "check":
            for candidate in _require(message, "candidates", list):
                if not isinstance(candidate, dict):
                    raise ProtocolError("a candidate is no object")
                _require(candidate, "id", str)
                _require(candidate, "solution", str)
        case op:
            raise ProtocolError(f"op={op!r:.40} is none of execute, check, cancel")


def _require(message: dict[str, Any], name: str, kind: type) -> Any:
    value = message.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ProtocolError(f"{name} is {type(value).__name__}, not {kind.__name__}")
    return value


def _check_limits(limits: dict[str, Any]) -> None:
    names = {field.name for field in fields(Limits)}
    if set(limits) != names:
        raise ProtocolError(f"limits has other fields than {sorted(names)}")
    for name, value in limits.items():
        number = isinstance(value, int | float) and not isinstance(value, bool)
        # JSON's parser takes Infinity and NaN.
        if not number or not 0 < value < _MOST_OF_ANYTHING:
            raise ProtocolError(f"limits.{name}={value!r:.40} is outside (0, {_MOST_OF_ANYTHING})")


def read(stream: Reader) -> dict[str, Any] | None:
    """The next message, or None where the stream ended between two frames.

    Raises:
        ProtocolError: the stream ended within a frame, or the frame is bad.
    """
    head = stream.read(_LENGTH.size)
    if not head:
        return None
    if len(head) < _LENGTH.size:
        raise ProtocolError("stream ended within a frame's length")
    length = frame_length(head)
    body = stream.read(length)
    if len(body) < length:
        raise ProtocolError(f"stream ended after {len(body)} of {length} bytes of a frame")
    return decode(body)
