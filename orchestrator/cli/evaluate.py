"""`plum evaluate`: how good a policy is on a benchmark, or on those of a run."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import click
from click.core import ParameterSource

from orchestrator.benchmarks.read import FORMATS, read_benchmark
from orchestrator.cli.evaluate_options import measure_options, policy_options
from orchestrator.cli.sandbox_options import SandboxChoice, sandbox_options
from orchestrator.cli.stages import INCOMPLETE, run_and_print
from orchestrator.evaluate import Evaluation, EvaluationSettings
from orchestrator.evaluate import evaluate as measure
from orchestrator.journal import journal_beside, remove_journal
from orchestrator.sampling.policy import Policy


@click.command
@click.argument("recipe", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--run-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Measure the policies of this run, before and after training, on the recipe's benchmarks.",
)
@click.option(
    "--benchmark",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="JSON lines, may be gzipped (.gz).",
)
@click.option(
    "--format",
    "shape",
    type=click.Choice(tuple(FORMATS)),
    default="humaneval",
    show_default=True,
    help="Shape of the benchmark's rows. The first two are also those of HumanEval+ and MBPP+; "
    "plain: id, instruction, test, and optionally language, start_code, entry_point.",
)
@click.option("--limit", type=click.IntRange(1), help="Only the first so many problems.")
@policy_options
@measure_options
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write everything here as JSON: scores, completions, verdicts. Until then, what is done "
    "is kept beside it; run the same command again to go on.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@sandbox_options
def evaluate(
    *,
    recipe: Path | None,
    run_dir: Path | None,
    benchmark: Path | None,
    shape: str,
    limit: int | None,
    policy: Policy | None,
    settings: EvaluationSettings,
    output: Path | None,
    as_json: bool,
    sandbox: SandboxChoice,
) -> int:
    """Measures greedy pass@1, and unbiased pass@k from n samples, through the sandbox.

    \b
    Examples:
      plum evaluate --model ./policy --benchmark HumanEval.jsonl.gz
      plum evaluate --model ./policy --benchmark mbpp.jsonl --format mbpp \\
          --n 20 --k 1 --k 10 --temperature 0.8 --output mbpp.json
      plum evaluate --backend openai --base-url http://localhost:8000/v1 \\
          --model served-name --benchmark HumanEval.jsonl
      plum evaluate --backend vllm --engine tensor_parallel_size=2 \\
          --model ./policy --benchmark HumanEval.jsonl
      plum evaluate --run-dir runs/first

    Intervals are 95 % bootstrap intervals over problems.

    \b
    Exit codes: 0 done, 1 failed (the policy cannot be loaded or reached),
    2 bad input, 3 the sandbox did not execute everything (problems concerned
    have no score).
    """
    if run_dir is not None:
        _refuse_others("recipe", "run_dir", "as_json")
        return run_and_print(recipe, run_dir, ["evaluate"], as_json)
    if recipe is not None:
        raise click.UsageError("a recipe is measured within its run: give --run-dir too")
    if policy is None or benchmark is None:
        raise click.UsageError("give --model and --benchmark, or --run-dir")
    problems = read_benchmark(benchmark, shape, limit)
    render = policy.renderer()
    languages = sorted({judged.problem.language for judged in problems})
    with (
        journal_beside(output, policy, settings, problems, render) as journal,
        closing(policy.sampler()) as sampler,
        sandbox.open(languages) as client,
    ):
        evaluation = measure(problems, sampler, client, settings, render, journal=journal)
    _publish(evaluation, policy, benchmark, output, as_json=as_json)
    return INCOMPLETE if evaluation.not_executed else 0


def _refuse_others(*known: str) -> None:
    """Raises click.UsageError where the command line holds an option that is not `known`."""
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name or ""
        # Not those of the environment, which may be set for other calls too.
        given = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and name not in known:
            raise click.UsageError(
                "--run-dir measures the recipe's policies on its benchmarks, as the recipe says: "
                f"leave out {parameter.opts[0]}"
            )


def _publish(
    evaluation: Evaluation,
    policy: Policy,
    benchmark: Path,
    output: Path | None,
    *,
    as_json: bool,
) -> None:
    """Writes `output`, if there is to be one, and prints a summary."""
    if output is not None:
        output.write_text(json.dumps(evaluation.to_json()) + "\n", encoding="utf-8")
        if not evaluation.not_executed:
            remove_journal(output)
    if as_json:
        named = {"model": policy.model, "benchmark": str(benchmark)}
        click.echo(json.dumps(named | evaluation.summary()))
    else:
        _print(evaluation)


def _print(evaluation: Evaluation) -> None:
    for name, mean in evaluation.means.items():
        interval = f"[{100 * mean.low:.1f}, {100 * mean.high:.1f}]"
        scored = len(evaluation.scores[name])
        click.echo(f"{name:<14} {100 * mean.value:5.1f} %  {interval}  {scored} problems")
    if evaluation.not_executed:
        click.echo(f"{evaluation.not_executed} samples could not be executed", err=True)
