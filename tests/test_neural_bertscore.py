"""BERTScore on small encoders, beside the same arithmetic written as loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from neural_world import write_bert, write_distilbert, write_distilroberta
from transformers import AutoModel, AutoTokenizer

from evaluation.neural.bertscore import BertScorer, load_bertscorer
from infra.errors import InputError

CPU = torch.device("cpu")
REFERENCES = (
    "The heart is normal. The lungs are clear.",
    "Small left pleural effusion.",
    "no edema",
    "Small left pleural effusion.",
)
PREDICTIONS = ("The lungs are clear.", "Small right effusion", "no edema", "clear lungs")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("weights")
    write_distilbert(root / "distilbert-base-uncased")
    write_distilroberta(root / "distilroberta-base")
    return root


@pytest.fixture(scope="module", params=["distilbert-base-uncased", "distilroberta-base"])
def folder(root: Path, request: pytest.FixtureRequest) -> Path:
    return root / str(request.param)


def scorer(folder: Path, layer: int = 5) -> BertScorer:
    return load_bertscorer(folder, layer, CPU)


def embedded(folder: Path, text: str, layer: int) -> tuple[list[int], torch.Tensor]:
    """Tokens of one text alone, with a space before its first word, and their unit vectors."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    spaced = f" {text}" if "roberta" in folder.name else text
    ids = tokenizer(spaced)["input_ids"]
    with torch.inference_mode():
        output = model(torch.tensor([ids]), output_hidden_states=True)
    vectors = output.hidden_states[layer][0]
    return ids, vectors / vectors.norm(dim=1, keepdim=True)


def plain_f1(folder: Path, reference: str, told: str, layer: int) -> float:
    """Greedy matching as loops over tokens."""
    ref_ids, ref = embedded(folder, reference, layer)
    told_ids, own = embedded(folder, told, layer)

    def half(ids: list[int], seeking: torch.Tensor, other: torch.Tensor) -> float:
        inner = range(1, len(ids) - 1)
        best = [max(float(seeking[place] @ vector) for vector in other) for place in inner]
        return sum(best) / len(best) if best else 0.0

    precision, recall = half(told_ids, own, ref), half(ref_ids, ref, own)
    return 2 * precision * recall / (precision + recall)


def test_f1_is_that_of_loops_over_tokens(folder: Path) -> None:
    found = scorer(folder).scores(REFERENCES, PREDICTIONS, 2)
    expected = [
        plain_f1(folder, *pair, layer=5) for pair in zip(REFERENCES, PREDICTIONS, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=2e-5)
    assert found[2] == pytest.approx(1, abs=1e-5)
    assert (found[[0, 1, 3]] < 0.999).all()


def test_the_layer_matters(folder: Path) -> None:
    third = scorer(folder, 3).scores(REFERENCES[:1], PREDICTIONS[:1], 8)
    assert third[0] == pytest.approx(plain_f1(folder, REFERENCES[0], PREDICTIONS[0], 3), abs=2e-5)
    fifth = scorer(folder, 5).scores(REFERENCES[:1], PREDICTIONS[:1], 8)
    assert abs(third[0] - fifth[0]) > 1e-4


def test_rescaling_takes_the_baseline_to_zero_and_one_to_one(root: Path) -> None:
    own = scorer(root / "distilbert-base-uncased")
    raw = own.scores(REFERENCES, PREDICTIONS, 4)
    scaled = own.scores(REFERENCES, PREDICTIONS, 4, baseline=0.66620487)
    np.testing.assert_allclose(scaled, (raw - 0.66620487) / (1 - 0.66620487))
    assert scaled[2] == pytest.approx(1, abs=1e-4)


def test_empty_texts_are_zero_and_shift_nobody(folder: Path) -> None:
    own = scorer(folder)
    references = ["", *REFERENCES[:2], "no edema", ""]
    told = ["no edema", "", PREDICTIONS[1], "  ", ""]
    found = own.scores(references, told, 2, baseline=0.5)
    assert found[[0, 1, 3, 4]].tolist() == [0, 0, 0, 0]
    alone = own.scores(REFERENCES[1:2], PREDICTIONS[1:2], 2, baseline=0.5)
    assert found[2] == pytest.approx(alone[0], abs=1e-5)


def test_neither_batch_nor_order_changes_a_score(folder: Path) -> None:
    own = scorer(folder)
    one, many = (own.scores(REFERENCES, PREDICTIONS, size) for size in (1, 64))
    np.testing.assert_allclose(one, many, atol=2e-5)
    turned = own.scores(REFERENCES[::-1], PREDICTIONS[::-1], 64)
    np.testing.assert_allclose(turned[::-1], many, atol=2e-5)


def test_a_byte_tokenizer_reads_the_first_word_as_after_a_space(root: Path) -> None:
    own = scorer(root / "distilroberta-base")
    one, other = own.scores(["edema", "no edema"], ["edema", "edema no"], 2)
    assert one == pytest.approx(1, abs=1e-5)
    tokens = own._tokenizer.convert_ids_to_tokens(own._tokenizer("no edema")["input_ids"])
    assert tokens[1] == "Ġ"
    assert other < 1


def test_a_text_longer_than_the_encoder_is_cut(root: Path) -> None:
    own = scorer(root / "distilbert-base-uncased")
    head = "edema " * 46
    found = own.scores([head + "heart", head], [head + "lungs", head], 2)
    np.testing.assert_allclose(found, [1, 1], atol=1e-5)


def test_a_layer_that_the_encoder_lacks_is_one_line(root: Path) -> None:
    with pytest.raises(InputError, match=r"found layer 7 of a model with 6; expected one of"):
        scorer(root / "distilbert-base-uncased", 7)


def test_weights_without_a_layer_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = write_distilbert(tmp_path / "distilbert-base-uncased")
    tensors = load_file(folder / "model.safetensors")
    dropped = [name for name in tensors if ".layer.5." in name]
    kept = {name: tensor for name, tensor in tensors.items() if name not in dropped}
    save_file(kept, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        InputError, match=r"found weights in distilbert-base-uncased without 16 ten"
    ):
        scorer(folder)


def test_a_folder_without_weights_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="that transformers cannot read"):
        scorer(write_bert(tmp_path / "bert"))
