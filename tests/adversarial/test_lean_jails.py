"""Candidates that are only asked for results of calls run in jails with little in memory."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.worker_process import WorkerProcess, python_that

_LOADED = "import sys\n{0}\ndef loaded():\n    return 'decimal' in sys.modules\n"
#: A table of calls, and a suite that is more.
_TABLE, _JUDGED = "assert loaded() == {0}\n", "for _ in range(1):\n    assert loaded() == {0}\n"

_SEEN = """
import builtins, os, sys
def seen():
    return [
        sys.path, sys.prefix, sys.exec_prefix, sys.argv, sys.getrecursionlimit(),
        sorted(dir(builtins)), sorted(os.environ.items()), os.getcwd(), os.getuid(),
        os.umask(0o22), hash("text"), sys.stdout.encoding, sys.dont_write_bytecode,
        type(exit).__name__, str(copyright)[:9], sorted(os.listdir("/")),
    ]
"""


def test_little_is_in_memory_where_calls_are_all_that_is_asked(worker: WorkerProcess) -> None:
    for suite, loaded in ((_TABLE, False), (_JUDGED, True)):
        result = worker.execute(_LOADED.format(""), suite.format(loaded))
        assert result["verdict"] == "PASSED", result


@pytest.mark.parametrize("line", ["import json", "from json import loads", "import re, json as j"])
def test_what_imports_larger_modules_runs_where_they_are(worker: WorkerProcess, line: str) -> None:
    result = worker.execute(_LOADED.format(line), _TABLE.format(True))
    assert result["verdict"] == "PASSED", result


def test_a_program_sees_the_same_interpreter_in_either_jail(worker: WorkerProcess) -> None:
    shown = []
    for suite in ("assert seen() == 1\n", "for _ in range(1):\n    assert seen() == 1\n"):
        result = worker.execute(_SEEN, suite)
        assert result["verdict"] == "ASSERTION_FAILED", result
        shown.append(result["assertions"]["first_failure"]["left"])
    assert shown[0] == shown[1]
    assert len(ast.literal_eval(shown[0])) == 16


def test_where_no_lean_jail_comes_up_nothing_is_served(tmp_path: Path) -> None:
    ends_at_once = "from sandbox_server.worker import lean\nlean._START = 'raise SystemExit(1)'\n"
    worker = WorkerProcess(1, python=python_that(tmp_path, ends_at_once))
    assert worker.first == {"op": "refused", "reason": "slot 0 died while it was built"}
    assert worker.close() == 1


def test_a_lean_jail_with_less_isolation_than_the_usual_one_serves_nothing(tmp_path: Path) -> None:
    without_a_filter = (
        "from sandbox_server.worker import lean\n"
        "packed = lean._packed\n"
        "def fewer(jail):\n"
        "    told = packed(jail)\n"
        "    return (*told[:3], {**told[3], 'seccomp': 'not today'}, told[4])\n"
        "lean._packed = fewer\n"
    )
    worker = WorkerProcess(1, python=python_that(tmp_path, without_a_filter))
    assert worker.first["op"] == "refused"
    assert worker.first["reason"].endswith("has not what the first one has: ['seccomp']")
    assert worker.close() == 1
