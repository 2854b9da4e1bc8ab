"""A language's toolchain, as language.toml describes it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from sandbox_server.worker.errors import RefusedError
from sandbox_server.worker.language import load_language
from sandbox_server.worker.programs.hooks import Hooks
from sandbox_server.worker.programs.judging import ProgramHarness
from sandbox_server.worker.toolchain import fill

_LANGUAGE = """
name = "shell"
source_file = "solution.sh"
suite_file = "suite.sh"
[toolchain]
programs = ["{program}"]
install = "apt-get install it"
version = ["{{{program}}}", "-c", "echo 1.2"]
address_space_bytes = 1000000
[limits]
cpu_time_s = 1
wall_time_s = 2
memory_bytes = 3
processes = 4
output_bytes = 5
file_bytes = 6
open_files = 7
[compile]
command = ["{{{program}}}"]
[compile.limits]
cpu_time_s = 9
[run]
command = ["{{{program}}}", "{{runtime}}/judge.sh"]
[[self_check]]
verdict = "PASSED"
solution = ""
test = ""
"""


def _write(folder: Path, program: str) -> Path:
    (folder / "language.toml").write_text(_LANGUAGE.format(program=program), encoding="ascii")
    return folder


def test_a_folder_with_a_language_toml_is_a_language(tmp_path: Path) -> None:
    language = load_language(_write(tmp_path, "sh"))
    programs = language.programs
    assert programs is not None
    assert language.version == "1.2"
    assert programs.compile is not None
    limits = programs.compile.limits
    assert (limits.cpu_time_s, limits.wall_time_s) == (9, 2)
    assert programs.tools["sh"] == str(Path("/bin/sh").resolve())


@pytest.mark.parametrize("seeds", ["2", "0", "true", '"1"'])
def test_programs_have_one_order_of_hashes_and_no_more_can_be_said(
    tmp_path: Path, seeds: str
) -> None:
    folder = _write(tmp_path, "sh")
    assert load_language(folder).hash_seeds == 1
    path = folder / "language.toml"
    path.write_text(f"hash_seeds = {seeds}\n" + path.read_text("ascii"), encoding="ascii")
    with pytest.raises(RefusedError, match=r"hash_seeds = .* is outside \[1, 1\]"):
        load_language(folder)


def test_a_language_can_use_the_runtime_of_another(tmp_path: Path) -> None:
    for name in ("shell", "other"):
        (tmp_path / name / "runtime").mkdir(parents=True)
    folder = _write(tmp_path / "shell", "sh")
    text = (folder / "language.toml").read_text(encoding="ascii")
    shared = 'runtimes = ["other"]\nlinks = { "/bin/sh" = "{other}/sh" }\naddress_space_bytes'
    text = text.replace("address_space_bytes", shared).replace("{runtime}/judge", "{other}/judge")
    (folder / "language.toml").write_text(text, encoding="ascii")
    language = load_language(folder)
    programs = language.programs
    assert programs is not None
    other = str(tmp_path / "other" / "runtime")
    assert {other, str(folder / "runtime")} <= set(programs.folders)
    harness = ProgramHarness(language, Hooks(language), "")
    assert harness.links == {"/bin/sh": f"{other}/sh"}


def test_a_missing_toolchain_is_named_with_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="no no-such-tool on the PATH: apt-get install it"):
        load_language(_write(tmp_path, "no-such-tool"))


def test_what_is_on_the_path_may_only_lead_to_the_toolchain(tmp_path: Path) -> None:
    tool = tmp_path / "home" / "bin" / "sh"
    tool.parent.mkdir(parents=True)
    tool.symlink_to("/bin/echo")
    (tmp_path / "home" / "lib").mkdir()
    folder = _write(tmp_path, "sh")
    text = (folder / "language.toml").read_text(encoding="ascii")
    home = f'home = ["{{sh}}", "-c", "echo {tmp_path}/home"]\nversion'
    (folder / "language.toml").write_text(text.replace("version", home), encoding="ascii")
    programs = load_language(folder).programs
    assert programs is not None
    assert programs.tools["sh"] == str(Path("/bin/echo").resolve())
    assert f"{tmp_path}/home/lib" in programs.folders
    assert programs.version == "-c echo 1.2"


def test_places_are_filled_and_arguments_spliced() -> None:
    filled = fill(
        ["{g++}", "-I{runtime}", "{arguments}", "x"], {"g++": "/g", "runtime": "/r"}, "ab"
    )
    assert filled == ["/g", "-I/r", "a", "b", "x"]


def test_a_place_that_nothing_fills_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing fills: 'nope'"):
        fill(["{nope}"], {})


def test_every_language_of_this_project_has_a_self_check_that_fails() -> None:
    for path in (Path(__file__).parents[3] / "images").glob("*/language.toml"):
        checks = tomllib.loads(path.read_text(encoding="utf-8"))["self_check"]
        assert {"PASSED", "ASSERTION_FAILED"} < {check["verdict"] for check in checks}, path
