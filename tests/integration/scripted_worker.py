"""A worker that runs nothing: the first word of a solution says what to answer.

Speaks the real protocol over a real socket, so that the gateway can be tested
for everything that goes right and wrong with workers without a jail.

    pass | fail | error      a result with that verdict
    sleep SECONDS            PASSED after that long; a cancel ends it at once
    echo                     PASSED, with the suite as standard output
    limits                   PASSED, with the limits as standard output
    die                      the worker ends without an answer
    die-once PATH            the same, unless PATH exists; makes PATH
    forge                    a result with a verdict that does not exist
    noise                    bytes that are no frame
    broken                   answers `failed`
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import threading
from pathlib import Path
from typing import Any

from sandbox_server.worker import protocol

LIMITS = protocol.Limits(10.0, 30.0, 512 << 20, 64, 1 << 20, 64 << 20, 256)


def result(verdict: str = "PASSED", stdout: str = "") -> dict[str, Any]:
    passed = verdict == "PASSED"
    failure = {"line": 1, "expression": "f() == 1", "left": "2", "right": "1"}
    return {
        "verdict": verdict,
        "phase": "TEST",
        "message": "" if passed else "it did not work",
        "assertions": {
            "passed": int(passed),
            "failed": int(verdict == "ASSERTION_FAILED"),
            "first_failure": failure if verdict == "ASSERTION_FAILED" else None,
        },
        "proof": "separated" if passed else None,
        "usage": {"cpu_time_s": 0.25, "wall_time_s": 0.5, "memory_bytes": 4096},
        "stdout": stdout,
        "stderr": "",
        "stdout_bytes": len(stdout),
        "stderr_bytes": 0,
    }


class Worker:
    def __init__(self, connection: socket.socket, slots: int) -> None:
        self._connection = connection
        self._slots = slots
        self._lock = threading.Lock()
        self._running: dict[int, threading.Event] = {}

    def serve(self) -> None:
        stream = self._connection.makefile("rb")
        self.say(
            {
                "op": "ready",
                "language": "python",
                "version": "scripted 1",
                "slots": self._slots,
                "tests": 1,
                "default_limits": vars(LIMITS),
                "isolation": [{"name": "none", "in_force": False, "detail": "runs nothing"}],
            }
        )
        while (message := protocol.read(stream)) is not None:
            seq = message["seq"]
            if message["op"] == "cancel":
                if seq in self._running:
                    self._running[seq].set()
                continue
            if len(self._running) >= self._slots:
                os._exit(99)  # the gateway has promised never to do this
            self._running[seq] = threading.Event()
            word, _, rest = message.get("solution", "").partition(" ")
            if message["op"] == "check":
                self.check(seq, message["candidates"])
            elif word == "sleep":
                threading.Thread(target=self.sleep, args=(seq, float(rest)), daemon=True).start()
            else:
                self.answer(seq, message, word, rest)

    def say(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._connection.sendall(protocol.encode(message))

    def finish(self, seq: int, **answer: Any) -> None:
        del self._running[seq]
        self.say({"seq": seq, **answer})

    def sleep(self, seq: int, seconds: float) -> None:
        if self._running[seq].wait(seconds):
            self.finish(seq, op="failed", message="cancelled")
        else:
            self.finish(seq, op="result", result=result())

    def check(self, seq: int, candidates: list[dict[str, str]]) -> None:
        results = [
            {"id": item["id"], "status": "CHECKED", "diagnostics": [], "message": ""}
            for item in candidates
        ]
        self.finish(seq, op="checked", results=results)

    def answer(self, seq: int, message: dict[str, Any], word: str, rest: str) -> None:
        match word:
            case "fail":
                self.finish(seq, op="result", result=result("ASSERTION_FAILED"))
            case "error":
                self.finish(seq, op="result", result=result("RUNTIME_ERROR"))
            case "echo":
                self.finish(seq, op="result", result=result(stdout=message["tests"][0]))
            case "limits":
                self.finish(seq, op="result", result=result(stdout=json.dumps(message["limits"])))
            case "die":
                os._exit(1)
            case "die-once" if not Path(rest).exists():
                Path(rest).touch()
                os._exit(1)
            case "forge":
                self.finish(seq, op="result", result=result() | {"verdict": "VERY_PASSED"})
            case "noise":
                self._connection.sendall(b"\xff" * 64)
            case "broken":
                self.finish(seq, op="failed", message="disk full")
            case _:
                self.finish(seq, op="result", result=result())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket-fd", type=int)
    parser.add_argument("--socket", type=Path, help="listen here, for one gateway")
    parser.add_argument("--language-dir")
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--require-isolation")
    options = parser.parse_args()
    if options.socket is None:
        connection = socket.socket(fileno=options.socket_fd)
    else:
        with socket.socket(socket.AF_UNIX) as listener:
            options.socket.unlink(missing_ok=True)
            listener.bind(str(options.socket))
            listener.listen(1)
            connection, _ = listener.accept()
            options.socket.unlink()
    if options.require_isolation == "impossible":
        reason = "no pid namespace: this worker has none"
        connection.sendall(protocol.encode({"op": "refused", "reason": reason}))
        return
    Worker(connection, options.slots).serve()


if __name__ == "__main__":
    main()
