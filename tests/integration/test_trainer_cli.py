"""`plum-train` on a tiny policy: the real libraries, the real command, a few steps."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from trainer.cli import main
from trainer.demo.tasks import split_tasks
from trainer.recipe import WEIGHTED_RATIO_BOUNDS

pytest.importorskip("trl", reason="needs the train extra")
# The libraries warn of each other's old names while they are imported.
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("default")]

STEPS = 8
UNDESIRABLE = "def solve(xs):\n    return None\n"
SETTINGS = """\
batch_size = 8
gradient_accumulation = 1
learning_rate = 1e-3
max_length = 256
save_steps = 2
log_steps = 2
gradient_checkpointing = false
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a policy that can hardly spell, and labelled rows for it."""
    from trainer.demo.base_policy import make_base_policy

    folder = tmp_path_factory.mktemp("trainer")
    tasks = split_tasks(0)["base"][:40]
    make_base_policy(folder / "policy", tasks, seed=0, steps=2)
    rng = random.Random(0)
    with (folder / "rows.jsonl").open("w") as rows:
        for task in tasks:
            prompt = f"<|user|>{task.instruction}<|end|><|assistant|>"
            picks = [(task.program(), True)] + [(UNDESIRABLE, False)] * rng.randint(1, 4)
            for completion, label in picks:
                row = {"prompt": prompt, "completion": completion, "label": label}
                rows.write(json.dumps({**row, "problem_id": task.id}) + "\n")
    return folder


def write_recipe(home: Path, name: str, more: str = "", *, steps: int = STEPS) -> Path:
    file = home / f"{name}.toml"
    paths = f'model = "policy"\ndata = "rows.jsonl"\noutput_dir = "{name}"\n'
    file.write_text(f"{paths}max_steps = {steps}\n{SETTINGS}{more}")
    return file


def start(method: str, recipe: Path, *options: str) -> subprocess.Popen[str]:
    # One thread: the order of a sum must not depend on how busy the machine is.
    return subprocess.Popen(
        [sys.executable, "-m", "trainer.cli", method, str(recipe), "--json", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate()
    return process.returncode, out, err


#: A method and a recipe; gives the exit code, standard output and standard error.
Train = Callable[[str, Path], tuple[int, str, str]]


@pytest.fixture
def train_here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Train]:
    """`plum-train` in this process, which has imported the libraries that take seconds to."""
    import torch

    def train(method: str, recipe: Path) -> tuple[int, str, str]:
        # What the program sets for itself does not stay behind.
        monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
        monkeypatch.setattr(sys, "argv", ["plum-train", method, str(recipe), "--json"])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        assert isinstance(ended.value.code, int)
        return ended.value.code, *capsys.readouterr()

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield train
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def undisturbed(home: Path) -> dict[str, Any]:
    """The manifest of a KTO training that nothing disturbed."""
    code, out, err = finish(start("kto", write_recipe(home, "undisturbed")))
    assert code == 0, err
    manifest: dict[str, Any] = json.loads(out)
    return manifest


def test_kto_trains_and_says_what_it_was_made_of(home: Path, undisturbed: dict[str, Any]) -> None:
    rows, weights = undisturbed["rows"], undisturbed["weights"]
    low, high = WEIGHTED_RATIO_BOUNDS
    weighted = weights["desirable"] * rows["desirable"]
    assert low <= weighted / (weights["undesirable"] * rows["undesirable"]) <= high
    assert rows["desirable"] + rows["undesirable"] + rows["alone_in_last_batch"] == rows["read"]
    assert undisturbed["result"]["steps"] == STEPS
    assert undisturbed["result"]["metrics"]["rewards/margins"] > 0
    assert {"python", "torch", "trl", "transformers"} <= undisturbed["versions"].keys()
    assert undisturbed["identity"]["settings"]["seed"] == 0
    assert len(undisturbed["identity"]["data_sha256"]) == 64
    assert json.loads((home / "undisturbed/manifest.json").read_text()) == undisturbed
    assert not (home / "undisturbed/checkpoints").exists()


def test_the_trained_policy_is_an_ordinary_model_that_differs_from_its_start(
    home: Path, undisturbed: dict[str, Any]
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(undisturbed["output_dir"])
    tokenizer = AutoTokenizer.from_pretrained(undisturbed["output_dir"])
    assert model.num_parameters() < 1_000_000
    assert tokenizer.chat_template
    before = (home / "policy/model.safetensors").read_bytes()
    assert (home / "undisturbed/model.safetensors").read_bytes() != before


def test_killed_and_resumed_it_ends_with_the_same_weights(
    home: Path, undisturbed: dict[str, Any]
) -> None:
    recipe = write_recipe(home, "disturbed")
    for _ in range(5):
        process = start("kto", recipe)
        while process.poll() is None and not list(
            (home / "disturbed").glob("checkpoints/checkpoint-*/trainer_state.json")
        ):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        finish(process)
        if not (home / "disturbed/manifest.json").exists():
            break
        shutil.rmtree(home / "disturbed")  # it was faster than we are
    code, out, err = finish(start("kto", recipe, "--resume"))
    assert code == 0, err
    assert json.loads(out)["result"]["resumed_from"] is not None
    weights = (home / "disturbed/model.safetensors").read_bytes()
    assert weights == (home / "undisturbed/model.safetensors").read_bytes()


def test_a_finished_training_is_recognised_by_content_and_another_is_refused(
    home: Path, undisturbed: dict[str, Any]
) -> None:
    code, out, err = finish(start("kto", write_recipe(home, "undisturbed")))
    assert (code, json.loads(out)) == (0, undisturbed)
    assert "already" in err
    code, out, err = finish(start("kto", write_recipe(home, "undisturbed", "beta = 0.5\n")))
    assert (code, out) == (2, "")
    assert "differs in: beta" in err


def test_checkpoints_of_another_training_are_not_gone_on_with(home: Path) -> None:
    checkpoints = home / "foreign" / "checkpoints"
    checkpoints.mkdir(parents=True)
    identity = {"settings": {}, "data_sha256": "", "model_sha256": {}}
    (checkpoints / "identity.json").write_text(json.dumps(identity))
    code, _, err = finish(start("kto", write_recipe(home, "foreign"), "--resume"))
    assert code == 2
    assert "the data's content" in err


def test_files_that_no_training_wrote_are_named(home: Path) -> None:
    for name, content in (("manifest.json", "garbage"), ("checkpoints/identity.json", "[]")):
        recipe = write_recipe(home, "foreign")
        file = home / "foreign" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
        code, _, err = finish(start("kto", recipe, "--resume"))
        assert code == 2
        assert f"{file}: was not written by plum-train" in err.splitlines()[-1]
        shutil.rmtree(home / "foreign")


def test_a_place_that_cannot_be_had_is_named_before_a_model_is_loaded(
    home: Path, train_here: Train
) -> None:
    (home / "taken").touch()
    recipe = write_recipe(home, "elsewhere")
    recipe.write_text(recipe.read_text().replace('"elsewhere"', '"taken/policy"'))
    code, _, err = train_here("kto", recipe)
    assert (code, err.count("\n")) == (2, 1)
    assert f"{home / 'taken/policy'}: this folder cannot be made" in err


def test_dpo_trains_on_balanced_pairs_of_the_same_rows(home: Path, train_here: Train) -> None:
    code, out, err = train_here("dpo", write_recipe(home, "dpo", "eval_share = 0.2\n", steps=4))
    assert code == 0, err
    manifest = json.loads(out)
    rows = manifest["rows"]
    assert 0 < rows["pairs"] <= min(rows["desirable"], rows["undesirable"])
    assert rows["eval_pairs"] > 0
    assert "eval_loss" in manifest["result"]["metrics"]


def test_sft_learns_from_desirable_rows_only_and_trains_adapters_where_asked(
    home: Path, train_here: Train
) -> None:
    code, out, err = train_here("sft", write_recipe(home, "sft", "[lora]\nrank = 4\n", steps=4))
    assert code == 0, err
    rows = json.loads(out)["rows"]
    assert rows["undesirable"] == 0
    assert rows["undesirable_not_used"] + rows["desirable"] == rows["read"]
    assert (home / "sft/adapter_model.safetensors").exists()


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"prompt": "p", "completion": "c"}', "rows.jsonl:1: label is missing"),
        ('{"prompt": "p", "completion": "c", "label": true}', "kto needs rows of both labels"),
    ],
)
def test_rows_that_do_not_serve_end_with_exit_code_2(
    home: Path, tmp_path: Path, train_here: Train, row: str, said: str
) -> None:
    (tmp_path / "rows.jsonl").write_text(row + "\n")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(f'model = "{home}/policy"\ndata = "rows.jsonl"\noutput_dir = "out"\n')
    code, out, err = train_here("kto", recipe)
    assert (code, out) == (2, "")
    assert said in err
    assert not (tmp_path / "out").exists()


def test_help_loads_none_of_the_heavy_libraries() -> None:
    code = "import sys, trainer.cli; sys.exit(bool({'torch', 'trl'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
