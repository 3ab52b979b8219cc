"""RaTEScore's networks: entities of begin and inside labels, and vectors of their words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from neural_world import bert_config, write_rate_embeddings, write_rate_entities, write_tokenizer
from transformers import AutoModel, AutoModelForTokenClassification, BertForTokenClassification

from evaluation.neural.ratescore import RateEncoder, load_rate_encoder
from evaluation.neural.weights import load_tokenizer
from evaluation.ratescore import TYPES, rate_score, split_sentences
from infra.errors import InputError

CPU = torch.device("cpu")
TEXTS = (
    "The heart is normal. The lungs are clear.",
    "",
    "Small left pleural effusion. no edema",
    "OK",
    "right effusion",
)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("weights")
    return write_rate_entities(root / "entities"), write_rate_embeddings(root / "embeddings")


@pytest.fixture(scope="module")
def encoder(folders: tuple[Path, Path]) -> RateEncoder:
    return load_rate_encoder(*folders, CPU)


def plain_entities(folder: Path, sentence: str) -> list[tuple[list[int], str]]:
    """(token ids, type) of every begin label and the inside labels after it, one text alone."""
    model = AutoModelForTokenClassification.from_pretrained(folder, local_files_only=True).eval()
    ids = load_tokenizer(folder)(sentence)["input_ids"]
    with torch.inference_mode():
        classes = model(torch.tensor([ids])).logits[0].argmax(dim=1).tolist()
    labels = [model.config.id2label[told] for told in classes]
    found: list[tuple[list[int], str]] = []
    is_open = False
    for token, label in list(zip(ids, labels, strict=True))[1:-1]:
        if label.startswith("B-"):
            found.append(([token], label[2:].lower()))
        elif label.startswith("I-") and is_open:
            found[-1][0].append(token)
        is_open = label.startswith("B-") or (label.startswith("I-") and is_open)
    return found


def test_entities_are_those_of_one_sentence_at_a_time(
    encoder: RateEncoder, folders: tuple[Path, Path]
) -> None:
    read = encoder.read(TEXTS, 2)
    total = 0
    for text, found in zip(TEXTS, read, strict=True):
        if not split_sentences(text):
            assert found is None
            continue
        plain = [one for each in split_sentences(text) for one in plain_entities(folders[0], each)]
        assert found is not None
        assert [TYPES[kind] for kind in found.types] == [kind for _, kind in plain]
        assert found.vectors.shape == (len(plain), 16)
        total += len(plain)
    assert total > 3, "random weights name some entities"


def test_vectors_are_the_first_token_of_the_entity_alone(
    encoder: RateEncoder, folders: tuple[Path, Path]
) -> None:
    tokenizer = load_tokenizer(folders[0])
    model = AutoModel.from_pretrained(folders[1], local_files_only=True).eval()
    found = encoder.read(TEXTS, 3)[2]
    assert found is not None
    plain = [one for each in split_sentences(TEXTS[2]) for one in plain_entities(folders[0], each)]
    for vector, (tokens, _) in zip(found.vectors, plain, strict=True):
        words = tokenizer.convert_tokens_to_string(tokenizer.convert_ids_to_tokens(tokens))
        ids = load_tokenizer(folders[1])(words)["input_ids"]
        with torch.inference_mode():
            expected = model(torch.tensor([ids])).last_hidden_state[0, 0]
        np.testing.assert_allclose(vector, expected.numpy(), atol=2e-5)


def test_an_empty_text_takes_no_other_pairs_place(encoder: RateEncoder) -> None:
    alone = encoder.read([TEXTS[0]], 4)[0]
    together = encoder.read(TEXTS, 4)
    assert len(together) == len(TEXTS)
    assert alone is not None
    first = together[0]
    assert first is not None
    np.testing.assert_array_equal(alone.types, first.types)
    assert rate_score(together[1], together[1]) == 0
    assert rate_score(first, alone) == pytest.approx(1, abs=1e-6)


def test_no_text_at_all(encoder: RateEncoder) -> None:
    assert encoder.read([], 4) == []
    assert encoder.read(["", "OK"], 4) == [None, None]


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        (["B", "I", "I", "O", "B"], [(0, 3), (4, 5)]),
        (["I", "I", "O", "B", "B"], [(3, 4), (4, 5)]),
        (["O", "I", "O", "O", "O"], []),
        (["B", "O", "I", "B", "I"], [(0, 1), (3, 5)]),
    ],
)
def test_inside_labels_without_a_beginning_name_nothing(
    encoder: RateEncoder, labels: list[str], named: list[tuple[int, int]]
) -> None:
    tokenizer = encoder._namer_tokens
    ids = tokenizer("the heart is normal clear")["input_ids"]
    numbers = {"O": 0, "B": 1, "I": 2}
    classes = [1, *(numbers[label] for label in labels), 2]  # the frame's own labels count nothing
    words = ["the", "heart", "is", "normal", "clear"]
    expected = [(" ".join(words[start:stop]), 0) for start, stop in named]
    assert list(encoder._spans(ids, classes)) == expected


def test_a_model_with_other_labels_is_refused(tmp_path: Path, folders: tuple[Path, Path]) -> None:
    config = bert_config(id2label={0: "O", 1: "B-PERSON"}, label2id={"O": 0, "B-PERSON": 1})
    BertForTokenClassification(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    with pytest.raises(InputError, match=r"found label 'B-PERSON' of an entity model; expected O,"):
        load_rate_encoder(tmp_path, folders[1], CPU)


def test_an_encoder_without_labels_is_refused(folders: tuple[Path, Path]) -> None:
    with pytest.raises(InputError, match="without 2 tensors"):
        load_rate_encoder(folders[1], folders[1], CPU)
