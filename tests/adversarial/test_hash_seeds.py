"""Jails of other hash seeds: as isolated as the usual ones, replaced when they die, and never left."""

from __future__ import annotations

import ast
import contextlib
import os
import re
import signal
import stat
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.adversarial.jailed import lean_zygotes, place_in_jail
from tests.worker_process import WorkerProcess, descendants, parent, python_that

_DEADLINE_S = 60
_ADD = "def add(a, b):\n    return a + b\n"
_TEST = "assert add(1, 2) == 3\n"
_ORDER = "found = list({'ant', 'bee', 'cow', 'dog', 'elk', 'fox'})"
_SHOWN = "assert len(found) > 0\nprint(repr(found))\n"


def until(holds: Callable[[], object], found: Callable[[], object] = lambda: "") -> None:
    """Waits until something holds. found: what there is instead."""
    deadline = time.monotonic() + _DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, found()
        time.sleep(0.02)


def found_under(worker: WorkerProcess, seed: int, body: str = _ORDER) -> Any:
    """What a candidate puts into `found`."""
    (answer,) = answers(worker, worker.start(f"{body}\n", _SHOWN, hash_seed=seed))
    assert answer["op"] == "result", answer
    assert answer["result"]["verdict"] == "PASSED", answer
    return ast.literal_eval(answer["result"]["stdout"].strip())


def answers(worker: WorkerProcess, *seqs: int) -> list[dict[str, Any]]:
    """What comes of requests, in their order."""
    known = {}
    for _ in seqs:
        answer = worker.receive()
        known[answer["seq"]] = answer
    return [known[seq] for seq in seqs]


def seeded_zygotes(worker: WorkerProcess) -> list[int]:
    """Those that were started with another seed, while they wait to be asked for slots."""
    found = []
    for pid in descendants(worker.process.pid):
        with contextlib.suppress(OSError):
            seeded = b"sandbox_server.worker.seeded" in Path(f"/proc/{pid}/cmdline").read_bytes()
            # What is forked from one has the same command line, but is in a jail or has more
            # descriptors than these, the line to the worker and the one to the lean zygote.
            fds = os.listdir(f"/proc/{pid}/fd")
            if seeded and place_in_jail(pid) is None and len(fds) == 3 + 2:
                found.append(pid)
    return found


def wake(worker: WorkerProcess, seed: int) -> None:
    """Has the worker find out which jails of a seed are dead, and make others."""
    for _ in range(3):
        (answer,) = answers(worker, worker.start(_ADD, _TEST, hash_seed=seed))
        if answer["op"] == "result":
            return
    raise AssertionError(answer)


def inits_below(zygote: int) -> list[int]:
    return [pid for pid in descendants(zygote) if place_in_jail(pid) == 1]


def held(worker: WorkerProcess) -> dict[str, int]:
    """What the worker and all below it hold of what could leak."""
    pids = [worker.process.pid, *descendants(worker.process.pid)]
    fds = mounts = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            fds += len(os.listdir(f"/proc/{pid}/fd"))
            mounts += len(Path(f"/proc/{pid}/mounts").read_text().splitlines())
    groups = list(Path("/sys/fs/cgroup").glob(f"**/plum-{worker.process.pid}-*"))
    return {"processes": len(pids), "fds": fds, "mounts": mounts, "groups": len(groups)}


def test_seeds_change_the_order_and_nothing_else_of_a_jail(worker: WorkerProcess) -> None:
    assert worker.first["hash_seeds"] == 3
    orders = [found_under(worker, seed) for seed in (0, 1, 2, 2, 1, 0)]
    assert orders[:3] == orders[:2:-1]
    assert len({tuple(order) for order in orders}) == 3
    about = (
        "import os\nfound = dict(os.environ), os.getpid() > 1, os.getuid(), os.getcwd(),"
        " sorted(os.listdir('/')), sorted(os.listdir('/tmp'))"
    )
    assert found_under(worker, 0, about) == found_under(worker, 1, about)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_lean_jail_has_the_seed_of_the_usual_one(worker: WorkerProcess, seed: int) -> None:
    solution = f"def order():\n    {_ORDER}\n    return found\n"
    test = f"assert order() == {found_under(worker, seed)}\n"
    (answer,) = answers(worker, worker.start(solution, test, hash_seed=seed))
    assert answer["result"]["verdict"] == "PASSED", answer


