from __future__ import annotations

import os
from pathlib import Path

from sandbox_server.worker import rootfs, writable


def test_a_folder_is_emptied_however_deep_it_goes_and_whatever_is_in_it(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "link").symlink_to(outside)
    (scratch / "file").touch()
    (scratch / os.fsdecode(b"\xff\n")).mkdir()
    os.mkfifo(scratch / "pipe")
    before = os.getcwd()
    os.chdir(scratch)
    try:
        for _ in range(3000):  # names of a hundred bytes: no path to the last one is allowed
            os.mkdir("d" * 100)
            os.chdir("d" * 100)
    finally:
        os.chdir(before)
    writable._empty(str(scratch))
    assert os.listdir(scratch) == []
    assert (outside / "kept").exists()


def test_a_machine_that_is_no_container_has_no_prepared_root() -> None:
    assert not rootfs.is_prepared()
