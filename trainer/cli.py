"""The `plum-train` command: one subcommand per method, all over the same recipe."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.program import run_program
from orchestrator.errors import PlumError
from trainer import checkpoints
from trainer.manifest import finished, identity
from trainer.recipe import Method, read_recipe

#: What the `train` extra brings.
_TRAIN_EXTRA = ("torch", "trl", "transformers", "datasets", "peft", "accelerate")


@click.group(
    context_settings={"auto_envvar_prefix": "PLUM_TRAIN", "help_option_names": ["-h", "--help"]}
)
@click.version_option(version("plum-code"), prog_name="plum-train")
def plum_train() -> None:
    """Trains a policy on labelled completions.

    A recipe is a TOML file; only three keys are required:

    \b
      model = "path/to/policy"        # where to start from, and the reference
      data = "dataset/kto.jsonl"      # rows: prompt, completion, label
      output_dir = "policy-after"     # gets the policy and manifest.json

    Paths start at the recipe's folder. The defaults are for models of one to
    ten billion parameters. Every option can also be set in the environment,
    for example PLUM_TRAIN_KTO_RESUME=1.

    \b
    Exit codes:
      0    trained, or was trained before
      1    failed; the reason is the last line on standard error
      2    bad recipe or data: file, line, key, value and bound are named
      130  interrupted; run again with --resume
    """


def _command(method: Method, summary: str) -> None:
    @plum_train.command(
        method.value,
        help=f"""{summary}

        \b
        Example:
          plum-train {method} recipe.toml
          plum-train {method} recipe.toml --resume --json

        A training that output_dir holds already is not done again.
        """,
    )
    @click.argument("recipe", type=click.Path(path_type=Path))
    @click.option("--resume", is_flag=True, help="Go on from the newest whole checkpoint.")
    @click.option("--json", "as_json", is_flag=True, help="Print the manifest as JSON.")
    def command(recipe: Path, resume: bool, as_json: bool) -> None:
        manifest = _train(recipe, method, resume=resume)
        click.echo(json.dumps(manifest) if as_json else _summary(manifest))


_command(Method.KTO, "Learns from desirable and undesirable completions, unpaired (KTO).")
_command(Method.DPO, "Learns from pairs, balanced per problem, made of the same rows (DPO).")
_command(Method.SFT, "Imitates the desirable completions only.")


def _train(file: Path, method: Method, *, resume: bool) -> dict[str, Any]:
    recipe = read_recipe(file, method)
    what = identity(recipe)
    before = finished(recipe, what)
    if before is not None:
        print(f"plum-train: {recipe.output_dir} holds this training already", file=sys.stderr)
        checkpoints.remove(recipe)
        return before
    start = checkpoints.newest(recipe, what) if resume else None
    # Before torch is loaded, which reads it once: its threads otherwise spin while they wait
    # for each other, at a great loss where anything else uses the same cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Late: each method brings in the libraries that it needs.
    train: Callable[..., dict[str, Any]] = import_module(f"trainer.{method}").train
    try:
        manifest = train(recipe, what, start)
    except ModuleNotFoundError as e:
        if (e.name or "").split(".")[0] not in _TRAIN_EXTRA:
            raise
        raise PlumError(f"no module {e.name!r}: pip install 'plum-code[train]'") from e
    # Not before: until the manifest stands, a killed training goes on from them.
    checkpoints.remove(recipe)
    return manifest


def _summary(manifest: dict[str, Any]) -> str:
    rows = ", ".join(f"{k} {v}" for k, v in manifest["rows"].items() if v)
    result = manifest["result"]
    lines = [
        f"policy    {manifest['output_dir']}",
        f"rows      {rows}",
        f"trained   {result['steps']} steps in {result['wall_s']} s on {result['device']}",
    ]
    if manifest["weights"]:
        weights = ", ".join(f"{k} {v:.3f}" for k, v in manifest["weights"].items())
        lines.insert(2, f"weights   {weights}")
    return "\n".join(lines)


def main() -> None:
    """Entry point of the `plum-train` program."""
    run_program(plum_train, "plum-train", "go on with --resume")


if __name__ == "__main__":
    main()
