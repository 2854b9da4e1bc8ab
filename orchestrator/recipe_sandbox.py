"""`[sandbox]` of a recipe: where candidates run, and within which limits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from orchestrator.domain import Limits
from orchestrator.errors import InputError
from orchestrator.recipe_table import RecipeTable
from orchestrator.sandbox.access import Tls, read_certificates, read_key, read_token
from orchestrator.sandbox.addresses import address_problem
from orchestrator.sandbox.bounds import COUNTS, LAUNCHERS, RETRY_FOR_S, SECONDS, SLOTS


@dataclass(frozen=True)
class SandboxSection:
    """`[sandbox]`: where candidates run. Without an address, an embedded server is started.

    addresses: from `address` or `addresses`; work is spread over all servers behind them.
    retry_for_s: how long to try again when no server answers or all are full.
    """

    addresses: tuple[str, ...]
    token_file: Path | None
    ca: Path | None  # of TLS, in PEM form, as the next two
    certificate: Path | None  # to show who we are
    key: Path | None
    retry_for_s: float
    launcher: str
    slots: int | None
    limits: Limits

    @property
    def tls(self) -> Tls | None:
        """What TLS is spoken with; None: it is not."""
        return None if self.ca is None else Tls(self.ca, self.certificate, self.key)


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
    addresses = (one,) if one is not None else several or ()
    for address in addresses:
        wrong = address_problem(address)
        if wrong is not None:
            raise table.error(
                "address" if one else "addresses", f"holds {address!r}, which {wrong}"
            )
    if "launcher" in table and (one or several):
        raise table.error("launcher", "and address exclude each other: remove one")
    ca = _file_that_serves(table, "ca", read_certificates)
    certificate = _file_that_serves(table, "certificate", read_certificates)
    key = None
    if certificate is not None:
        key = _file_that_serves(table, "key", partial(read_key, certificate=certificate))
    if ("certificate" in table) != ("key" in table):
        raise table.error("certificate", "and key need each other")
    if certificate is not None and ca is None:
        raise table.error("ca", "is missing: certificate needs it")
    limits = table.table("limits")
    section = SandboxSection(
        addresses=addresses,
        token_file=_file_that_serves(table, "token_file", read_token),
        ca=ca,
        certificate=certificate,
        key=key,
        retry_for_s=table.number("retry_for_s", 60.0, *RETRY_FOR_S),
        launcher=table.choice("launcher", LAUNCHERS, "process"),
        slots=table.optional_integer("slots", *SLOTS),
        limits=Limits(
            cpu_time_s=limits.optional_number("cpu_time_s", *SECONDS["cpu_time_s"]),
            wall_time_s=limits.optional_number("wall_time_s", *SECONDS["wall_time_s"]),
            memory_bytes=limits.optional_integer("memory_bytes", *COUNTS["memory_bytes"]),
            processes=limits.optional_integer("processes", *COUNTS["processes"]),
            output_bytes=limits.optional_integer("output_bytes", *COUNTS["output_bytes"]),
            file_bytes=limits.optional_integer("file_bytes", *COUNTS["file_bytes"]),
            open_files=limits.optional_integer("open_files", *COUNTS["open_files"]),
        ),
    )
    limits.finish()
    table.finish()
    return section


def _file_that_serves(table: RecipeTable, key: str, read: Callable[[Path], object]) -> Path | None:
    """The file below `key`, which `read` must take."""
    file = table.optional_file(key)
    if file is not None:
        try:
            read(file)
        except InputError as e:
            raise table.error(key, f"= {e}") from e
    return file
