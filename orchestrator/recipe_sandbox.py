"""`[sandbox]` of a recipe: where candidates run, and within which limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from orchestrator.domain import Limits
from orchestrator.recipe_table import RecipeTable

LAUNCHERS = ("process", "docker")


@dataclass(frozen=True)
class SandboxSection:
    """`[sandbox]`: where candidates run. Without an address, an embedded server is started.

    addresses: from `address` or `addresses`; work is spread over all servers behind them.
    retry_for_s: how long to try again when no server answers or all are full.
    """

    addresses: tuple[str, ...]
    token_file: Path | None
    ca: Path | None  # of TLS, in PEM form
    retry_for_s: float
    launcher: str
    slots: int | None
    limits: Limits


def read_sandbox_section(table: RecipeTable) -> SandboxSection:
    """Reads `[sandbox]`.

    Raises:
        InputError: naming the key, the value and what is allowed.
    """
    one, several = table.optional_text("address"), table.texts("addresses")
    if one is not None and several is not None:
        raise table.error("address", "and addresses exclude each other: remove one")
    if several == ():
        raise table.error("addresses", "is empty: name a server, or remove it")
    if "launcher" in table and (one or several):
        raise table.error("launcher", "and address exclude each other: remove one")
    limits = table.table("limits")
    section = SandboxSection(
        addresses=(one,) if one is not None else several or (),
        token_file=table.optional_file("token_file"),
        ca=table.optional_file("ca"),
        retry_for_s=table.number("retry_for_s", 60.0, 0.0, 86_400.0),
        launcher=table.choice("launcher", LAUNCHERS, "process"),
        slots=table.optional_integer("slots", 1, 1024),
        limits=Limits(
            cpu_time_s=limits.optional_number("cpu_time_s", 0.01, 3600.0),
            wall_time_s=limits.optional_number("wall_time_s", 0.01, 7200.0),
            memory_bytes=limits.optional_integer("memory_bytes", 16 << 20, 64 << 30),
            processes=limits.optional_integer("processes", 1, 4096),
            output_bytes=limits.optional_integer("output_bytes", 1 << 10, 1 << 30),
            file_bytes=limits.optional_integer("file_bytes", 64 << 10, 16 << 30),
            open_files=limits.optional_integer("open_files", 16, 65536),
        ),
    )
    limits.finish()
    table.finish()
    return section
