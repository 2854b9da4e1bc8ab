"""Executions under other seeds of hashes, over real gRPC and in real jails."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from plum.sandbox.v1 import sandbox_pb2 as pb
from plum.sandbox.v1 import sandbox_pb2_grpc

from orchestrator.domain import Execution, ExecutionError, ExecutionResult, Limits, Verdict
from orchestrator.sandbox.client import SandboxClient
from orchestrator.sandbox.convert import stream_request

_WORDS = "{'ant', 'bee', 'cow', 'dog', 'elk', 'fox', 'gnu', 'hen'}"
_SOLUTION = f"def words():\n    return list({_WORDS})\n"
_SHOWN = "found = words()\nprint(found)\nassert sorted(found)[0] == 'ant'\n"


@pytest.fixture(scope="module")
def client(sandbox_address: str) -> Iterator[SandboxClient]:
    with SandboxClient([sandbox_address]) as opened:
        yield opened


def results(client: SandboxClient, *executions: Execution) -> dict[str, ExecutionResult]:
    found = {}
    for outcome in client.execute_many(executions):
        assert isinstance(outcome, ExecutionResult), outcome
        found[outcome.id] = outcome
    return found


def said(client: SandboxClient, solution: str, test: str, seed: int) -> bytes:
    (result,) = results(client, Execution("x", "python", solution, test, hash_seed=seed)).values()
    assert result.verdict is Verdict.PASSED, result
    return result.stdout


def seeds_of(client: SandboxClient) -> int:
    (seeds,) = [lang.hash_seeds for lang in client.info().languages if lang.name == "python"]
    return seeds


def test_each_seed_has_an_order_of_its_own_and_the_same_one_every_time(
    client: SandboxClient,
) -> None:
    seeds = range(seeds_of(client))
    first = [said(client, _SOLUTION, _SHOWN, seed) for seed in seeds]
    again = [said(client, _SOLUTION, _SHOWN, seed) for seed in reversed(seeds)][::-1]
    assert len(seeds) == 3
    assert first == again
    assert len(set(first)) == len(seeds)


def test_sets_of_the_suite_itself_are_in_another_order_too(client: SandboxClient) -> None:
    test = f"print(list({_WORDS}))\nassert one() == 1\n"
    orders = [said(client, "def one():\n    return 1\n", test, seed) for seed in range(3)]
    assert len(set(orders)) == 3


def test_a_suite_that_holds_for_one_seed_only_fails_under_the_others(
    client: SandboxClient,
) -> None:
    usual = said(client, _SOLUTION, _SHOWN, 0).decode().strip()
    rows = [
        Execution(f"{kind} {seed}", "python", _SOLUTION, test, hash_seed=seed)
        for seed in range(3)
        # The first needs no process for its suite, the second has one.
        for kind, test in [
            ("table", f"assert words() == {usual}\n"),
            ("judge", f"found = words()\nfor word in found:\n    assert found == {usual}\n"),
        ]
    ]
    for name, result in results(client, *rows).items():
        usual_seed = name.endswith(" 0")
        assert result.verdict is (Verdict.PASSED if usual_seed else Verdict.ASSERTION_FAILED), name


def test_executions_of_all_seeds_side_by_side_keep_their_own(client: SandboxClient) -> None:
    orders = {seed: said(client, _SOLUTION, _SHOWN, seed) for seed in range(3)}
    rows = [
        Execution(f"{number}", "python", _SOLUTION, _SHOWN, hash_seed=number % 3)
        for number in range(60)
    ]
    found = results(client, *rows)
    assert len(found) == len(rows)
    for row in rows:
        assert found[row.id].stdout == orders[row.hash_seed]


def test_what_makes_a_seed_ready_is_not_the_candidates_time() -> None:
    from orchestrator.sandbox.embedded import embedded_sandbox

    # To load the interpreter and the judge takes longer than either of them.
    limits = Limits(cpu_time_s=0.25, wall_time_s=0.25)
    rows = [
        Execution(
            str(seed), "python", "def one():\n    return 1\n", "assert one() == 1", limits, seed
        )
        for seed in (1, 2)
    ]
    with embedded_sandbox(slots=1) as address, SandboxClient([address]) as fresh:
        verdicts = {result.verdict for result in results(fresh, *rows).values()}
    assert verdicts == {Verdict.PASSED}


@pytest.mark.parametrize("seed", [3, (1 << 32) - 1])
def test_a_seed_that_there_is_not_is_named_with_its_bounds(
    client: SandboxClient, sandbox_address: str, seed: int
) -> None:
    says = f"execution.hash_seed={seed} is outside [0, 2]"
    execution = pb.Execution(id="x", language="python", test="assert True", hash_seed=seed)
    with grpc.insecure_channel(sandbox_address) as channel:
        stub = sandbox_pb2_grpc.SandboxServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            stub.Execute(pb.ExecuteRequest(execution=execution), timeout=60)
    assert isinstance(caught.value, grpc.Call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details() == says
    rows = [
        Execution("bad", "python", _SOLUTION, _SHOWN, hash_seed=seed),
        Execution("good", "python", _SOLUTION, _SHOWN, hash_seed=2),
    ]
    outcomes = {outcome.id: outcome for outcome in client.execute_many(rows)}
    assert outcomes["bad"] == ExecutionError("bad", "INVALID_ARGUMENT", says)
    assert isinstance(outcomes["good"], ExecutionResult)


def test_the_usual_seed_makes_no_message_longer() -> None:
    execution = Execution("x", "python", "solution", "test")
    asked = pb.Execution(id="1", language="python", solution="solution", test="test")
    assert stream_request([("1", execution)]).executions[0].ByteSize() == asked.ByteSize()
