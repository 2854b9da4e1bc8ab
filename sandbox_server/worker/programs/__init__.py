"""Judges languages whose candidates are programs of their own: compile, run, believe a witness.

A language brings `[toolchain]`, `[run]` and where needed `[compile]` and `[check]` in its
``language.toml``, files that its programs are built from or run by in ``runtime/``, and, where
that does not do, functions in ``harness/`` (see `hooks`). Everything else is here.
"""

from __future__ import annotations

from sandbox_server.worker.language import Language
from sandbox_server.worker.programs.hooks import Hooks
from sandbox_server.worker.programs.judging import ProgramHarness
from sandbox_server.worker.programs.prepared import find_or_prepare


def load(language: Language) -> ProgramHarness:
    """What judges `language`, with what it prepares of the toolchain.

    Raises:
        RefusedError: it cannot be prepared.
    """
    hooks = Hooks(language)
    return ProgramHarness(language, hooks, find_or_prepare(language, hooks))
