"""Where the decoys of a process come from."""

from __future__ import annotations

import os
import random
from typing import Any

#: Not the module's own generator: a suite may seed that one.
generator = random.Random()


def reseed() -> None:
    """Makes the decoys of this process unguessable; to be called after a fork."""
    generator.seed(os.urandom(32))


def shuffled(items: list[Any]) -> list[Any]:
    """The items in a random order."""
    return generator.sample(items, len(items))
