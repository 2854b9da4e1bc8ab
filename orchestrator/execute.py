"""`plum execute`: a file of executions in, a file of verdicts out; a rerun does what is missing."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.domain import ExecutionError, ExecutionResult
from orchestrator.errors import InputError
from orchestrator.execution_output import RowWriter, open_output
from orchestrator.execution_rows import error_row, input_sha256, read_executions, result_row
from orchestrator.progress import Progress
from orchestrator.sandbox.client import SandboxClient

#: In the place of a path: standard input or output.
STANDARD = Path("-")


@dataclass(frozen=True)
class Summary:
    """What an `execute_file` call has come to.

    verdicts: rows by verdict, those of earlier runs included.
    reused: rows that an earlier run had done.
    errors: rows that could not be executed.
    """

    rows: int
    reused: int
    verdicts: dict[str, int]
    errors: tuple[ExecutionError, ...]

    def as_json(self) -> dict[str, Any]:
        """For printing."""
        return {
            "rows": self.rows,
            "reused": self.reused,
            "verdicts": self.verdicts,
            "errors": [
                {"id": error.id, "code": error.code, "message": error.message}
                for error in self.errors
            ],
        }


def execute_file(
    source: Path,
    output: Path,
    sandbox: Callable[[Sequence[str]], AbstractContextManager[SandboxClient]],
    in_flight: int | None = None,
) -> Summary:
    """Executes every row of `source` that has no verdict in `output` yet.

    sandbox: opens one for the languages named, when there is something to execute.
    in_flight: executions at one time; None: as many as keep the sandbox busy.

    Raises:
        InputError: a row is bad (nothing has been executed then), or a file is no good.
        SandboxError: the sandbox cannot be reached or refuses us; what is done is kept.
    """
    with _input(source) as (path, name), _output(output, path, name) as (writer, wanted, done):
        todo = wanted.keys() - done.keys()
        verdicts = Counter(done[row] for row in wanted.keys() & done.keys())
        reused = len(wanted) - len(todo)
        errors: list[ExecutionError] = []
        if todo:
            rows = read_executions(path, name)
            languages = sorted({row.language for row in rows if row.id in todo})
            executions = (row for row in read_executions(path, name) if row.id in todo)
            with (
                sandbox(languages) as client,
                Progress(len(wanted), "execute", "executions", done=reused) as bar,
            ):
                for outcome in client.execute_many(executions, in_flight):
                    if isinstance(outcome, ExecutionResult):
                        verdicts[outcome.verdict] += 1
                        writer.write(result_row(outcome, wanted[outcome.id]))
                    else:
                        errors.append(outcome)
                        writer.write(error_row(outcome, wanted[outcome.id]))
                    bar.advance()
    return Summary(len(wanted), reused, dict(sorted(verdicts.items())), tuple(errors))


@contextmanager
def _input(source: Path) -> Iterator[tuple[Path, str]]:
    """A file that can be read twice, and what to call it."""
    if source != STANDARD:
        yield source, str(source)
        return
    # Without a name: nothing stays behind, however this process ends.
    with tempfile.TemporaryFile() as copy:
        shutil.copyfileobj(sys.stdin.buffer, copy)
        copy.flush()
        yield Path(f"/proc/self/fd/{copy.fileno()}"), "<stdin>"


@contextmanager
def _output(
    output: Path, source: Path, name: str
) -> Iterator[tuple[RowWriter, dict[str, str], dict[str, str]]]:
    """The writer; id to hash of the input rows; id to verdict of those that are done."""
    if output != STANDARD and output.exists() and source.exists() and output.samefile(source):
        raise InputError(f"{name}: is the input and the output")
    # The whole input is checked before the output is touched.
    wanted = {execution.id: input_sha256(execution) for execution in read_executions(source, name)}
    if output == STANDARD:
        with nullcontext(RowWriter(sys.stdout.buffer, durable=False)) as writer:
            yield writer, wanted, {}
            writer.sync()
        return
    with open_output(output, wanted) as (writer, done):
        yield writer, wanted, done
