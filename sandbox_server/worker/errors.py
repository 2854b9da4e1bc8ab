"""Errors of the worker.

::

    WorkerError
    ├── RefusedError       it may not serve: isolation too weak, a broken language folder
    └── JailError          the sandbox failed during an execution; never a verdict
        └── Cancelled      the gateway no longer wants the execution
"""

from __future__ import annotations


class WorkerError(Exception):
    """Anything that keeps a worker from doing its work; one line for people."""


class RefusedError(WorkerError):
    """The worker may not serve. The message says what is missing and how to get it."""


class JailError(WorkerError):
    """The sandbox failed. Says nothing about the candidate."""


class Cancelled(JailError):
    """The gateway took the execution back."""
