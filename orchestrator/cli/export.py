"""`plum export`: labelled samples as dataset files."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import click

from orchestrator.cli.stages import as_data, describe, run_and_print, run_options
from orchestrator.recipe_export import FILE_TYPES, FORMATS, STYLES, ExportSection
from orchestrator.run import open_run
from orchestrator.store.stages import StageRecord


@click.command()
@run_options
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write to this folder, not to RUN_DIR/dataset. Needed with the options below.",
)
@click.option("--format", "formats", multiple=True, type=click.Choice(FORMATS))
@click.option("--style", "styles", multiple=True, type=click.Choice(STYLES))
@click.option("--file-type", "file_types", multiple=True, type=click.Choice(FILE_TYPES))
def export(
    *,
    recipe: Path | None,
    run_dir: Path,
    as_json: bool,
    output: Path | None,
    formats: tuple[str, ...],
    styles: tuple[str, ...],
    file_types: tuple[str, ...],
) -> int:
    """Writes the labelled samples as dataset files, as [export] of the recipe says.

    The options, each of which may come more than once, take the place of the recipe's formats,
    styles and file_types for one more dataset of the same labels: nothing is run again.

    \b
    Formats:
      kto       prompt, completion, label
      dpo       prompt, chosen, rejected; pairs are balanced within each problem
      sft       prompt, completion; desirable ones only
      ablation  as kto, but undesirable is only what does not run

    \b
    Styles: plain (text as the policy reads it), conversational (lists of messages).
    File types: jsonl, parquet (needs plum-code[parquet]).

    \b
    Examples:
      plum export --run-dir runs/first
      plum export --run-dir runs/first --output ablation --format ablation
      plum export --run-dir runs/first --output upload --format kto --format dpo \\
          --style conversational --file-type parquet
      python -c 'import datasets; print(datasets.load_dataset("upload", "kto_conversational"))'

    \b
    Exit codes: 0 done, 1 labels are missing, 2 bad input.
    """
    if output is None:
        if formats or styles or file_types:
            raise click.UsageError("--format, --style and --file-type need --output")
        return run_and_print(recipe, run_dir, ["export"], as_json)
    # Late, as in run_and_print: the stage brings in what reads prompts and labels.
    from orchestrator.stages.export import export_to

    with open_run(run_dir, recipe) as run:
        section = run.recipe.export or ExportSection()
        section = replace(
            section,
            formats=formats or section.formats,
            styles=styles or section.styles,
            file_types=file_types or section.file_types,
        )
        began = time.monotonic()
        summary = export_to(run, section, output)
        record = StageRecord(summary, time.monotonic() - began)
    body = {"run_dir": str(run_dir), "output": str(output), "stages": [as_data(record)]}
    click.echo(json.dumps(body) if as_json else describe(record))
    return 0
