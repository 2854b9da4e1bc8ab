"""`plum evaluate`: how good a policy is on a benchmark, or on those of a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.stages import INCOMPLETE, run_and_print

if TYPE_CHECKING:
    from orchestrator.evaluate import Evaluation

_EXISTING = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command
@click.argument("recipe", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--run-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="Measure the policies of this run, before and after training, on the recipe's benchmarks.",
)
@click.option("--model", help="Folder or hub name of the policy; the served name for openai.")
@click.option("--benchmark", type=_EXISTING, help="JSON lines, may be gzipped (.gz).")
@click.option(
    "--format",
    "shape",
    type=click.Choice(["humaneval", "mbpp", "plain"]),
    default="humaneval",
    show_default=True,
    help="Shape of the benchmark's rows. The first two are also those of HumanEval+ and MBPP+; "
    "plain: id, instruction, test, and optionally language, start_code, entry_point.",
)
@click.option(
    "--backend",
    type=click.Choice(["transformers", "openai", "vllm"]),
    default="transformers",
    show_default=True,
)
@click.option("--base-url", multiple=True, help="Endpoint for openai; may be given many times.")
@click.option("--api-key-env", default="", help="Variable that holds the endpoint's key.")
@click.option(
    "--prompt-style",
    type=click.Choice(["chat", "plain"]),
    default="chat",
    show_default=True,
    help="chat: the model's own template; plain: for base models, which go on with the text.",
)
@click.option(
    "--greedy/--no-greedy", default=True, show_default=True, help="Measure pass@1 greedily."
)
@click.option(
    "--n", type=click.IntRange(0), default=0, show_default=True,
    help="Samples per problem for pass@k.",
)  # fmt: skip
@click.option(
    "--k", "ks", type=click.IntRange(1), multiple=True, default=[1], show_default=True,
    help="Each k of pass@k, at most n; may be given many times.",
)  # fmt: skip
@click.option("--temperature", type=click.FloatRange(0, 10), default=1.0, show_default=True)
@click.option("--top-p", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True)
@click.option("--max-new-tokens", type=click.IntRange(1), default=512, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--limit", type=click.IntRange(1), help="Only the first so many problems.")
@click.option("--sandbox", help="Address of a running sandbox; without it one is started.")
@click.option(
    "--launcher",
    type=click.Choice(["process", "docker"]),
    default="process",
    show_default=True,
    help="How the sandbox that is started here runs its workers.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write everything here as JSON: scores, completions, verdicts.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def evaluate(
    *,
    recipe: Path | None,
    run_dir: Path | None,
    model: str | None,
    benchmark: Path | None,
    shape: str,
    backend: str,
    base_url: tuple[str, ...],
    api_key_env: str,
    prompt_style: str,
    greedy: bool,
    n: int,
    ks: tuple[int, ...],
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    seed: int,
    limit: int | None,
    sandbox: str | None,
    launcher: str,
    output: Path | None,
    as_json: bool,
) -> int:
    """Measures greedy pass@1, and unbiased pass@k from n samples, through the sandbox.

    \b
    Examples:
      plum evaluate --model ./policy --benchmark HumanEval.jsonl.gz
      plum evaluate --model ./policy --benchmark mbpp.jsonl --format mbpp \\
          --n 20 --k 1 --k 10 --temperature 0.8 --output mbpp.json
      plum evaluate --backend openai --base-url http://localhost:8000/v1 \\
          --model served-name --benchmark HumanEval.jsonl
      plum evaluate --run-dir runs/first

    Intervals are 95 % bootstrap intervals over problems.

    \b
    Exit codes: 0 done, 1 failed (the policy cannot be loaded or reached),
    2 bad input, 3 the sandbox did not execute everything (problems concerned
    have no score).
    """
    if run_dir is not None:
        return run_and_print(recipe, run_dir, ["evaluate"], as_json)
    if recipe is not None:
        raise click.UsageError("a recipe is measured within its run: give --run-dir too")
    if model is None or benchmark is None:
        raise click.UsageError("give --model and --benchmark, or --run-dir")
    if not greedy and not n:
        raise click.UsageError("--no-greedy with --n 0 leaves nothing to measure")
    if n and max(ks) > n:
        raise click.UsageError(f"--k {max(ks)} is outside [1, --n {n}]")

    # Late: the sandbox client, the back end and what they bring in.
    from orchestrator.benchmarks.read import read_benchmark
    from orchestrator.evaluate import EvaluationSettings
    from orchestrator.evaluate import evaluate as measure
    from orchestrator.sampling.backends import open_sampler
    from orchestrator.sampling.prompts import renderer
    from orchestrator.sandbox.client import SandboxClient
    from orchestrator.sandbox.embedded import open_sandbox

    problems = read_benchmark(benchmark, shape, limit)
    render = renderer(backend, prompt_style, model)
    sampler = open_sampler(
        backend,
        model,
        chat=prompt_style == "chat",
        base_urls=base_url,
        api_key_env=api_key_env,
    )
    settings = EvaluationSettings(
        max_new_tokens=max_new_tokens,
        greedy=greedy,
        n=n,
        ks=ks,
        temperature=temperature,
        top_p=top_p,
        seed=seed,
    )
    with open_sandbox(sandbox, launcher) as address, SandboxClient([address]) as client:
        evaluation = measure(problems, sampler, client, settings, render)
    if output is not None:
        output.write_text(json.dumps(evaluation.to_json()) + "\n", encoding="utf-8")
    _print(evaluation, model, benchmark, as_json)
    return INCOMPLETE if evaluation.not_executed else 0


def _print(evaluation: Evaluation, model: str, benchmark: Path, as_json: bool) -> None:
    if as_json:
        summary = {
            "model": model,
            "benchmark": str(benchmark),
            "problems": len(evaluation.problems),
            "not_executed": evaluation.not_executed,
            **{
                name: {"value": mean.value, "low": mean.low, "high": mean.high}
                for name, mean in evaluation.means.items()
            },
        }
        click.echo(json.dumps(summary))
        return
    for name, mean in evaluation.means.items():
        interval = f"[{100 * mean.low:.1f}, {100 * mean.high:.1f}]"
        scored = len(evaluation.scores[name])
        click.echo(f"{name:<14} {100 * mean.value:5.1f} %  {interval}  {scored} problems")
    if evaluation.not_executed:
        click.echo(f"{evaluation.not_executed} samples could not be executed", err=True)
