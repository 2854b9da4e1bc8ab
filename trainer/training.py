"""What the three methods share: arguments, the run itself, its progress and its end."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import datasets
import torch
import transformers
from tqdm import tqdm

from orchestrator.folders import make_folder
from orchestrator.progress import Progress
from trainer import checkpoints
from trainer.recipe import Recipe
from trainer.rows import Pair, Row

#: What is worth a line while training; the manifest keeps everything.
_SHOWN = ("loss", "eval_loss", "rewards/margins", "kl")


def begin(recipe: Recipe) -> None:
    """Before a model is loaded: the place for the policy is made, and the libraries are silenced.

    Raises:
        InputError: the place cannot be had.
    """
    make_folder(recipe.output_dir)
    datasets.disable_progress_bars()
    transformers.utils.logging.disable_progress_bar()
    # trl and transformers warn of each other's old names; nobody who trains can act on that.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl)\.")


def arguments(recipe: Recipe, *, watch: bool) -> dict[str, Any]:
    """Arguments that KTOConfig, DPOConfig and SFTConfig all take.

    watch: whether there are rows to watch the loss on.
    """
    cuda = torch.cuda.is_available()
    return {
        "output_dir": str(checkpoints.folder(recipe)),
        "seed": recipe.seed,
        "data_seed": recipe.seed,
        "num_train_epochs": recipe.epochs,
        "max_steps": -1 if recipe.max_steps is None else recipe.max_steps,
        "per_device_train_batch_size": recipe.batch_size,
        "per_device_eval_batch_size": recipe.batch_size,
        "gradient_accumulation_steps": recipe.gradient_accumulation,
        "learning_rate": recipe.learning_rate,
        "warmup_steps": recipe.warmup_share,
        "lr_scheduler_type": recipe.scheduler,
        "max_length": recipe.max_length,
        "gradient_checkpointing": recipe.gradient_checkpointing,
        "bf16": cuda and torch.cuda.is_bf16_supported(),
        "use_cpu": not cuda,
        "dataloader_pin_memory": cuda,
        "save_steps": recipe.save_steps,
        "save_total_limit": 2,
        "eval_strategy": "steps" if watch else "no",
        "eval_steps": recipe.save_steps,
        "logging_steps": recipe.log_steps,
        "report_to": "none",
        "disable_tqdm": True,
    }


def adapter(recipe: Recipe) -> Any:
    """The peft configuration of `[lora]`, or None."""
    if recipe.lora is None:
        return None
    from peft import LoraConfig

    lora = recipe.lora
    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=list(lora.target_modules) if lora.target_modules else "all-linear",
        task_type="CAUSAL_LM",
    )


def dataset(rows: Sequence[Row | Pair]) -> Any:
    """The rows as the trainers take them, or None where there are none."""
    return datasets.Dataset.from_list([asdict(row) for row in rows]) if rows else None


def run(trainer: Any, recipe: Recipe, what: dict[str, Any], start: Path | None) -> dict[str, Any]:
    """Trains to the end and saves the policy and its tokenizer in `recipe.output_dir`.

    what: the training's identity, kept beside the checkpoints.
    start: the checkpoint to go on from; None starts over.

    Returns steps, wall time in seconds (of this call) and metrics.
    """
    if start is None:
        checkpoints.begin(recipe, what)
    # It would print to standard output, which is the manifest's.
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.add_callback(_ShowProgress(str(recipe.method)))
    began = time.monotonic()
    trainer.train(resume_from_checkpoint=None if start is None else str(start))
    wall_s = time.monotonic() - began
    trainer.save_model(str(recipe.output_dir))
    return {
        "steps": trainer.state.global_step,
        "resumed_from": None if start is None else start.name,
        "wall_s": round(wall_s, 1),
        "device": str(trainer.args.device),
        "metrics": _last_metrics(trainer.state.log_history),
        "history": trainer.state.log_history,
    }


def _last_metrics(history: Sequence[dict[str, float]]) -> dict[str, float]:
    last: dict[str, float] = {}
    for entry in history:
        last |= entry
    return last


class _ShowProgress(transformers.TrainerCallback):  # type: ignore[misc] # the base is untyped
    """Steps as a bar or plain lines, metrics as lines, on standard error."""

    def __init__(self, method: str) -> None:
        self._method = method
        self._bar: Progress | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Opens the bar, at the step that was resumed from."""
        self._bar = Progress(state.max_steps, self._method, "steps", done=state.global_step)
        self._bar.__enter__()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Counts one optimiser step."""
        if self._bar is not None:
            self._bar.advance()

    def on_log(
        self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **_: Any
    ) -> None:
        """Shows the metrics that say whether the training is sound."""
        shown = [f"{k} {float(v):.3f}" for k, v in (logs or {}).items() if k in _SHOWN]
        if shown:
            line = f"{self._method}: step {state.global_step}: {', '.join(shown)}"
            tqdm.write(line, file=sys.stderr)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Closes the bar."""
        if self._bar is not None:
            self._bar.__exit__(None, None, None)