def test_a_zygote_of_another_seed_has_two_descriptors_and_nothing_of_an_execution(
    worker: WorkerProcess,
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root may look into the memory of a jail's first process")
    secret = uuid.uuid4().hex
    test = f"assert add('{secret}', '') == '{secret}'\n"
    assert worker.execute(_ADD, test)["verdict"] == "PASSED"
    for zygote in seeded_zygotes(worker):  # of tests before this one
        kill_with_jails(zygote)
    wake(worker, 1)
    (answer,) = answers(worker, worker.start(_ADD, test, hash_seed=1))
    assert answer["result"]["verdict"] == "PASSED", answer
    (zygote,) = seeded_zygotes(worker)
    assert stat.S_ISSOCK(os.stat(f"/proc/{zygote}/fd/3").st_mode)
    inits = inits_below(zygote)
    (lean,) = lean_zygotes(descendants(zygote))
    beside = (lean, *inits)
    supervisors = [p for p in descendants(zygote) if parent(p) == zygote and p not in beside]
    assert len(inits) == 2 * len(supervisors)
    assert [pid for pid in (zygote, *beside) if secret.encode() in memory(pid)] == []
    # Or it would be found nowhere, and this would say nothing.
    assert [pid for pid in supervisors if secret.encode() in memory(pid)] == supervisors != []


def memory(pid: int) -> bytes:
    """What can be written in the memory of a process."""
    found = b""
    with open(f"/proc/{pid}/mem", "rb", 0) as file:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw", line)
            if place:
                start, end = (int(number, 16) for number in place.groups())
                with contextlib.suppress(OSError):
                    file.seek(start)
                    found += file.read(end - start)
    return found


def test_many_switches_leave_nothing(worker: WorkerProcess) -> None:
    for seed in (0, 1, 2):
        wake(worker, seed)
        found_under(worker, seed)
    # The worker, two zygotes for each seed, and for each slot a supervisor and two jails with
    # init and the next role.
    whole = 1 + 3 * 2 + 3 * 5
    until(lambda: held(worker)["processes"] == whole, lambda: held(worker))
    before = held(worker)
    for number in range(40):
        found_under(worker, number % 3)
    until(lambda: held(worker) == before, lambda: (before, held(worker)))


def test_a_seed_that_there_is_not_fails_and_the_worker_goes_on(worker: WorkerProcess) -> None:
    (answer,) = answers(worker, worker.start(_ADD, _TEST, hash_seed=3))
    assert (answer["op"], answer["message"]) == ("failed", "hash_seed=3 is outside [0, 2]")
    assert worker.execute(_ADD, _TEST)["verdict"] == "PASSED"


def test_a_zygote_that_is_killed_between_executions_is_replaced(worker: WorkerProcess) -> None:
    wake(worker, 1)
    order = found_under(worker, 1)
    killed = zygote_of(worker, 1)
    kill_with_jails(killed)
    wake(worker, 1)
    assert found_under(worker, 1) == order
    assert zygote_of(worker, 1) != killed
    assert worker.execute(_ADD, _TEST)["verdict"] == "PASSED"


@pytest.mark.parametrize("with_jails", [True, False])
def test_a_zygote_that_is_killed_during_an_execution_makes_no_verdict_wrong(
    worker: WorkerProcess, with_jails: bool
) -> None:
    wake(worker, 2)
    order = found_under(worker, 2)
    killed = zygote_of(worker, 2)
    seconds = 600 if with_jails else 1
    solution = f"import time\ntime.sleep({seconds})\n{_ADD}"
    asleep = worker.start(solution, _TEST, hash_seed=2, wall_time_s=1200)
    if with_jails:
        kill_with_jails(killed)
    else:
        os.kill(killed, signal.SIGKILL)
    (answer,) = answers(worker, asleep)
    if with_jails:
        assert answer["op"] == "failed", answer
    else:  # its jail is none of the zygote's business any more
        assert answer["result"]["verdict"] == "PASSED", answer
    wake(worker, 2)
    assert found_under(worker, 2) == order
    assert worker.execute(_ADD, _TEST)["verdict"] == "PASSED"


def test_a_cancel_reaches_an_execution_whose_jail_is_being_made(worker: WorkerProcess) -> None:
    wake(worker, 1)
    kill_with_jails(zygote_of(worker, 1))
    solution = f"import time\ntime.sleep(600)\n{_ADD}"
    message = ""
    while message != "cancelled":  # before, the dead jail is found out
        seq = worker.start(solution, _TEST, hash_seed=1, wall_time_s=1200)
        worker.send({"op": "cancel", "seq": seq, "test": 0})
        (answer,) = answers(worker, seq)
        assert answer["op"] == "failed", answer
        assert answer["message"] != message, answer
        message = answer["message"]


def test_no_more_executions_go_on_at_a_time_than_there_are_slots() -> None:
    worker = WorkerProcess(2)
    solution = "import time\nfound = [time.monotonic(), time.sleep(0.2), time.monotonic()]\n"
    seqs = [worker.start(solution, _SHOWN, hash_seed=number % 3) for number in range(12)]
    spans = []
    for answer in answers(worker, *seqs):
        assert answer["result"]["verdict"] == "PASSED", answer
        began, _, ended = ast.literal_eval(answer["result"]["stdout"].strip())
        spans.append((began, ended))
    at_one_time = [sum(began <= moment < ended for began, ended in spans) for moment, _ in spans]
    assert max(at_one_time) <= 2
    close(worker)


def test_a_seed_that_nobody_asks_for_any_more_is_let_go(tmp_path: Path) -> None:
    impatient = "from sandbox_server.worker import server\nserver._LOOK_EVERY_S = 0.5"
    worker = WorkerProcess(1, python=python_that(tmp_path, impatient))
    order = found_under(worker, 1)
    until(lambda: not seeded_zygotes(worker))
    until(lambda: len(jails(worker)) == 2)
    assert found_under(worker, 1) == order
    assert found_under(worker, 0) != order
    close(worker)


def test_a_jail_that_is_less_isolated_than_the_usual_ones_runs_nothing(tmp_path: Path) -> None:
    without_a_filter = (
        "from sandbox_server.worker import errors, main\n"
        "def refuse(*_): raise errors.RefusedError('no filter')\n"
        "if module.endswith('seeded'): main.compile_filters = refuse\n"
    )
    worker = WorkerProcess(1, python=python_that(tmp_path, without_a_filter))
    for _ in range(2):
        (answer,) = answers(worker, worker.start(_ADD, _TEST, hash_seed=1))
        assert answer["op"] == "failed", answer
        assert answer["message"] == "hash seed 1: not in force: ['seccomp']"
    assert worker.execute(_ADD, _TEST)["verdict"] == "PASSED"
    close(worker)


def jails(worker: WorkerProcess) -> list[int]:
    return [pid for pid in descendants(worker.process.pid) if place_in_jail(pid) == 1]


def close(worker: WorkerProcess) -> None:
    """Ends the worker; nothing of it is left."""
    below, pid = descendants(worker.process.pid), worker.process.pid
    assert worker.close() == 0
    until(lambda: not any(map(alive, below)))
    assert list(Path("/sys/fs/cgroup").glob(f"**/plum-{pid}-*")) == []


def zygote_of(worker: WorkerProcess, seed: int) -> int:
    (found,) = [
        pid for pid in seeded_zygotes(worker) if f"PYTHONHASHSEED={seed}" in environment(pid)
    ]
    return found


def kill_with_jails(zygote: int) -> None:
    inits = inits_below(zygote)
    for pid in (zygote, *inits):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not any(map(alive, (zygote, *inits))))


def alive(pid: int) -> bool:
    with contextlib.suppress(OSError):
        text = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
        return text.rpartition(")")[2].split()[0] not in "ZX"
    return False


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text("utf-8", errors="replace")
