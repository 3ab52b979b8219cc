"""Small checkpoints with random weights, in the layouts in which the real ones are published."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from plain_networks import WIDTH
from torch import Tensor
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForTokenClassification,
    BertModel,
    BertTokenizer,
    DistilBertConfig,
    DistilBertForMaskedLM,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaTokenizer,
)

from evaluation.ratescore import TYPES

WORDS = [
    "no",
    "the",
    "heart",
    "is",
    "normal",
    "lungs",
    "are",
    "clear",
    "small",
    "left",
    "right",
    "effusion",
    "edema",
    "pleural",
]
MARKS = [".", ",", ":", "?", "!", "(", ")", "/", "-"]
LETTERS = [chr(code) for code in range(ord("a"), ord("z") + 1)] + [str(n) for n in range(10)]
VOCABULARY = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *WORDS,
    *MARKS,
    *LETTERS,
    *(f"##{letter}" for letter in LETTERS),
]
ENTITIES = ("Observation::definitely present", "Anatomy::definitely present")
RELATIONS = ("located_at", "modify", "suggestive_of")
SHAPE = {"max_span_width": 3, "feature_size": 5, "hidden": 7, "spans_per_word": 0.6}
POSITIONS = 48


def bert_config(**changes: Any) -> BertConfig:
    return BertConfig(
        **{
            "vocab_size": len(VOCABULARY),
            "hidden_size": WIDTH,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "intermediate_size": 24,
            "max_position_embeddings": POSITIONS,
            "initializer_range": 0.4,  # large enough for outputs to differ from text to text
            **changes,
        }
    )


def write_tokenizer(folder: Path, longest: int = POSITIONS) -> BertTokenizer:
    """A WordPiece of some words, all letters and all digits."""
    vocabulary = {token: number for number, token in enumerate(VOCABULARY)}
    tokenizer = BertTokenizer(vocab=vocabulary, model_max_length=longest)
    tokenizer.save_pretrained(folder)
    return tokenizer


def write_bert(folder: Path) -> Path:
    """A folder such as ``bert-base-uncased``'s: tokenizer and shape."""
    bert_config().save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def chexbert_state(seed: int = 0) -> dict[str, Tensor]:
    """Tensors by CheXbert's published names."""
    torch.manual_seed(seed)
    bert = BertModel(bert_config()).state_dict()
    state = {f"module.bert.{name}": tensor for name, tensor in bert.items()}
    state["module.bert.embeddings.position_ids"] = torch.arange(POSITIONS)[None]
    for head in range(14):
        classes = 4 if head < 13 else 2
        state[f"module.linear_heads.{head}.weight"] = torch.randn(classes, WIDTH)
        state[f"module.linear_heads.{head}.bias"] = torch.randn(classes)
    return state


def write_chexbert(path: Path, state: Mapping[str, Any] | None = None) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"epoch": 7, "model_state_dict": dict(state or chexbert_state())}, path)
    return path


def radgraph_state(dataset: str, seed: int = 0) -> dict[str, Tensor]:
    """Tensors by DyGIE++'s names, modules that RadGraph does not use included."""
    torch.manual_seed(seed)
    encoder = BertModel(bert_config()).state_dict()
    prefix = "_embedder.token_embedder_bert._matched_embedder.transformer_model."
    state = {f"{prefix}{name}": tensor for name, tensor in encoder.items()}
    state[f"{prefix}embeddings.position_ids"] = torch.arange(POSITIONS)[None]
    width, hidden = 2 * WIDTH + int(SHAPE["feature_size"]), int(SHAPE["hidden"])
    state["_endpoint_span_extractor._span_width_embedding.weight"] = torch.randn(3, 5)
    layers = "_linear_layers."
    ner = f"_ner._ner_scorers.{dataset}__ner_labels."
    pruner = f"_relation._mention_pruners.{dataset}__relation_labels._scorer."
    related = f"_relation._relation_feedforwards.{dataset}__relation_labels.{layers}"
    scorer = f"_relation._relation_scorers.{dataset}__relation_labels."
    sizes = {
        f"{ner}0._module.{layers}0.": (hidden, width),
        f"{ner}0._module.{layers}1.": (hidden, hidden),
        f"{ner}1._module.": (len(ENTITIES), hidden),
        f"{pruner}0._module.{layers}0.": (hidden, width),
        f"{pruner}0._module.{layers}1.": (hidden, hidden),
        f"{pruner}1._module.": (1, hidden),
        f"{related}0.": (hidden, 3 * width),
        f"{related}1.": (hidden, hidden),
        scorer: (len(RELATIONS), hidden),
        "_coref._f_network._linear_layers.0.": (4, 4),
        "_events._trigger_scorers.none__trigger_labels.1._module.": (2, 4),
    }
    for name, (rows, columns) in sizes.items():
        state[f"{name}weight"] = torch.randn(rows, columns) / columns**0.5
        state[f"{name}bias"] = torch.randn(rows) * 0.3
    return state


