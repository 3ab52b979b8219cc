"""CheXbert's network: equal to an independent forward, loaded strictly, same in any batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import plain_networks
import pytest
import torch
from neural_world import chexbert_state, write_bert, write_chexbert

from evaluation.clinical import LabelMatrix
from evaluation.neural.chexbert import Chexbert, load_chexbert, semb_scores
from evaluation.neural.weights import load_tokenizer
from infra.errors import InputError

CPU = torch.device("cpu")
TEXTS = (
    "The heart is normal. The lungs are clear.",
    "Small left pleural effusion.",
    "",
    "no edema",
    "  \n ",
    "Right effusion, small; edema?",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bert(tmp_path_factory.mktemp("weights") / "bert-base-uncased")


@pytest.fixture(scope="module")
def labeler(folder: Path) -> Chexbert:
    return load_chexbert(write_chexbert(folder.parent / "chexbert.pth"), folder, CPU)


def test_labels_and_vectors_equal_an_independent_forward(labeler: Chexbert, folder: Path) -> None:
    read = labeler.read(TEXTS, batch_size=2)
    tokenizer, state = load_tokenizer(folder), chexbert_state()
    told = set()
    for place, text in enumerate(TEXTS):
        if text.strip():
            vector, classes = plain_networks.chexbert(state, tokenizer(text)["input_ids"])
            np.testing.assert_allclose(read.vectors[place], vector.numpy(), atol=2e-5)
            assert read.labels.codes[place].tolist() == classes
            told.add(tuple(classes))
    assert len(told) > 1, "random heads tell these texts apart"


def test_classes_mean_what_a_label_matrix_says(labeler: Chexbert) -> None:
    labels = labeler.read(TEXTS, batch_size=4).labels
    assert isinstance(labels, LabelMatrix)
    assert labels.codes[:, :13].max() == 3
    assert set(labels.codes[:, 13].tolist()) <= {0, 1}, "No Finding is blank or positive"


def test_an_empty_text_is_all_blank_and_has_no_direction(labeler: Chexbert) -> None:
    read = labeler.read(TEXTS, batch_size=4)
    for place in (2, 4):
        assert not read.labels.codes[place].any()
        assert not read.vectors[place].any()


def test_the_batch_does_not_change_what_is_read(labeler: Chexbert) -> None:
    one, all_at_once = labeler.read(TEXTS, 1), labeler.read(TEXTS, 99)
    np.testing.assert_array_equal(one.labels.codes, all_at_once.labels.codes)
    np.testing.assert_allclose(one.vectors, all_at_once.vectors, atol=2e-5)
    turned = labeler.read(TEXTS[::-1], 2)
    np.testing.assert_array_equal(turned.labels.codes[::-1], one.labels.codes)


def test_a_long_report_is_cut_at_512_tokens(tmp_path: Path) -> None:
    from neural_world import bert_config, write_tokenizer
    from transformers import BertModel

    bert_config(max_position_embeddings=512).save_pretrained(tmp_path / "bert")
    write_tokenizer(tmp_path / "bert", longest=10_000)
    state = chexbert_state()
    torch.manual_seed(5)
    for name, tensor in BertModel(bert_config(max_position_embeddings=512)).state_dict().items():
        state[f"module.bert.{name}"] = tensor
    labeler = load_chexbert(
        write_chexbert(tmp_path / "chexbert.pth", state), tmp_path / "bert", CPU
    )
    head, tail = "edema " * 510, "normal heart"
    read = labeler.read([head, head + tail, "edema " * 509], 3)
    np.testing.assert_allclose(read.vectors[0], read.vectors[1], atol=1e-6)
    assert np.abs(read.vectors[0] - read.vectors[2]).max() > 1e-6


def damaged(change: str) -> dict[str, object]:
    state: dict[str, object] = dict(chexbert_state())
    if change == "missing":
        del state["module.linear_heads.3.weight"]
    elif change == "unknown":
        state["module.linear_heads.14.weight"] = torch.zeros(4, 16)
    elif change == "shape":
        state["module.linear_heads.13.weight"] = torch.zeros(4, 16)
    return state


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("missing", "found chexbert.pth with 1 tensors missing (first linear_heads.3.weight)"),
        ("unknown", "found chexbert.pth with 1 tensors unknown (first linear_heads.14.weight)"),
        ("shape", "1 tensors of another shape (first linear_heads.13.weight); expected all 67"),
    ],
)
def test_another_checkpoint_is_refused(
    tmp_path: Path, folder: Path, change: str, told: str
) -> None:
    path = write_chexbert(tmp_path / "chexbert.pth", damaged(change))
    with pytest.raises(InputError) as caught:
        load_chexbert(path, folder, CPU)
    assert told in str(caught.value)


def test_files_that_are_no_checkpoint_are_one_line(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "chexbert.pth"
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(InputError, match=r"found chexbert.pth, which torch cannot read"):
        load_chexbert(path, folder, CPU)
    torch.save({"weights": {}}, path)
    with pytest.raises(
        InputError, match=r"chexbert.pth with keys weights; expected a 'model_state"
    ):
        load_chexbert(path, folder, CPU)
    torch.save([1], path)
    with pytest.raises(InputError, match=r"found a list in chexbert.pth; expected named tensors"):
        load_chexbert(path, folder, CPU)


class _Trap:
    """What would run code if it were unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("trap"),)  # type: ignore[return-value]


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path, folder: Path) -> None:
    path = tmp_path / "chexbert.pth"
    torch.save({"model_state_dict": _Trap()}, path)
    with pytest.raises(InputError, match="cannot read"):
        load_chexbert(path, folder, CPU)
    assert not Path("trap").exists()


def test_a_tokenizer_folder_of_another_model_is_refused(tmp_path: Path, folder: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "roberta"}')
    with pytest.raises(InputError, match=r"found a roberta in .*; expected bert-base-uncased"):
        load_chexbert(folder / "absent.pth", tmp_path, CPU)


def test_semb_score_is_the_cosine_and_zero_beside_an_empty_text() -> None:
    one = np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]], dtype=np.float32)
    other = np.array([[4.0, 3.0], [-2.0, 0.0], [1.0, 1.0]], dtype=np.float32)
    np.testing.assert_allclose(semb_scores(one, other), [0.96, -1.0, 0.0])
