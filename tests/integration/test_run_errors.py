"""Lost services and full disks: one clear line, a documented exit code, nothing lost."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from orchestrator.store.database import open_reader
from tests.integration.endpoint import Fault, serve_endpoint
from tests.integration.http_server import Reply
from tests.integration.run_helpers import (
    count,
    dataset,
    labels,
    plum,
    stages_of,
    write_instructions,
    write_recipe,
)

#: Nothing listens here.
NOWHERE = "http://127.0.0.1:9/v1"


def test_an_unreachable_generator_is_one_line_and_loses_nothing(
    tmp_path: Path, sandbox_address: str
) -> None:
    write_instructions(tmp_path, 3)
    recipe = write_recipe(tmp_path, NOWHERE, sandbox_address)
    recipe.write_text(recipe.read_text().replace("max_retries = 2", "max_retries = 0"))
    done = plum("run", recipe, "--run-dir", tmp_path / "run")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"plum: generation: {NOWHERE} (teacher): ")
    # Where the generator is to be found is no part of what a run is: it may move.
    with serve_endpoint() as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address)
        done = plum("run", recipe, "--run-dir", tmp_path / "run")
    assert done.returncode == 0, done.stderr


def test_answers_until_a_failure_are_kept_and_never_asked_again(
    tmp_path: Path, sandbox_address: str
) -> None:
    write_instructions(tmp_path, 8)
    with serve_endpoint(lambda n, body: (401, "", {}) if n >= 7 else None) as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address)
        done = plum("generate", recipe, "--run-dir", tmp_path / "run")
        assert done.returncode == 1
        assert "status 401" in done.stderr
        with open_reader(tmp_path / "run") as db:
            assert count(db, "answers") == 7
        endpoint.fault = None
        done = plum("generate", "--run-dir", tmp_path / "run", "--json")
        assert done.returncode == 0, done.stderr
        assert sorted(endpoint.answered.values()) == [1] * 16
    assert stages_of(done)["generate"]["counts"]["answers"] == 16


def test_the_bound_on_the_cost_gives_4_and_a_raised_one_goes_on(
    tmp_path: Path, sandbox_address: str
) -> None:
    write_instructions(tmp_path, 4)
    with serve_endpoint() as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address)
        # An answer costs 20 USD and may cost 25.
        bound = (
            "[generation]\nmax_tokens = 25\nusd_per_million_prompt_tokens = 0\n"
            "usd_per_million_completion_tokens = 1e6\nmax_cost_usd = 70\n"
        )
        recipe.write_text(recipe.read_text().replace("[generation]\n", bound))
        done = plum("run", recipe, "--run-dir", tmp_path / "run")
        assert done.returncode == 4
        assert "max_cost_usd = 70" in done.stderr.splitlines()[-1]
        assert endpoint.answered.total() == 3
        recipe.write_text(recipe.read_text().replace("= 70", "= 700"))
        assert plum("generate", recipe, "--run-dir", tmp_path / "run").returncode == 0
        # The newest bound is remembered.
        done = plum("run", "--run-dir", tmp_path / "run", "--json")
        assert done.returncode == 0, done.stderr
        assert sorted(endpoint.answered.values()) == [1] * 8
    assert stages_of(done)["generate"]["notes"] == ["cost: 160.000000 USD of at most 700 USD"]


def misbehaving(over: threading.Event) -> Fault:
    """The first four requests for every prompt go wrong, each in another way than the one before.

    over: until then, one of them hangs.
    """
    faults: list[Reply] = [
        (429, "slow down", {"Retry-After": "0"}),
        (500, "oops", {}),
        (200, None, {}),
        (200, "<html>proxy</html>", {"Content-Type": "text/html"}),
        (200, '{"choices": [', {"Content-Type": "application/json"}),
        (504, "too late", {}),
    ]
    order = cycle(faults)
    seen: Counter[str] = Counter()
    lock = threading.Lock()
    hung = threading.Event()

    def fault(number: int, body: dict[str, Any]) -> Reply | None:
        with lock:
            seen[body["messages"][-1]["content"]] += 1
            if body["model"] != "teacher" or seen[body["messages"][-1]["content"]] > 4:
                return None
            reply = next(order)
            hangs = reply[0] == 504 and not hung.is_set()
            if hangs:
                hung.set()
        if hangs:
            over.wait()  # longer than the client does
        return reply

    return fault


def test_a_generator_that_misbehaves_changes_nothing_and_is_paid_once(
    tmp_path: Path, sandbox_address: str
) -> None:
    files = []
    over = threading.Event()
    for name, fault in (("calm", None), ("rough", misbehaving(over))):
        folder = tmp_path / name
        folder.mkdir()
        write_instructions(folder, 6)
        with serve_endpoint(fault) as endpoint:
            recipe = write_recipe(folder, endpoint.url, sandbox_address)
            text = recipe.read_text().replace("max_retries = 2", "max_retries = 5")
            recipe.write_text(text.replace("[generation]\n", "[generation]\ntimeout_s = 4\n"))
            done = plum("run", recipe, "--run-dir", folder / "run")
            assert done.returncode == 0, done.stderr
            assert sorted(endpoint.answered.values()) == [1] * 12
            assert (endpoint.requests >= 12 + 6 * 4) == (fault is not None)
        files.append({**dataset(folder / "run"), "README.md": b""})
    over.set()
    assert files[0] == files[1]


def test_a_sandbox_that_cannot_be_reached_gives_3_and_a_rerun_goes_on(
    tmp_path: Path, sandbox_address: str
) -> None:
    write_instructions(tmp_path, 2)
    with serve_endpoint() as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, f"unix:{tmp_path}/none.sock")
        done = plum("run", recipe, "--run-dir", tmp_path / "run")
        assert done.returncode == 3
        assert "none.sock" in done.stderr.splitlines()[-1]
        asked = endpoint.requests
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address)
        done = plum("run", recipe, "--run-dir", tmp_path / "run")
        assert done.returncode == 0, done.stderr
        assert endpoint.answered.total() == 4
        assert endpoint.requests > asked
    assert len(labels(tmp_path / "run")) == 12


def test_executions_that_did_not_take_place_give_3_and_never_a_label(
    tmp_path: Path, sandbox_address: str
) -> None:
    write_instructions(tmp_path, 2)
    with serve_endpoint() as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address)
        recipe.write_text(recipe.read_text().replace("seed = 3", 'seed = 3\nlanguage = "cobol"'))
        done = plum("run", recipe, "--run-dir", tmp_path / "run", "--json")
    assert done.returncode == 3, done.stderr
    stages = stages_of(done)
    assert list(stages) == ["load", "generate", "filter"]
    assert stages["filter"]["complete"] is False
    assert stages["filter"]["counts"]["not executed"] == 4
    assert any("cobol" in note for note in stages["filter"]["notes"])
    for command in ("sample", "export"):
        done = plum(command, "--run-dir", tmp_path / "run")
        assert done.returncode == 1
        assert "run `plum" in done.stderr
    with open_reader(tmp_path / "run") as db:
        assert count(db, "labels") == 0


def refuse(*numbers: int) -> Fault:
    """Refuses these problems' prompts to the policy, as a server does whose context they exceed."""

    def fault(number: int, body: dict[str, Any]) -> Reply | None:
        asked = body["messages"][-1]["content"]
        if body["model"] == "policy" and any(f"adds {n} to" in asked for n in numbers):
            return 400, '{"error": {"message": "4100 tokens exceed the context of 4096"}}', {}
        return None

    return fault


