"""`plum execute`: what it reads, what it writes, and that nothing is lost or done twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main as cli
from tests.integration.gateway import Gateway, gateway


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with gateway(tmp_path_factory.mktemp("gateway")) as running:
        yield running


class Command:
    """`plum execute IN --output OUT` in this process, against the shared gateway."""

    def __init__(self, folder: Path, address: str, capfd: pytest.CaptureFixture[str]) -> None:
        self.source = folder / "in.jsonl"
        self.output = folder / "out.jsonl"
        self._address = address
        self._capfd = capfd

    def write(self, *rows: dict[str, Any]) -> None:
        self.source.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def __call__(self, *options: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        argv = ["plum", "execute", str(self.source), "--output", str(self.output)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", [*argv, "--sandbox", self._address, *options])
            with pytest.raises(SystemExit) as ended:
                cli.main()
        out, err = self._capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return ended.value.code, out, err

    def rows(self) -> dict[str, dict[str, Any]]:
        rows = [json.loads(line) for line in self.output.read_text().splitlines()]
        assert len({row["id"] for row in rows}) == len(rows)
        return {row["id"]: row for row in rows}


@pytest.fixture
def execute(tmp_path: Path, shared: Gateway, capfd: pytest.CaptureFixture[str]) -> Command:
    return Command(tmp_path, shared.address, capfd)


def row(name: str, solution: str = "pass", **more: Any) -> dict[str, Any]:
    return {"id": name, "language": "python", "solution": solution, "test": "t"} | more


def test_every_row_gets_its_verdict_and_all_promised_keys(execute: Command) -> None:
    execute.write(
        row("a"),
        row("b", "fail", expect={"verdict": ["PASSED"]}),
        row("c", limits={"processes": 3}),
    )
    code, out, err = execute("--json")
    assert code == 0, err
    assert json.loads(out)["verdicts"] == {"ASSERTION_FAILED": 1, "PASSED": 2}
    rows = execute.rows()
    assert rows.keys() == {"a", "b", "c"}
    keys = "id verdict phase message assertions proof usage stdout stderr truncated input_sha256"
    assert rows["a"].keys() == set(keys.split())
    assert rows["a"]["proof"] == "separated"
    assert rows["b"]["proof"] is None
    assert rows["b"]["assertions"]["failed"] == 1
    assert rows["a"]["usage"] == {"cpu_time_s": 0.25, "wall_time_s": 0.5, "memory_bytes": 4096}


def test_a_rerun_does_only_what_is_missing_or_changed(execute: Command) -> None:
    execute.write(row("a"), row("b"))
    assert execute()[0] == 0
    before = execute.output.read_text()
    execute.write(row("a"), row("b"))
    code, out, _ = execute("--json")
    assert (code, json.loads(out)["reused"]) == (0, 2)
    assert execute.output.read_text() == before
    execute.write(row("a", "fail"), row("b"), row("c"))
    code, out, _ = execute("--json")
    assert (code, json.loads(out)["reused"]) == (0, 1)
    assert {name: got["verdict"] for name, got in execute.rows().items()} == {
        "a": "ASSERTION_FAILED",
        "b": "PASSED",
        "c": "PASSED",
    }


def test_rows_that_cannot_be_executed_are_listed_and_tried_again(
    execute: Command, tmp_path: Path
) -> None:
    execute.write(row("a"), row("b", language="cobol"))
    for _ in range(2):
        code, _, err = execute()
        assert code == 3
        assert "not executed: b: NOT_FOUND: language 'cobol' is not served; served: python" in err
        assert execute.rows()["b"]["verdict"] is None
        assert execute.rows()["b"]["error"]["code"] == "NOT_FOUND"
    execute.write(row("a"), row("b"))
    assert execute()[0] == 0
    assert execute.rows()["b"]["verdict"] == "PASSED"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("{", "not JSON"),
        ("[]", "list, not an object"),
        ("[" * 100_000, "not JSON"),
        ('{"id": "\xff"}', "language is missing"),
        ('{"id": "x", "language": "python", "solution": ""}', "test is missing"),
        (json.dumps(row("x") | {"solution": 7}), "solution = 7 is not text"),
        (json.dumps(row("x" * 300)), "has 300 bytes, outside [1, 256]"),
        (json.dumps(row("ok")), "id 'ok' is that of"),
        (json.dumps(row("x", "\ud800")), "solution holds '\\ud800' at character 0"),
        (json.dumps(row("x", limits={"cpu_time": 1})), "limits.cpu_time is unknown; known: cpu"),
        (json.dumps(row("x", limits=[1])), "limits=[1] is not an object"),
        (json.dumps(row("x", limits={"processes": 0})), "limits.processes=0 is outside [1, 4096]"),
        (json.dumps(row("x", limits={"cpu_time_s": "1"})), "cpu_time_s='1' is not a number"),
        (json.dumps(row("x", limits={"wall_time_s": float("nan")})), "=nan is outside [0.01, 7200"),
        (json.dumps(row("x", limits={"open_files": True})), "open_files=True is not an integer"),
        (json.dumps(row("x", hash_seed="1")), "hash_seed='1' is not an integer"),
        (json.dumps(row("x", hash_seed=True)), "hash_seed=True is not an integer"),
        (json.dumps(row("x", hash_seed=-1)), "hash_seed=-1 is outside [0, 4294967295]"),
    ],
)
def test_bad_input_names_file_line_value_and_bound_before_anything_is_done(
    execute: Command, line: str, says: str
) -> None:
    execute.write(row("before"))
    assert execute()[0] == 0
    kept = execute.output.read_bytes()
    execute.source.write_text(f"{json.dumps(row('ok'))}\n\n{line}\n", encoding="utf-8")
    code, _, err = execute()
    assert code == 2
    assert err.startswith(f"plum: {execute.source}:3: ")
    assert says in err
    assert err.count("\n") == 1
    assert execute.output.read_bytes() == kept


def test_bytes_that_are_no_text_are_bad_input(execute: Command) -> None:
    execute.source.write_bytes(b'{"id": "\xff\xfe"}\n')
    code, _, err = execute()
    assert (code, "in.jsonl:1: is not UTF-8" in err) == (2, True)


def test_files_that_are_not_ours_are_not_touched(execute: Command) -> None:
    execute.write(row("a"))
    for content in ("notes\n", '{"id": "a"}\n', "x"):
        execute.output.write_text(content)
        code, _, err = execute()
        assert (code, "not a row that plum execute wrote" in err) == (2, True)
        assert execute.output.read_text() == content
    execute.output = execute.source
    code, _, err = execute()
    assert (code, "is the input and the output" in err) == (2, True)


def test_an_output_that_is_no_regular_file_is_refused(execute: Command) -> None:
    execute.write(row("a"))
    for device in ("/dev/null", "/dev/full"):
        execute.output = Path(device)
        code, _, err = execute()
        assert (code, f"{device}: is not a regular file" in err) == (2, True)


def test_input_that_is_missing_is_bad_input(execute: Command) -> None:
    code, _, err = execute()
    assert (code, "No such file" in err) == (2, True)
    assert not execute.output.exists()


def test_a_torn_last_line_is_done_again(execute: Command) -> None:
    execute.write(*(row(str(i)) for i in range(5)))
    assert execute()[0] == 0
    whole = execute.output.read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    for cut in (1, 5, len(last) // 2, len(last) - 1):
        execute.output.write_bytes(whole[: len(whole) - len(last) + cut])
        code, out, _ = execute("--json")
        assert (code, json.loads(out)["reused"]) == (0, 4)
        assert len(execute.rows()) == 5


def test_standard_input_and_output_can_be_used(shared: Gateway) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "orchestrator.cli.main", "execute", "-", "--output", "-"),
            *("--sandbox", shared.address),
        ],
        input=json.dumps(row("a")) + "\n" + json.dumps(row("b")) + "\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert {json.loads(line)["id"] for line in done.stdout.splitlines()} == {"a", "b"}


def test_output_that_another_run_writes_is_refused(execute: Command, shared: Gateway) -> None:
    execute.write(row("a"), row("b", "sleep 1000"))
    other = _start(execute, shared)
    try:
        # It holds the file from before its first row on, and is at work on its second.
        while not execute.output.exists() or not execute.output.stat().st_size:
            assert other.poll() is None
            time.sleep(0.01)
        code, _, err = execute()
        assert (code, "another plum execute is writing it" in err) == (2, True)
    finally:
        other.kill()
        other.wait()


def test_killed_and_started_again_it_ends_with_every_row_once(
    execute: Command, shared: Gateway
) -> None:
    execute.write(*(row(str(i), "sleep 0.01") for i in range(300)))
    for rows_before_kill in (1, 80):
        running = _start(execute, shared)
        while not execute.output.exists() or len(execute.rows()) < rows_before_kill:
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
        running.wait()
    code, out, _ = execute("--json")
    assert code == 0
    assert json.loads(out)["verdicts"] == {"PASSED": 300}
    assert execute.rows().keys() == {str(i) for i in range(300)}


def test_unreachable_sandbox_is_exit_three_in_one_line(execute: Command, tmp_path: Path) -> None:
    execute.write(row("a"))
    execute._address = f"unix:{tmp_path}/nobody.sock"
    code, _, err = execute("--retry-for", "0.2")
    assert code == 3
    assert err.startswith("plum: sandbox unix:")
    assert err.count("\n") == 1


def test_json_and_rows_do_not_share_standard_output(execute: Command) -> None:
    execute.write(row("a"))
    execute.output = Path("-")
    code, out, _ = execute("--json")
    assert (code, out) == (2, "")


def _start(execute: Command, shared: Gateway) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "orchestrator.cli.main", "execute", str(execute.source)),
            *("--output", str(execute.output), "--sandbox", shared.address),
        ],
        stderr=subprocess.DEVNULL,
    )
