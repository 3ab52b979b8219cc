"""Feature extractors from local folders: what each computes, and what is refused or unavailable."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from infra.errors import InputError
from infra.film_runs import (
    CLASSIFIER,
    CLASSIFIER_FEATURES,
    PUBLISHED,
    ReadFilmsRun,
    find_extractors,
)
from models.classify import classify
from models.collate import normalised
from models.dual_encoder import CxrDualEncoder
from models.film_features import load_extractor
from models.films import film_batches
from models.read_films import READINGS_FILE, read_films
from sources.film import READING_SCHEMA
from tests.films_world import densenet_checkpoint, drawn_shard, labelled_run, rad_dino_folder
from tests.models_world import SIDE_PX, trained_world

CPU = torch.device("cpu")


def grey(side_px: int, count: int = 3) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, side_px, side_px), generator=generator).to(torch.uint8)


@pytest.mark.slow
def test_the_in_house_features_are_the_mean_of_patches() -> None:
    folder = trained_world() / "pretrain"
    found = load_extractor("in-house", folder, CPU)
    tower = CxrDualEncoder.from_pretrained(folder).vision_model.eval()
    with torch.inference_mode():
        states = tower(pixel_values=normalised(grey(SIDE_PX))).last_hidden_state
        features = found.embed(grey(SIDE_PX))
    assert found.side_px == SIDE_PX
    assert features.shape == (3, 32)
    assert torch.allclose(features, states[:, 1:].mean(dim=1), atol=1e-6), "CLS left out"


def test_a_vlms_own_tower_will_do() -> None:
    found = load_extractor("in-house", trained_world() / "finetune", CPU)
    with torch.inference_mode():
        assert found.embed(grey(SIDE_PX)).shape == (3, 32)


def test_rad_dino_reads_grey_levels_as_its_folder_tells(tmp_path: Path) -> None:
    model = rad_dino_folder(tmp_path)
    found = load_extractor("rad-dino", tmp_path, CPU)
    pixels = ((grey(28).float() / 255 - 0.5307) / 0.2583)[:, None].expand(-1, 3, -1, -1)
    with torch.inference_mode():
        expected = model(pixel_values=pixels).last_hidden_state[:, 0]
        assert torch.allclose(found.embed(grey(28)), expected, atol=1e-6)
    assert found.side_px == 28


def test_rad_dino_without_its_grey_levels(tmp_path: Path) -> None:
    rad_dino_folder(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.4, 0.5, 0.5]}')
    with pytest.raises(InputError, match="image_mean and image_std of grey films"):
        load_extractor("rad-dino", tmp_path, CPU)


def test_another_model_is_not_rad_dino(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a model of type 'cxr-dual-encoder'"):
        load_extractor("rad-dino", trained_world() / "pretrain", CPU)
    with pytest.raises(InputError, match="no readable config"):
        load_extractor("rad-dino", tmp_path, CPU)


def test_what_is_not_here_says_what_it_needs(tmp_path: Path) -> None:
    found, missing = find_extractors(None)
    assert found == {}
    assert missing["xrv-densenet121"] == (
        "needs model.safetensors in $CXR_WEIGHTS_ROOT/torchxrayvision/densenet121-res224-all"
    )
    densenet_checkpoint(tmp_path / PUBLISHED["xrv-densenet121"][0])
    rad_dino_folder(tmp_path / PUBLISHED["rad-dino"][0])
    (tmp_path / PUBLISHED["rad-dino"][0] / "config.json").unlink()
    found, missing = find_extractors(tmp_path)
    assert list(found) == ["xrv-densenet121"]
    assert missing == {"rad-dino": "needs config.json in $CXR_WEIGHTS_ROOT/microsoft/rad-dino"}


def test_every_reader_reads_every_film(tmp_path: Path) -> None:
    run = labelled_run(tmp_path, steps=2, validate_steps=1)
    assert classify(run) == 0
    densenet_checkpoint(tmp_path / "xrv")
    drawn = drawn_shard(tmp_path / "drawn.parquet")
    folders = {"in-house": trained_world() / "pretrain", "xrv-densenet121": tmp_path / "xrv"}
    reading = ReadFilmsRun(
        films=(drawn, *run.validate_films), extractors=folders, classifier=run.output,
        batch_size=4, output=tmp_path / "out", device="cpu",
    )  # fmt: skip
    assert read_films(reading) == 0
    table = pq.read_table(tmp_path / "out" / READINGS_FILE)
    assert table.schema.equals(READING_SCHEMA)
    rows = table.to_pylist()
    widths = {row["reader"]: len(row["values"]) for row in rows}
    assert widths == {
        "in-house": 32,
        "xrv-densenet121": 13,
        CLASSIFIER: 2,
        CLASSIFIER_FEATURES: 4 * run.width,
    }
    for reader in widths:
        own = [row["film_id"] for row in rows if row["reader"] == reader]
        assert own[:10] == [f"f{number}" for number in range(10)]
        assert len(own) == 18
    told = np.array([row["values"] for row in rows if row["reader"] == CLASSIFIER])
    assert ((told > 0) & (told < 1)).all()


def test_batches_change_nothing(tmp_path: Path) -> None:
    drawn = drawn_shard(tmp_path / "drawn.parquet")
    found = []
    for size in (1, 10):
        run = ReadFilmsRun(
            films=(drawn,), extractors={"in-house": trained_world() / "pretrain"},
            batch_size=size, output=tmp_path / str(size), device="cpu",
        )  # fmt: skip
        read_films(run)
        found.append(np.array(pq.read_table(run.output / READINGS_FILE)["values"].to_pylist()))
    assert np.allclose(found[0], found[1], atol=1e-5)


def test_films_that_cannot_be_read(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    pq.write_table(pa.table({"film_id": ["a"], "pixels": [b"no picture"]}), broken)
    with pytest.raises(InputError, match=r"a film of broken\.parquet that cannot be read"):
        list(film_batches([broken], 32, 4))
    with pytest.raises(InputError, match="no file"):
        list(film_batches([tmp_path / "none.parquet"], 32, 4))
    other = tmp_path / "other.parquet"
    pq.write_table(pa.table({"x": [1]}), other)
    with pytest.raises(InputError, match="film_id and pixels, or those of examples"):
        list(film_batches([other], 32, 4))
    with pytest.raises(InputError, match="no extractor and no classifier"):
        read_films(ReadFilmsRun(films=(other,), output=tmp_path / "out"))
