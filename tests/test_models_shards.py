"""Row groups held as stored: what is decoded when, and equal to the plain way."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import PIL.Image
import pyarrow.parquet as pq
import pytest
from models_world import SIDE_PX, example, picture, write_shards
from torch.utils.data import DataLoader

from infra.errors import ArtifactError
from models import shards as module
from models.canvas import Canvas
from models.data import ExampleShards, Sample, TrainingOrder
from models.shards import GroupReader, to_model_size
from sources.example import ExampleImage, examples_to_table
from sources.record import View


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    return write_shards(tmp_path_factory.mktemp("shards"))["train"]


def jpeg(width: int, height: int, seed: int = 0) -> bytes:
    buffer = io.BytesIO()
    grey = PIL.Image.open(io.BytesIO(picture("left", seed, width, height))).convert("L")
    grey.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


@pytest.mark.parametrize(("width", "height"), [(28, 28), (28, 41), (45, 28), (60, 50)])
def test_a_jpeg_is_decoded_as_pillow_would(width: int, height: int) -> None:
    data = jpeg(width, height)
    expected = to_model_size(PIL.Image.open(io.BytesIO(data)), SIDE_PX)
    found = Canvas(SIDE_PX).pictures([memoryview(data)])[0]
    assert found.shape == (SIDE_PX, SIDE_PX)
    assert np.array_equal(found, expected)
    assert found.flags.c_contiguous


def test_a_png_is_decoded_too() -> None:
    data = picture("right", 3)
    expected = np.asarray(PIL.Image.open(io.BytesIO(data)).convert("L"))
    assert np.array_equal(Canvas(SIDE_PX).pictures([memoryview(data)])[0], expected)


def test_rows_keep_their_pictures_and_views(tmp_path: Path) -> None:
    """All images of each row, also where rows have several or were filtered."""
    rows = []
    for number in range(6):
        plain = example(number)
        second = ExampleImage("side", View.LATERAL, picture("left", 99), SIDE_PX, SIDE_PX)
        images = (*plain.images, second) if number % 2 else plain.images
        rows.append(type(plain)(**{**vars(plain), "images": images}))
    path = tmp_path / "rows.parquet"
    pq.write_table(examples_to_table(rows), path)
    group = GroupReader(["study_id"]).group(path, 0, [1, 2, 5], pictures=True)
    assert group.rows == tuple({"study_id": f"s{n}", "view": "PA"} for n in (1, 2, 5))
    assert [len(pictures) for pictures in group.pictures] == [2, 1, 2]
    for pictures, number in zip(group.pictures, (1, 2, 5), strict=True):
        assert [bytes(each) for each in pictures] == [each.pixels for each in rows[number].images]


def test_text_is_read_without_pictures(shards: tuple[Path, ...]) -> None:
    group = GroupReader(["target"]).group(shards[0], 0, [0, 3], pictures=False)
    assert group.pictures == ()
    assert group.stored_bytes == 0
    assert [row["target"] for row in group.rows] == [example(0).target, example(3).target]


def test_only_what_is_asked_for_is_decoded(shards: tuple[Path, ...]) -> None:
    examples = ExampleShards(shards, Canvas(SIDE_PX))
    assert examples[9].study_id == "s9"
    assert list(examples._decoded) == [9]


def test_groups_used_last_are_held_within_the_limit(
    shards: tuple[Path, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = GroupReader(["target"])
    one = reader.group(shards[0], 0, range(8), pictures=True)
    monkeypatch.setattr(module, "HELD_BYTES", 2 * one.stored_bytes + 64)
    for index in (1, 2, 0):
        reader.group(shards[0], index, range(8), pictures=True)
    assert len(reader._held) <= 2
    assert reader._bytes == sum(held.stored_bytes for held in reader._held.values())
    assert reader.group(shards[0], 0, range(8), pictures=True).rows == one.rows


def test_a_damaged_shard_is_one_line(tmp_path: Path, shards: tuple[Path, ...]) -> None:
    data = bytearray(shards[0].read_bytes())
    middle = len(data) // 2
    data[middle : middle + 2000] = b"\x00" * 2000
    path = tmp_path / "damaged.parquet"
    path.write_bytes(bytes(data))
    with pytest.raises((ArtifactError, OSError, ValueError)):
        for index in range(3):
            for row in range(8):
                group = GroupReader(["target"]).group(path, index, range(8), pictures=True)
                Canvas(SIDE_PX).pictures(group.pictures[row])


def ids(examples: ExampleShards, order: TrainingOrder, workers: int) -> list[str]:
    def names(batch: list[Sample]) -> list[str]:
        return [sample.example_id for sample in batch]

    loader = DataLoader(examples, 4, sampler=order, num_workers=workers, collate_fn=names)
    return [name for batch in loader for name in batch]


def test_the_order_is_the_same_for_any_number_of_workers(shards: tuple[Path, ...]) -> None:
    examples = ExampleShards(shards, Canvas(SIDE_PX))
    found = [ids(examples, TrainingOrder(examples, 60, seed=3), n) for n in (0, 1, 2)]
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize("start", [0, 1, 17, 40, 59, 60, 75])
def test_a_stage_goes_on_at_any_row(shards: tuple[Path, ...], start: int) -> None:
    examples = ExampleShards(shards, None)
    whole = list(TrainingOrder(examples, 60, seed=3))
    rest = TrainingOrder(examples, 60, seed=3, start=start)
    assert list(rest) == whole[start:]
    assert len(rest) == len(whole[start:])
