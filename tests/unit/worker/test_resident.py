"""A program that stays: asked over a real socket in a real process, without a jail around it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

import pytest

from sandbox_server.worker import resident
from sandbox_server.worker.errors import Cancelled
from sandbox_server.worker.jail_contract import Exit, Program
from sandbox_server.worker.program import TOO_MUCH_TO_COLLECT
from sandbox_server.worker.protocol import Limits
from sandbox_server.worker.resident import Interrupt, Resident
from sandbox_server.worker.stage import Meter

LIMITS = Limits(
    cpu_time_s=5.0,
    wall_time_s=60.0,
    memory_bytes=1 << 28,
    processes=16,
    output_bytes=1 << 10,
    file_bytes=1 << 16,
    open_files=64,
)
#: Answers with the request as text and its own process as archive; some requests it knows.
PROGRAM = """
import os, socket, struct, sys
line = socket.socket(fileno=int(sys.argv[1]))
read = line.makefile("rb")
while head := read.read(4):
    request = read.read(struct.unpack(">I", head)[0])
    if request == b"end":
        sys.exit(9)
    if request == b"hang":
        read.read()
    text = request[:1000]
    body = b"\\0" + struct.pack(">I", len(text)) + text + str(os.getpid()).encode()
    if request == b"short":
        body = b"\\0\\0"
    if request == b"long":
        body = b"\\0" * (1 << 20)
    line.sendall(struct.pack(">I", len(body)) + body)
"""


class FakeMeter:
    """Says that so much more CPU time is gone each time that it is asked."""

    step_s = 0.0
    cpu_s = 0.0
    memory_bytes = 0

    def cpu_time_s(self) -> float:
        self.cpu_s += self.step_s
        return self.cpu_s

    def waited_s(self) -> float:
        return 0.0

    def over_memory(self, limit_bytes: int) -> bool:
        return False

    def sampled_peak_bytes(self) -> int:
        return self.memory_bytes


class ProcessHost:
    """Runs the program as a child process."""

    def __init__(self) -> None:
        self.meter = FakeMeter()
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    def start_program(self, program: Program, limits: Limits) -> Meter:
        (fd,) = program.fds
        argv = [*program.argv, str(fd)]
        self.process = subprocess.Popen(argv, pass_fds=[fd], stdin=subprocess.DEVNULL)
        self.starts += 1
        return cast(Meter, self.meter)

    def stop_program(self) -> Exit:
        assert self.process is not None
        try:
            status = self.process.wait(1 if self.process.poll() is None else 0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return Exit(None, None)
        return Exit(status, None)


@pytest.fixture
def host() -> ProcessHost:
    return ProcessHost()


@pytest.fixture
def asked(host: ProcessHost) -> Iterator[Resident]:
    resident = Resident(host)
    yield resident
    if host.process is not None:
        resident.end()


@pytest.fixture
def stop() -> Iterator[tuple[Interrupt, int]]:
    """Never interrupts, until somebody writes to the descriptor beside it."""
    read, write = os.pipe()
    yield Interrupt(read, lambda: True), write
    os.close(read)
    os.close(write)


def _ask(asked: Resident, stop: tuple[Interrupt, int], request: bytes, **limits: Any) -> Any:
    program = Program(argv=[sys.executable, "-c", PROGRAM])
    return asked.ask(program, request, replace(LIMITS, **limits), stop[0])


def test_requests_are_answered_by_one_process(
    host: ProcessHost, asked: Resident, stop: tuple[Interrupt, int]
) -> None:
    answers = [_ask(asked, stop, text) for text in (b"one", b"t" * 500_000, b"")]
    assert [a.text for a in answers] == [b"one", b"t" * 1000, b""]
    assert {a.archive for a in answers} == {answers[0].archive}
    assert {(a.exit, a.limit) for a in answers} == {(Exit(0, None), None)}


def test_a_program_that_ends_is_no_success_and_is_there_again(
    host: ProcessHost, asked: Resident, stop: tuple[Interrupt, int]
) -> None:
    assert _ask(asked, stop, b"end").exit == Exit(9, None)
    assert _ask(asked, stop, b"again").text == b"again"
    assert host.starts == 2


@pytest.mark.parametrize(
    ("request_", "status"), [(b"short", 1), (b"long", TOO_MUCH_TO_COLLECT)], ids=["short", "long"]
)
def test_an_answer_of_another_form_is_no_success(
    host: ProcessHost, asked: Resident, stop: tuple[Interrupt, int], request_: bytes, status: int
) -> None:
    answer = _ask(asked, stop, request_)
    assert (answer.exit, answer.archive) == (Exit(status, None), b"")


def test_a_request_that_reaches_a_limit_costs_the_program_its_life(
    host: ProcessHost, asked: Resident, stop: tuple[Interrupt, int]
) -> None:
    host.meter.step_s = 1.0
    assert _ask(asked, stop, b"hang").limit == "cpu"
    host.meter.step_s = 0.0
    assert _ask(asked, stop, b"hang", wall_time_s=0.1).limit == "wall"
    assert _ask(asked, stop, b"next").text == b"next"
    assert host.starts == 3


def test_the_limit_of_a_request_does_not_count_earlier_ones(
    host: ProcessHost, asked: Resident, stop: tuple[Interrupt, int]
) -> None:
    for _ in range(3):
        assert _ask(asked, stop, b"x").limit is None
        host.meter.cpu_s += LIMITS.cpu_time_s
    assert host.starts == 1


def test_a_cancelled_request_leaves_nothing_for_the_next(
    host: ProcessHost, asked: Resident, stop: tuple[Interrupt, int]
) -> None:
    os.write(stop[1], b"x")
    with pytest.raises(Cancelled):
        _ask(asked, stop, b"hang")
    os.read(stop[0].fd, 1)
    assert _ask(asked, stop, b"next").text == b"next"


def test_the_program_is_started_afresh_now_and_then(
    host: ProcessHost, asked: Resident, stop: tuple[Interrupt, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "_MOST_REQUESTS", 2)
    for _ in range(5):
        _ask(asked, stop, b"x")
    assert host.starts == 3


def test_a_program_that_has_grown_is_started_afresh(
    host: ProcessHost, asked: Resident, stop: tuple[Interrupt, int]
) -> None:
    _ask(asked, stop, b"x")
    host.meter.memory_bytes = LIMITS.memory_bytes
    _ask(asked, stop, b"x")
    assert host.starts == 2
