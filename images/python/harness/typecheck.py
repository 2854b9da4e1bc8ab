"""mypy, inside the confined process: many candidates in one build, over stubs that were read once.

Most of a build is reading the stubs of the standard library, so a build of the
stubs alone, with no candidate in it, leaves mypy's cache of them behind, and
every later build starts from that.
"""

from __future__ import annotations

import io
import resource
import sys
from typing import Any

#: In the working folder, which is a fresh one for each stage.
_CACHE = ".mypy_cache"
#: What candidates commonly import; other modules are read when they are needed.
_STUBS = [
    *("abc", "bisect", "collections", "collections.abc", "contextlib", "copy", "dataclasses"),
    *("datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "io"),
    *("itertools", "json", "math", "operator", "os", "queue", "random", "re", "statistics"),
    *("string", "sys", "threading", "time", "types", "typing"),
]


def read_stubs() -> bytes:
    """mypy's cache of the stubs of the standard library, packed."""
    run_mypy({0: "".join(f"import {name}\n" for name in _STUBS)})
    import tarfile  # with every compression there is: not for a process that is forked

    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz", compresslevel=6) as archive:
        archive.add(_CACHE)
    return packed.getvalue()


def put_stubs(packed: bytes) -> None:
    """Lays out what `read_stubs` packed, where there is any."""
    if packed:
        import tarfile

        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as archive:
            archive.extractall(filter="data")


def limit_cpu_time(seconds: int) -> None:
    """Ends this process once it has used so much, by a signal that says why."""
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def run_mypy(texts: dict[int, str]) -> list[str]:
    """Lines of mypy about the sources, one build for all.

    Raises:
        mypy.errors.CompileError: a source stops the build.
        SystemExit: mypy failed within.
    """
    # mypy asks it for processors where it is installed, and it reads /proc, which no jail has.
    sys.modules["psutil"] = None  # type: ignore[assignment]
    from mypy import build

    sources = [
        build.BuildSource(f"candidate_{i}.py", f"candidate_{i}", text) for i, text in texts.items()
    ]
    quiet = io.StringIO()
    keep = sys.stdout, sys.stderr
    sys.stdout = sys.stderr = quiet
    try:
        return list(build.build(sources, _options(), stdout=quiet, stderr=quiet).errors)
    finally:
        sys.stdout, sys.stderr = keep


def _options() -> Any:
    from mypy.options import Options

    options = Options()
    options.ignore_missing_imports = True
    options.no_site_packages = True
    options.check_untyped_defs = True
    # Candidates are snippets: variables may change their type, None may come and go.
    options.allow_redefinition = True
    options.strict_optional = False
    options.implicit_optional = True
    options.hide_error_codes = False
    options.error_summary = False
    options.pretty = False
    options.show_traceback = False
    options.incremental = True
    options.cache_dir = _CACHE
    options.many_errors_threshold = -1
    return options
