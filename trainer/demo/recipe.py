"""The recipe of the demo's run, as a user would write it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

#: K completions of each of the first so many preference problems.
PROBLEMS = 300
SAMPLES_PER_PROBLEM = 20
#: Recorded answers to each problem.
ANSWERS_PER_PROBLEM = 3
#: Completions of each held-out problem at temperature 1.
EVALUATION_SAMPLES = 4

_TEMPLATE = """\
# The demo's run. Start it yourself: plum run {file} --run-dir {run_dir}
[run]
seed = {seed}

[instructions]
path = "instructions.jsonl"

[generation]
provider = "recorded"
path = "answers.jsonl"
answers_per_problem = {answers}

[sampling]
model = "policy-before"
k = {k}
temperature = 1.0
max_new_tokens = 80
# The instructions name the function themselves.
show_start_code = false

[export]
formats = ["kto"]

[train]
method = "kto"

[train.options]
# A real code model starts with beta 0.1 and a learning rate near 5e-6: it is right
# in most things and must not forget them. This one has 0.4 million parameters and
# is wrong by habit. It needs a far higher rate, and then a strong hold on its
# reference, which is what a high beta is, so that it does not fall apart.
beta = 2.0
learning_rate = 2e-4
max_steps = {steps}
batch_size = 32
gradient_accumulation = 1
max_length = 256
gradient_checkpointing = false

[[evaluation]]
name = "{benchmark}"
path = "{benchmark}.jsonl"
format = "plain"
greedy = true
samples = {evaluation_samples}
temperature = 1.0
k = [1]
"""


@dataclass(frozen=True)
class DemoFiles:
    """Where the demo keeps what it makes, all below one folder."""

    folder: Path

    @property
    def policy(self) -> Path:
        """The policy before preference learning."""
        return self.folder / "policy-before"

    @property
    def instructions(self) -> Path:
        """Problems of stages 1 and 2."""
        return self.folder / "instructions.jsonl"

    @property
    def answers(self) -> Path:
        """Recorded answers to them."""
        return self.folder / "answers.jsonl"

    @property
    def recipe(self) -> Path:
        """The recipe that `plum run` is given."""
        return self.folder / "recipe.toml"

    @property
    def run(self) -> Path:
        """The run's folder."""
        return self.folder / "run"

    def benchmark(self, name: str) -> Path:
        """Problems to measure on."""
        return self.folder / f"{name}.jsonl"


def write_recipe(files: DemoFiles, benchmark: str, seed: int, train_steps: int) -> None:
    """Writes the recipe of the run.

    benchmark: name of the split to measure on.
    """
    files.recipe.write_text(
        _TEMPLATE.format(
            file=files.recipe,
            run_dir=files.run,
            seed=seed,
            answers=ANSWERS_PER_PROBLEM,
            k=SAMPLES_PER_PROBLEM,
            steps=train_steps,
            benchmark=benchmark,
            evaluation_samples=EVALUATION_SAMPLES,
        ),
        encoding="utf-8",
    )
