"""Starts a worker: ``python -m sandbox_server.worker --socket PATH --language-dir DIR``."""

from __future__ import annotations

import sys

from sandbox_server.worker import forking

if __name__ == "__main__":
    forking.hold_back()  # before `main` imports what registers handlers
    from sandbox_server.worker.main import main

    sys.exit(main())