def test_a_prompt_that_is_too_long_costs_its_own_problem_and_is_listed(
    tmp_path: Path, sandbox_address: str
) -> None:
    write_instructions(tmp_path, 3)
    run = tmp_path / "run"
    with serve_endpoint(refuse(1)) as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address, k=2)
        done = plum("run", recipe, "--run-dir", run, "--json")
        assert done.returncode == 0, done.stderr
        stage = stages_of(done)["sample"]
        assert stage["counts"] == {"problems": 3, "samples": 4, "prompts refused": 1}
        assert "'p1' gets no samples: " in stage["notes"][0]
        assert "4100 tokens" in stage["notes"][0]
        counts = json.loads(plum("status", "--run-dir", run, "--json").stdout)["counts"]
        assert {"name": "prompts refused", "done": 1, "total": None} in counts
        assert plum("report", "--run-dir", run).returncode == 0
        page = (run / "report.html").read_text()
        assert "1 prompts refused" in page
        assert "4100 tokens exceed the context" in page
        assert {row[0] for row in labels(run)} == {"p0", "p2"}
        # A server with a longer context takes it, and then nothing is left of the refusal.
        endpoint.fault = None
        done = plum("run", "--run-dir", run, "--json")
        assert stages_of(done)["sample"]["counts"] == {"problems": 3, "samples": 6}


