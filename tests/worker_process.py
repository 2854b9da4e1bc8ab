"""A real worker as a child process, spoken to over its own protocol."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox_server.worker import protocol

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "images"

_ENVIRONMENT = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class Installation:
    """What a worker needs, outside of this checkout and readable by everybody."""

    folder: Path
    #: Who the worker is to be; None: who this is.
    user: int | None

    @property
    def language(self) -> Path:
        """Folder of the language."""
        return self.folder / "images" / "python"

    @classmethod
    def make(cls, folder: Path, user: int | None) -> Installation:
        """Copies worker, language and libseccomp's binding into `folder`."""
        import pyseccomp

        leave_out = shutil.ignore_patterns("__pycache__")
        for part in ("sandbox_server/worker", "images/python"):
            shutil.copytree(ROOT / part, folder / part, ignore=leave_out)
        (folder / "sandbox_server" / "__init__.py").touch()
        shutil.copy(pyseccomp.__file__, folder)
        folder.chmod(0o755)
        return cls(folder, user)


class WorkerProcess:
    """A worker of `language`; `slots` executions at one time."""

    def __init__(
        self,
        slots: int = 1,
        *arguments: str,
        installation: Installation | None = None,
        python: str | Path = sys.executable,
        language: str = "python",
    ) -> None:
        folder = installation.language if installation else IMAGES / language
        user = installation.user if installation else None
        self._socket, theirs = socket.socketpair()
        self._frames = self._socket.makefile("rb")
        self._numbers = itertools.count(1)
        with theirs:
            self.process = subprocess.Popen(
                [
                    *(str(python), "-s"),
                    *("-m", "sandbox_server.worker", "--socket-fd", str(theirs.fileno())),
                    *("--language-dir", str(folder)),
                    *("--slots", str(slots), *arguments),
                ],
                pass_fds=[theirs.fileno()],
                env=_ENVIRONMENT
                | ({"PYTHONPATH": str(installation.folder)} if installation else {}),
                user=user,
                group=user,
                extra_groups=None if user is None else [],
                cwd=installation.folder if installation else ROOT,
                start_new_session=True,
            )
        self.first = self.receive()

    def receive(self) -> dict[str, Any]:
        """The next message of the worker."""
        message = protocol.read(self._frames)
        assert message is not None, "the worker is gone"
        return message

    def send(self, message: dict[str, Any]) -> None:
        """Sends one message."""
        self._socket.sendall(protocol.encode(message))

    def start(self, solution: str, *tests: str, hash_seed: int = 0, **limits: Any) -> int:
        """Begins an execution and returns its number."""
        seq = next(self._numbers)
        self.send(
            {
                "op": "execute",
                "seq": seq,
                "solution": solution,
                "tests": list(tests),
                "limits": {**self.first["default_limits"], **limits},
                **({"hash_seed": hash_seed} if hash_seed else {}),
            }
        )
        return seq

    def execute(self, solution: str, test: str, **limits: Any) -> dict[str, Any]:
        """The result of one execution."""
        (result,) = self.execute_together(solution, test, **limits)
        return result

    def execute_together(self, solution: str, *tests: str, **limits: Any) -> list[dict[str, Any]]:
        """The results of one request with several suites, in their order."""
        seq = self.start(solution, *tests, **limits)
        results = []
        for _ in tests:
            answer = self.receive()
            assert answer["seq"] == seq
            assert answer["op"] == "result", answer
            results.append(answer["result"])
        return results

    def outcome(self, body: str, **limits: Any) -> str:
        """What the candidate `body`, which assigns `found`, puts there, as text: the same in either
        jail of the slot."""
        solution = f"{body}\n"
        result = self.execute(solution, "assert repr(found)\nprint(repr(found))\n", **limits)
        assert result["verdict"] == "PASSED", result
        text: str = result["stdout"].strip()
        # A suite that is a table of calls, which has the lean one.
        asked = f"{solution}\ndef found_as_text():\n    return repr(found)\n"
        result = self.execute(asked, f"assert found_as_text() == {text!r}\n", **limits)
        assert result["verdict"] == "PASSED", result
        return text

    def close(self) -> int:
        """Hangs up and waits for the worker to end."""
        # shutdown, not close alone: the reader holds the socket open too.
        self._socket.shutdown(socket.SHUT_RDWR)
        self._frames.close()
        self._socket.close()
        return self.process.wait(timeout=60)


def python_that(folder: Path, does: str) -> Path:
    """An interpreter that does something before it runs the module that it is started with."""
    python = folder / "python"
    python.write_text(
        f"#!{sys.executable}\n"
        "import runpy, sys\n"
        "from sandbox_server.worker import forking\n"
        "forking.hold_back()\n"
        "del sys.argv[:sys.argv.index('-m') + 1]\n"
        "module = sys.argv[0]\n"
        f"{does}\n"
        "runpy.run_module(module, run_name='__main__', alter_sys=True)\n"
    )
    python.chmod(0o755)
    return python


def descendants(pid: int) -> list[int]:
    """Processes below `pid`, from the nearest to the farthest."""
    # Not the kernel's lists of children: those may leave some out while others end.
    children: dict[int | None, list[int]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        children.setdefault(parent(int(name)), []).append(int(name))
    found: list[int] = []
    for current in itertools.chain([pid], found):
        found += children.get(current, [])
    return found


def parent(pid: int) -> int | None:
    """The parent of process `pid`; None where it has ended."""
    with contextlib.suppress(OSError):
        # The name in parentheses is the process's own choice and may hold anything.
        text = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace")
        return int(text.rpartition(")")[2].split()[1])
    return None
