"""A task compiled and run as its author would: with the toolchain alone, or in a fresh container.

One file, the toolchain's own defaults, no isolation. What a user would have made before is
there: Go's build cache is warm, and Rust's crates are built.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sandbox_server.worker.language import load_language
from sandbox_server.worker.programs.hooks import Hooks
from sandbox_server.worker.programs.prepared import find_or_prepare
from tests.bench.tasks import Task

_IMAGES = Path(__file__).parents[2] / "images"
_IN_IMAGE = "/opt/plum/images/{language}/prepared"
#: The one file, and what is said in a shell in its folder.
_COMMANDS = {
    "javascript": ("program.js", "node program.js"),
    "typescript": ("program.ts", "tsc program.ts && node program.js"),
    "cpp": ("program.cpp", "g++ -std=c++17 program.cpp -o program && ./program"),
    "java": ("Main.java", "javac Main.java && java -ea Main"),
    "go": ("program_test.go", "go test program_test.go"),
    "rust": (
        "program.rs",
        'crates="-L dependency=$CRATES"; for name in rand regex md5; do'
        ' crates="$crates --extern $name=$(ls $CRATES/lib$name-*.rlib)"; done;'
        " rustc --edition 2021 $crates --test program.rs && ./program",
    ),
}
_GO = {"GO111MODULE": "off", "GOPATH": "/usr/share/gocode"}


class Plain:
    """Runs tasks of one language as plain processes."""

    def __init__(self, language: str, scratch: Path) -> None:
        """scratch: a folder for files of its own."""
        self._file, self._command = _COMMANDS[language]
        self._scratch = scratch
        self._environment = {**os.environ, **_GO, "GOCACHE": str(scratch / "cache")}
        if language == "rust":
            read = load_language(_IMAGES / language)
            self._environment["CRATES"] = find_or_prepare(read, Hooks(read)) + "/libraries"

    def run(self, task: Task) -> None:
        """Compiles and runs `task`.

        Raises:
            CalledProcessError: it does not pass.
        """
        with self._folder(task) as folder:
            _call(["sh", "-c", self._command], folder, self._environment)

    def _folder(self, task: Task) -> tempfile.TemporaryDirectory[str]:
        folder = tempfile.TemporaryDirectory(dir=self._scratch)
        text = f"{task.solution}\n{task.test}"
        Path(folder.name, self._file).write_text(text, encoding="utf-8")
        return folder


class Container(Plain):
    """Runs each task in a container of its own, of the image that the sandbox uses."""

    def __init__(self, language: str, scratch: Path) -> None:
        super().__init__(language, scratch)
        cache = scratch / "container-cache"
        cache.mkdir(exist_ok=True)
        cache.chmod(0o777)
        crates = _IN_IMAGE.format(language=language) + "/libraries"
        given = {**_GO, "GOCACHE": "/cache", "HOME": "/tmp", "CRATES": crates}
        given["CGO_ENABLED"] = "0"  # the image has no C compiler, which testify's imports ask for
        self._docker = [
            *("docker", "run", "--rm", "--network", "none", "--workdir", "/work"),
            *("--volume", f"{cache}:/cache"),
            *(part for name, value in given.items() for part in ("--env", f"{name}={value}")),
        ]
        self._entry = ["--entrypoint", "sh", f"plum-sandbox-{language}", "-c", self._command]

    def run(self, task: Task) -> None:
        """See `Plain.run`."""
        with self._folder(task) as folder:
            Path(folder).chmod(0o777)
            _call([*self._docker, "--volume", f"{folder}:/work", *self._entry], folder, os.environ)


def _call(command: list[str], folder: str, environment: Mapping[str, str]) -> None:
    subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
    )
