"""What an interrupted `plum evaluate` had done, beside the file that it is to write."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from orchestrator.benchmarks.read import JudgedProblem
from orchestrator.evaluate import EvaluationSettings
from orchestrator.folders import make_folder
from orchestrator.run_inputs import model_digest
from orchestrator.sampling.policy import Policy
from orchestrator.sampling.prompts import Render
from orchestrator.store.database import open_writer
from orchestrator.store.evaluations import Journal, unfinished_measurements


@contextmanager
def journal_beside(
    output: Path | None,
    policy: Policy,
    settings: EvaluationSettings,
    problems: Sequence[JudgedProblem],
    render: Render,
) -> Iterator[Journal | None]:
    """The journal of this very evaluation; None where there is no `output` to keep it beside.

    Where the evaluation fails before there is anything to keep, none is left.

    Raises:
        InputError: no folder can be made there.
        PlumError: another process evaluates into the same file, or there is no room.
    """
    if output is None:
        yield None
        return
    folder = _folder(output)
    make_folder(folder)
    with open_writer(folder) as db:
        try:
            yield Journal(db, _fingerprint(policy, settings, problems, render))
        except BaseException:
            if not unfinished_measurements(db):
                remove_journal(output)
            raise


def remove_journal(output: Path) -> None:
    """Removes the journal beside `output`, which is whole now."""
    shutil.rmtree(_folder(output))


def _folder(output: Path) -> Path:
    return output.with_name(f"{output.name}.partial")


def _fingerprint(
    policy: Policy, settings: EvaluationSettings, problems: Sequence[JudgedProblem], render: Render
) -> str:
    """Of everything that decides about samples and verdicts, but not of where the policy runs."""
    folder = Path(policy.model)
    weights = model_digest(folder) if folder.is_dir() else policy.model
    digest = hashlib.sha256(json.dumps([weights, policy.backend, asdict(settings)]).encode())
    for judged in problems:
        row = [judged.problem.id, render(judged.problem), judged.suite]
        digest.update(json.dumps(row).encode())
    return digest.hexdigest()
