"""The ranges of the sandbox's protocol and options, for refusing bad input before anything is sent."""

from __future__ import annotations

from orchestrator.domain import Limits

ID_BYTES = 256
SOURCE_BYTES = 16 << 20

#: Inclusive bounds by field of Limits; seconds as numbers, everything else as integers.
SECONDS = {"cpu_time_s": (0.01, 3600.0), "wall_time_s": (0.01, 7200.0)}
COUNTS = {
    "memory_bytes": (16 << 20, 64 << 30),
    "processes": (1, 4096),
    "output_bytes": (1 << 10, 1 << 30),
    "file_bytes": (64 << 10, 16 << 30),
    "open_files": (16, 65536),
}
#: How many of them a language has, its server knows.
_HASH_SEEDS = (0, (1 << 32) - 1)

#: Of a server that is started for a run or a call.
LAUNCHERS = ("process", "docker")
SLOTS = (1, 4096)
#: Seconds for which an execution that found no server is tried again.
RETRY_FOR_S = (0.0, 86_400.0)


def limits_from(values: object) -> Limits:
    """Limits from a decoded JSON object; None and absent fields take the defaults.

    Raises:
        ValueError: it is no object, a field is unknown, of the wrong type or out of range. The
            message names field, value and bound.
    """
    if not isinstance(values, dict):
        raise ValueError(f"limits={values!r:.80} is not an object")
    for name in values:
        if name not in SECONDS and name not in COUNTS:
            raise ValueError(f"limits.{name} is unknown; known: {', '.join([*SECONDS, *COUNTS])}")
    return Limits(
        cpu_time_s=_second("cpu_time_s", values),
        wall_time_s=_second("wall_time_s", values),
        memory_bytes=_count("memory_bytes", values),
        processes=_count("processes", values),
        output_bytes=_count("output_bytes", values),
        file_bytes=_count("file_bytes", values),
        open_files=_count("open_files", values),
    )


def hash_seed_from(value: object) -> int:
    """The hash seed in a decoded JSON value; None takes the usual one, 0.

    Raises:
        ValueError: it is no integer or out of range; the message names field, value and bound.
    """
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"hash_seed={value!r:.80} is not an integer")
    least, most = _HASH_SEEDS
    if not least <= value <= most:
        raise ValueError(f"hash_seed={value} is outside [{least}, {most}]")
    return value


def source_problem(field: str, source: str) -> str | None:
    """Why `source` cannot be sent as `field`; None where it can."""
    try:
        size = len(source) if source.isascii() else len(source.encode())
    except UnicodeEncodeError as e:
        return (
            f"{field} holds {source[e.start]!r} at character {e.start}, which is not Unicode text"
        )
    if size > SOURCE_BYTES:
        return f"{field} has {size} bytes, outside [0, {SOURCE_BYTES}]"
    return None


def _second(name: str, values: dict[str, object]) -> float | None:
    value = values.get(name)
    if value is None:
        return None
    least, most = SECONDS[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"limits.{name}={value!r:.80} is not a number of seconds")
    if not least <= value <= most:  # true for NaN, too
        raise ValueError(f"limits.{name}={value!r:.80} is outside [{least}, {most:.0f}]")
    return float(value)


def _count(name: str, values: dict[str, object]) -> int | None:
    value = values.get(name)
    if value is None:
        return None
    least, most = COUNTS[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"limits.{name}={value!r:.80} is not an integer")
    if not least <= value <= most:
        raise ValueError(f"limits.{name}={value!r:.80} is outside [{least}, {most}]")
    return value