def test_a_policy_that_refuses_every_prompt_stops_the_run(
    tmp_path: Path, sandbox_address: str
) -> None:
    write_instructions(tmp_path, 3)
    with serve_endpoint(refuse(0, 1, 2)) as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address, k=2)
        done = plum("run", recipe, "--run-dir", tmp_path / "run")
    assert done.returncode == 1
    assert "the policy refuses every prompt; problem " in done.stderr.splitlines()[-1]


def test_a_full_disk_is_one_line_and_a_rerun_goes_on(tmp_path: Path, sandbox_address: str) -> None:
    write_instructions(tmp_path, 3)
    limit = tmp_path / "limit.py"
    # A limit on the size of files is what a full disk looks like to SQLite.
    limit.write_text(
        "import resource, signal, sys\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "from orchestrator.cli.main import main\n"
        "main()\n"
    )
    rows = [{"id": f"p{n}", "instruction": f"adds {n} to " + "x" * 5000} for n in range(60)]
    (tmp_path / "instructions.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    with serve_endpoint() as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address, k=1)
        command = [
            sys.executable,
            str(limit),
            "run",
            str(recipe),
            "--run-dir",
            str(tmp_path / "run"),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert "what was stored before is kept" in done.stderr.splitlines()[-1]
        done = plum("run", recipe, "--run-dir", tmp_path / "run")
        assert done.returncode == 0, done.stderr


#: Interrupts itself as soon as it waits for answers, or stores one.
INTERRUPTED = """
import signal, sys
from orchestrator.generation import provider
from orchestrator.stages import answering
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
place, name = {"wait": (provider, "wait"), "store": (answering.Answering, "take")}[sys.argv.pop(1)]
whole = getattr(place, name)
def interrupted(*args):
    setattr(place, name, whole)
    signal.raise_signal(signal.SIGINT)
    return whole(*args)
setattr(place, name, interrupted)
from orchestrator.cli.main import main
main()
"""


@pytest.mark.parametrize(("moment", "under_way"), [("wait", 4), ("store", 3)])
def test_an_interrupt_keeps_the_answers_that_are_under_way(
    tmp_path: Path, sandbox_address: str, moment: str, under_way: int
) -> None:
    write_instructions(tmp_path, 10)
    interrupted = threading.Event()

    def after_the_interrupt(number: int, body: dict[str, Any]) -> Reply | None:
        if moment == "wait" or number > 1:
            interrupted.wait()
        return None

    with serve_endpoint(after_the_interrupt) as endpoint:
        recipe = write_recipe(tmp_path, endpoint.url, sandbox_address)
        arguments = ["generate", str(recipe), "--run-dir", str(tmp_path / "run")]
        with subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, moment, *arguments],
            stderr=subprocess.PIPE,
            text=True,
        ) as run:
            assert run.stderr is not None
            while f"{under_way} answers under way" not in (line := run.stderr.readline()):
                assert line, "it ended without a word of the interrupt"
            interrupted.set()
            run.communicate()
        assert run.returncode == 130
        assert endpoint.answered.total() == 4
        with open_reader(tmp_path / "run") as db:
            assert count(db, "answers") == 4
        done = plum("generate", "--run-dir", tmp_path / "run")
        assert done.returncode == 0, done.stderr
        assert sorted(endpoint.answered.values()) == [1] * 20
