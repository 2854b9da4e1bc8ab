"""Archives of files between the stages of an execution."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sandbox_server.worker import files

_NAMES = st.text("abc.", min_size=1, max_size=3).filter(lambda name: name.strip("."))


def _memory(data: bytes = b"") -> int:
    fd = os.memfd_create("test", os.MFD_CLOEXEC)
    os.write(fd, data)
    return fd


@given(st.dictionaries(_NAMES, st.binary(max_size=64), max_size=4))
def test_what_is_packed_comes_out_and_is_collected_again(given_files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        archive, collected = _memory(files.pack(given_files)), _memory()
        files.unpack(archive, first)
        files.collect(first, given_files, collected, 1 << 20)
        files.unpack(collected, second)
        found = {path.name: path.read_bytes() for path in Path(second).iterdir()}
        os.close(archive)
        os.close(collected)
    assert found == given_files


@pytest.mark.parametrize("path", ["../x", "/x", "a//b", "a/../../x", ""])
def test_no_path_leads_out_of_the_folder(tmp_path: Path, path: str) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(files.FilesError, match="no path below"):
        files.unpack(_memory(files.pack({path: b"x"})), str(inner))
    assert [entry.name for entry in tmp_path.rglob("*")] == ["inner"]


def test_an_archive_that_breaks_off_is_refused(tmp_path: Path) -> None:
    data = files.pack({"a": b"12345678"})
    with pytest.raises(files.FilesError, match="breaks off"):
        files.unpack(_memory(data[:-1]), str(tmp_path))


def test_more_bytes_than_allowed_are_not_collected(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    with pytest.raises(files.FilesError, match="5 bytes are more than 4"):
        files.collect(str(tmp_path), ["a"], _memory(), 4)


def test_folders_are_collected_whole_links_never_and_what_runs_stays_executable(
    tmp_path: Path,
) -> None:
    (tmp_path / "out" / "deep").mkdir(parents=True)
    program = tmp_path / "out" / "deep" / "program"
    program.write_bytes(b"x")
    program.chmod(0o700)
    (tmp_path / "out" / "link").symlink_to("/etc/passwd")
    collected, target = _memory(), tmp_path / "target"
    files.collect(str(tmp_path), ["out", "absent"], collected, 100)
    files.unpack(collected, str(target))
    found = [path for path in target.rglob("*") if path.is_file()]
    assert [str(path.relative_to(target)) for path in found] == ["out/deep/program"]
    assert os.access(found[0], os.X_OK)
