"""What the harness hands to the jail: roles by name, each with the descriptors it gets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Role:
    """One process of a stage, before it is forked."""

    name: str
    #: "module:function" of this package, called with `fds`.
    entry: str
    fds: Sequence[int]
    untrusted: bool