def radgraph_config(encoder: str, max_length: int | None = POSITIONS) -> dict[str, Any]:
    """What an archive's config.json holds, as far as inference reads it."""
    bert = {"type": "pretrained_transformer_mismatched", "model_name": encoder}
    return {
        "dataset_reader": {"max_span_width": SHAPE["max_span_width"]},
        "model": {
            "type": "dygie",
            "embedder": {"token_embedders": {"bert": {**bert, "max_length": max_length}}},
            "feature_size": SHAPE["feature_size"],
            "max_span_width": SHAPE["max_span_width"],
            "feedforward_params": {"num_layers": 2, "hidden_dims": SHAPE["hidden"], "dropout": 0.4},
            "loss_weights": {"ner": 0.2, "relation": 1.0, "coref": 0.0, "events": 0.0},
            "modules": {
                "coref": {"spans_per_word": 0.3, "max_antecedents": 100, "coref_prop": 0},
                "ner": {},
                "relation": {"spans_per_word": SHAPE["spans_per_word"]},
                "events": {},
            },
        },
    }


def write_radgraph(
    folder: Path, dataset: str, encoder: str, max_length: int | None = POSITIONS
) -> Path:
    """An unpacked archive."""
    vocabulary = folder / "vocabulary"
    vocabulary.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(radgraph_config(encoder, max_length)))
    (vocabulary / "non_padded_namespaces.txt").write_text("*tags\n*labels\n")
    (vocabulary / f"{dataset}__ner_labels.txt").write_text("\n".join(["", *ENTITIES, ""]))
    (vocabulary / f"{dataset}__relation_labels.txt").write_text("\n".join([*RELATIONS, ""]))
    torch.save(radgraph_state(dataset), folder / "weights.th")
    return folder


def write_distilbert(folder: Path) -> Path:
    torch.manual_seed(1)
    config = DistilBertConfig(
        vocab_size=len(VOCABULARY),
        dim=WIDTH,
        n_layers=6,
        n_heads=2,
        hidden_dim=24,
        max_position_embeddings=POSITIONS,
        initializer_range=0.4,
    )
    DistilBertForMaskedLM(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def write_distilroberta(folder: Path) -> Path:
    """A byte-level tokenizer without merges: one token a byte, ``Ġ`` for a space."""
    torch.manual_seed(2)
    letters = [chr(code) for code in range(33, 127)]
    tokens = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "Ġ", *letters]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    RobertaTokenizer(vocab=vocabulary, merges=[], model_max_length=64).save_pretrained(folder)
    config = RobertaConfig(
        vocab_size=len(tokens),
        hidden_size=WIDTH,
        num_hidden_layers=6,
        num_attention_heads=2,
        intermediate_size=24,
        max_position_embeddings=66,
        initializer_range=0.4,
        pad_token_id=1,
    )
    RobertaForMaskedLM(config).save_pretrained(folder)
    return folder


def write_rate_entities(folder: Path) -> Path:
    torch.manual_seed(3)
    labels = ["O", *(f"{mark}-{kind.upper()}" for kind in TYPES for mark in "BI")]
    config = bert_config(
        id2label=dict(enumerate(labels)), label2id={name: n for n, name in enumerate(labels)}
    )
    BertForTokenClassification(config).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def write_rate_embeddings(folder: Path) -> Path:
    torch.manual_seed(4)
    BertForMaskedLM(bert_config()).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


def write_all(root: Path) -> Path:
    """Every encoder that a recipe names by default, under one weights root."""
    write_chexbert(root / "StanfordAIMI/RRG_scorers/chexbert.pth")
    write_bert(root / "bert-base-uncased")
    write_bert(root / "microsoft/PubMedBERT")
    write_bert(root / "microsoft/CXR-BERT")
    scorers = root / "StanfordAIMI/RRG_scorers"
    write_radgraph(scorers / "radgraph", "radgraph", "microsoft/PubMedBERT")
    write_radgraph(scorers / "radgraph-xl", "radgraph-xl", "microsoft/CXR-BERT")
    write_distilbert(root / "distilbert-base-uncased")
    write_distilroberta(root / "distilroberta-base")
    write_rate_entities(root / "Angelakeke/RaTE-NER-Deberta")
    write_rate_embeddings(root / "FremyCompany/BioLORD-2023-C")
    return root
