"""What a sandbox server says of itself."""

from __future__ import annotations

from dataclasses import dataclass

from orchestrator.domain import Limits


@dataclass(frozen=True)
class IsolationLayer:
    """One layer of the jail, in force or not, with the reason."""

    name: str
    in_force: bool
    detail: str


@dataclass(frozen=True)
class LanguageInfo:
    """One served language.

    slots: executions that run at one time.
    suites: executions of one candidate that are carried out together; more than 1 where it is
        compiled once for several suites.
    hash_seeds: values that `Execution.hash_seed` may have, from 0 on.
    """

    name: str
    version: str
    slots: int
    suites: int
    hash_seeds: int
    default_limits: Limits
    isolation: tuple[IsolationLayer, ...]


@dataclass(frozen=True)
class ServerInfo:
    """A server. queue_capacity: executions that may wait for a slot."""

    version: str
    languages: tuple[LanguageInfo, ...]
    queue_capacity: int
    launcher: str
