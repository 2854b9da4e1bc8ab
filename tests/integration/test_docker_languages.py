"""Every language's cases again, in its real container."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from orchestrator.domain import Execution, ExecutionResult, Limits
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.embedded import embedded_sandbox
from tests.integration.test_docker_launcher import docker_or_skip

_CASES = Path(__file__).parents[1] / "conformance" / "cases"
LANGUAGES = sorted(path.name for path in _CASES.iterdir())

pytestmark = [pytest.mark.docker, pytest.mark.slow]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_cases_get_the_same_verdicts_in_the_container(language: str) -> None:
    docker_or_skip("image", "inspect", f"plum-sandbox-{language}")
    cases = {
        f"{path.parent.name}/{path.stem}": tomllib.loads(path.read_text(encoding="utf-8"))
        for path in sorted((_CASES / language).rglob("*.toml"))
    }
    executions = [
        Execution(name, language, c["solution"], c["test"], Limits(**c.get("limits", {})))
        for name, c in cases.items()
    ]
    with (
        embedded_sandbox("docker", languages=[language]) as address,
        SandboxClient([address]) as client,
    ):
        outcomes = {outcome.id: outcome for outcome in client.execute_many(executions)}
    assert outcomes.keys() == cases.keys()
    wrong = {
        name: outcome
        for name, outcome in outcomes.items()
        if not isinstance(outcome, ExecutionResult)
        or str(outcome.verdict) not in cases[name]["verdict"]
    }
    assert not wrong
