from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from sandbox_server.worker.cgroups import SlotCgroup
from sandbox_server.worker.errors import JailError
from sandbox_server.worker.orders import Ended
from sandbox_server.worker.stage import Meter

_LIMIT_BYTES = 1000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A group of v2 that nobody manages."""
    (tmp_path / "cpu.stat").write_text("usage_usec 0\n")
    (tmp_path / "memory.current").write_text("100\n")
    (tmp_path / "memory.peak").write_text("5000\n")
    _happened(tmp_path, kills=1, at_limit=1)
    return tmp_path


def _happened(folder: Path, *, kills: int, at_limit: int) -> None:
    (folder / "memory.events").write_text(f"max 9\noom {at_limit}\noom_kill {kills}\n")


def _meter(folder: Path) -> Meter:
    group = SlotCgroup(2, dict.fromkeys(("memory", "pids", "cpu"), folder))
    return Meter(os.getpid(), group, shared_bytes=0)


def test_who_is_killed_at_its_own_limit_is_over_it(folder: Path) -> None:
    meter = _meter(folder)
    assert not meter.over_memory(_LIMIT_BYTES)
    _happened(folder, kills=2, at_limit=2)
    assert meter.over_memory(_LIMIT_BYTES)


def test_who_is_killed_since_others_took_the_memory_gets_no_verdict(folder: Path) -> None:
    meter = _meter(folder)
    _happened(folder, kills=2, at_limit=1)
    with pytest.raises(JailError, match="memory ran out around the jail"):
        meter.over_memory(_LIMIT_BYTES)


def test_where_the_kernel_forgets_no_peak_the_most_that_was_seen_is_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, "before Linux 6.12")

    monkeypatch.setattr(os, "pwrite", refuse)
    meter = _meter(folder)
    for now in (300, 700, 200):
        (folder / "memory.current").write_text(f"{now}\n")
        meter.over_memory(_LIMIT_BYTES)
    ended = Ended(cpu_time_s=0.0, peak_process_bytes=400, file_bytes=0, exits=[])
    assert meter.peak_bytes(ended) == 700
    (folder / "memory.peak").write_text("6000\n")
    assert meter.peak_bytes(ended) == 6000
