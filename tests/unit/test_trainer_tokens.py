"""What is trained on is what was sampled: one start, one end, a clean seam, no cut."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.errors import InputError
from trainer.rows import Row

pytest.importorskip("transformers", reason="needs the train extra")
pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer that puts <s> in front by itself, and merges " b" into one token."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {"<s>": 0, "</s>": 1, "<|end|>": 2, "a": 3, "b": 4, "c": 5, "ab": 6}
    bpe = Tokenizer(models.BPE(vocabulary, [("a", "b")]))
    bpe.pre_tokenizer = pre_tokenizers.Whitespace()
    bpe.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    bpe.add_special_tokens(["<s>", "</s>", "<|end|>"])
    path = tmp_path_factory.mktemp("tokenizer")
    PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token="<s>", eos_token="</s>"
    ).save_pretrained(path)
    return path


def load(folder: Path, end_of_turn: str | None = None) -> Any:
    from trainer.tokens import load_tokenizer

    return load_tokenizer(str(folder), end_of_turn)


def fit_one(folder: Path, prompt: str, completion: str, max_length: int = 100) -> Any:
    from trainer.tokens import fit

    return fit([Row(prompt, completion, True, "p")], load(folder), max_length)


def test_a_written_start_is_taken_out_where_the_tokenizer_adds_one(folder: Path) -> None:
    assert fit_one(folder, "<s>a c", " c").rows == [Row("a c", " c</s>", True, "p")]


def test_a_completion_gets_its_end_once(folder: Path) -> None:
    assert fit_one(folder, "a", " c").rows[0].completion == " c</s>"
    assert fit_one(folder, "a", " c</s>").rows[0].completion == " c</s>"


def test_a_row_whose_seam_would_merge_is_left_out_and_counted(folder: Path) -> None:
    fitted = fit_one(folder, "c a", "b")
    assert (fitted.rows, fitted.merged, fitted.too_long) == ([], 1, 0)


def test_a_row_over_the_length_is_left_out_not_cut(folder: Path) -> None:
    assert len(fit_one(folder, "a", " c c", max_length=5).rows) == 1  # <s> a c c </s>
    fitted = fit_one(folder, "a", " c c", max_length=4)
    assert (fitted.rows, fitted.merged, fitted.too_long) == ([], 0, 1)


def test_another_end_of_turn_must_be_one_token(folder: Path) -> None:
    assert load(folder, "<|end|>").eos_token_id == 2
    with pytest.raises(InputError, match="not one token"):
        load(folder, "a c")


def test_a_model_without_a_tokenizer_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot load the tokenizer"):
        load(tmp_path)
