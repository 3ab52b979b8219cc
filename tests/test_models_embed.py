"""Films and texts as vectors: the encoders' own, each text once, in the examples' order."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from models_world import MODELS, SIDE_PX, example, trained_world
from safetensors.numpy import load_file

from infra.runs import EmbedRun
from models.canvas import Canvas
from models.collate import normalise
from models.data import ExampleShards
from models.dual_encoder import CxrDualEncoder
from models.embed import EMBEDDINGS, embed
from sources.embedded import FILM_SCHEMA, TEXT_SCHEMA
from sources.example import examples_to_table

PROMPTS = ("There is a nodule.", "There is no nodule.")


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve films of eleven texts: two films are of one study."""
    rows = [example(number, "test") for number in range(200, 211)]
    twin = example(200, "test")
    rows.append(type(twin)(**{**vars(twin), "example_id": "twin", "images": example(210).images}))
    path = tmp_path_factory.mktemp("embed") / "test.parquet"
    pq.write_table(examples_to_table(rows), path)
    return path


def run_of(shard: Path, output: Path, **changes: object) -> EmbedRun:
    chosen = {
        "dual_encoder": trained_world() / "pretrain",
        "vlm": trained_world() / "finetune",
        "examples": (shard,),
        "prompts": PROMPTS,
        "text_tokens": MODELS.text_encoder.context_tokens,
        "batch_size": 5,
        "output": output,
        "device": "cpu",
    }
    return EmbedRun.model_validate({**chosen, **changes})


@pytest.fixture(scope="module")
def embedded(shard: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("embedded")
    assert embed(run_of(shard, output)) == 0
    return output


def test_every_film_and_every_text_once(embedded: Path) -> None:
    films = pq.read_table(embedded / "films.parquet")
    texts = pq.read_table(embedded / "texts.parquet")
    assert films.schema.equals(FILM_SCHEMA)
    assert texts.schema.equals(TEXT_SCHEMA)
    assert (films.num_rows, texts.num_rows) == (12, 11)
    assert films["text"].to_pylist() == [*range(11), 0]
    assert films["example_id"].to_pylist()[-1] == "twin"
    result = json.loads((embedded / "result.json").read_text())
    assert (result["films"], result["texts"]) == (12, 11)


def test_shapes_follow_the_models(embedded: Path) -> None:
    vectors = load_file(embedded / EMBEDDINGS)
    width = MODELS.language.width
    assert {name: each.shape for name, each in vectors.items()} == {
        "dual.images": (12, MODELS.embedding),
        "dual.texts": (11, MODELS.embedding),
        "dual.prompts": (2, MODELS.embedding),
        "vlm.images": (12, width),
        "vlm.texts": (11, width),
    }
    for name in ("dual.images", "dual.texts", "dual.prompts"):
        assert np.allclose(np.linalg.norm(vectors[name], axis=1), 1.0, atol=1e-5)


def test_films_are_the_encoders_own_embeddings(embedded: Path, shard: Path) -> None:
    model = CxrDualEncoder.from_pretrained(trained_world() / "pretrain").eval()
    samples = list(ExampleShards([shard], Canvas(SIDE_PX)))
    pixels = normalise([each.pixels for each in samples if each.pixels is not None])
    with torch.inference_mode():
        expected = model.embed_images(pixels).numpy()
    assert np.allclose(load_file(embedded / EMBEDDINGS)["dual.images"], expected, atol=1e-5)


def test_the_batch_size_changes_nothing(embedded: Path, shard: Path, tmp_path: Path) -> None:
    assert embed(run_of(shard, tmp_path, batch_size=1)) == 0
    whole, single = load_file(embedded / EMBEDDINGS), load_file(tmp_path / EMBEDDINGS)
    for name in whole:
        assert np.allclose(whole[name], single[name], atol=1e-4), name


def test_one_model_alone_is_enough(shard: Path, tmp_path: Path) -> None:
    assert embed(run_of(shard, tmp_path / "vlm", dual_encoder=None)) == 0
    assert set(load_file(tmp_path / "vlm" / EMBEDDINGS)) == {"vlm.images", "vlm.texts"}
    assert embed(run_of(shard, tmp_path / "dual", vlm=None, prompts=())) == 0
    assert set(load_file(tmp_path / "dual" / EMBEDDINGS)) == {"dual.images", "dual.texts"}
