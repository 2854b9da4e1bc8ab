"""Imports a language's own part of judging: the package ``harness`` in its folder."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

from sandbox_server.worker.errors import RefusedError

_PACKAGE = "harness"


def load_harness(folder: str) -> ModuleType | None:
    """The harness package of the language in `folder`; None where it has none.

    Raises:
        RefusedError: it cannot be imported.
    """
    if not os.path.isdir(os.path.join(folder, _PACKAGE)):
        return None
    sys.path.insert(0, folder)
    try:
        return importlib.import_module(_PACKAGE)
    except ImportError as e:
        raise RefusedError(f"harness in {folder}: {e}") from e
    finally:
        sys.path.remove(folder)
