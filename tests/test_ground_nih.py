"""NIH's published boxes as phrases: real films of the open data, held out by the official list."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from raw_world import look

from sources.crop import Crop, Rectangle
from sources.record import Split
from tasks.context import Context
from tasks.ground import texts as ground_texts
from tasks.ground.truth import boxed_images, scored_split
from tasks.ingest.stored_images import ingest_images
from tasks.ingest.studies import ingest_studies

BOXED = ("00002578_000.png", "00009507_004.png", "00010277_000.png")
OTHERS = ("00000061_012.png", "00000075_000.png")
SIDE_PX = 112


@pytest.fixture(scope="module")
def context(public_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Context:
    """The boxed films beside two others; the boxed ones are the official test list."""
    published, root = public_data / "nih_cxr14", tmp_path_factory.mktemp("nih") / "raw"
    (root / "images").mkdir(parents=True)
    for name in ("BBox_List_2017.csv", "Data_Entry_2017_v2020.csv"):
        shutil.copy(published / name, root / name)
    for name in (*BOXED, *OTHERS):
        shutil.copy(published / "images" / name, root / "images" / name)
    (root / "test_list.txt").write_text("\n".join(BOXED) + "\n")
    listed = (root / "Data_Entry_2017_v2020.csv").read_text().splitlines()[1:]
    rest = sorted({line.split(",")[0] for line in listed} - set(BOXED))
    (root / "train_val_list.txt").write_text("\n".join(rest) + "\n")
    made = look(tmp_path_factory.mktemp("data"), {"nih_cxr14": root})
    ingest_studies(made, "nih_cxr14")
    ingest_images(made, "nih_cxr14")
    return made


def test_every_published_box_of_a_test_film_is_there(context: Context) -> None:
    images = boxed_images(context, "nih_cxr14")
    assert [image.image_id for image in images] == list(BOXED)
    assert scored_split({image.split for image in images}) is Split.TEST
    names = {image.image_id: sorted(image.boxes) for image in images}
    assert names[BOXED[2]] == ["Effusion", "Infiltration", "Mass", "Pneumonia"]
    assert all(image.published == (1024, 1024) for image in images)


def test_boxes_are_phrases_on_the_crop_and_counts_add_up(context: Context) -> None:
    texts = ground_texts.test_texts(context, SIDE_PX)
    (count,) = texts.counts()
    assert (count.unit, count.rows_in) == ("sentences, phrase of nih_cxr14", 6)
    assert count.rows_in == count.kept + sum(count.rejected.values())
    assert count.kept == len(texts.sentences) >= 5
    nodule = next(one for one in texts.sentences if one.words == "There is nodule.")
    told = Rectangle(796.444444, 327.246560, 796.444444 + 78.019047, 327.246560 + 59.597883)
    square = Crop.of((1024, 1024), (1024, 1024), 1024).place(told)
    assert nodule.boxes[0].x_min == pytest.approx(square.x_min, abs=1e-6)
    assert nodule.boxes[0].y_max == pytest.approx(square.y_max, abs=1e-6)


def test_what_is_scored_is_not_chosen_on(context: Context) -> None:
    tried = ground_texts.validate_texts(context, SIDE_PX)
    assert tried.rows == []
