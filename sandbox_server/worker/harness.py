"""Imports a language's own part of judging: the package ``harness`` in its folder."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from sandbox_server.worker.errors import RefusedError
from sandbox_server.worker.language import Language

_PACKAGE = "harness"


def load_harness(language: Language) -> ModuleType | None:
    """The language's harness package; None where it has none.

    Raises:
        RefusedError: it cannot be imported.
    """
    if not (language.folder / _PACKAGE).is_dir():
        return None
    sys.path.insert(0, str(language.folder))
    try:
        return importlib.import_module(_PACKAGE)
    except ImportError as e:
        raise RefusedError(f"harness of {language.name}: {e}") from e
    finally:
        sys.path.remove(str(language.folder))
