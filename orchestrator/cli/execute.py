"""`plum execute`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from orchestrator.cli.sandbox_options import SandboxChoice, sandbox_options
from orchestrator.execute import STANDARD, Summary, execute_file

_LISTED = 20
_NOT_ALL_EXECUTED = 3


@click.command()
@click.argument("source", metavar="INPUT.jsonl", type=click.Path(path_type=Path, allow_dash=True))
@click.option(
    "--output",
    required=True,
    metavar="OUT.jsonl",
    type=click.Path(path_type=Path, allow_dash=True, dir_okay=False),
    help="Where the verdicts go; - for standard output.",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 100_000),
    help="Executions that are on their way at one time.  [default: 8 for each slot]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON on stdout.")
@sandbox_options
@click.pass_context
def execute(
    ctx: click.Context,
    *,
    source: Path,
    output: Path,
    in_flight: int | None,
    as_json: bool,
    sandbox: SandboxChoice,
) -> None:
    """Runs candidates against test suites in the sandbox, one JSON row each.

    Input rows hold id, language, solution, test and, where wanted, limits (cpu_time_s,
    wall_time_s, memory_bytes, processes, output_bytes, file_bytes, open_files) and hash_seed
    (0 is the language's usual order of hashes; one that the server has not is listed); other
    keys are ignored. Output rows hold id, verdict, phase, message, assertions, proof, usage,
    stdout, stderr, truncated and input_sha256, in the order in which they finish. A rerun does
    only what is missing: rows without a verdict, and rows whose input has changed.

    \b
    Examples:
      plum execute rows.jsonl --output verdicts.jsonl
      plum execute rows.jsonl --output verdicts.jsonl --sandbox dns:///sandbox:50061
      plum execute rows.jsonl --output verdicts.jsonl --sandbox sandbox:50061 \\
          --sandbox-ca ca.pem --sandbox-token-file token
      generate | plum execute - --output - > verdicts.jsonl

    \b
    Exit codes:
      0  every row has a verdict
      2  bad input; file, line, field, value and bound are named, nothing was executed
      3  some rows could not be executed; they are listed, and have "verdict": null
         and "error" in the output
    """
    if as_json and output == STANDARD:
        raise click.UsageError("--json and --output - would both write to standard output")
    summary = execute_file(source, output, sandbox.open, in_flight)
    for error in summary.errors[:_LISTED]:
        click.echo(f"not executed: {error.id}: {error.code}: {error.message}", err=True)
    if len(summary.errors) > _LISTED:
        click.echo(f"not executed: {len(summary.errors) - _LISTED} more, see the output", err=True)
    if as_json:
        click.echo(json.dumps(summary.as_json()))
    else:
        click.echo(_line(summary), err=True)
    if summary.errors:
        ctx.exit(_NOT_ALL_EXECUTED)


def _line(summary: Summary) -> str:
    counts = ", ".join(f"{verdict} {count}" for verdict, count in summary.verdicts.items())
    parts = [f"{summary.rows} rows", counts or "no verdicts"]
    if summary.reused:
        parts.append(f"{summary.reused} from before")
    if summary.errors:
        parts.append(f"{len(summary.errors)} not executed")
    return "; ".join(parts)
