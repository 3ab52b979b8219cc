"""What every source keeps to: one suite over the whole catalogue.

A source with a replica is read from a small one; the others from the real public data, where
``CXR_PUBLIC_DATA`` names it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pyarrow.parquet as pq
import pytest

from infra.errors import SourceError
from sources.catalog import Source, catalog
from sources.record import (
    OBSERVATIONS,
    SECTIONS,
    AnswerType,
    LabelValue,
    Level,
    Origin,
    Reading,
    SectionedBy,
    Split,
    View,
    studies_to_table,
    study_from_row,
)
from sources.replicas.truth import ReplicaSpec

SPEC = ReplicaSpec(studies=30, seed=5, side_px=96)
NAMES = sorted(catalog())
WITH_REPLICA = [name for name in NAMES if catalog()[name].write_replica]


SPLIT_BY_STUDY = {"mimic_cxr_vqa", "medical_diff_vqa", "rrg24"}
"""The publisher splits by study or by question; the leakage guard then keeps persons apart."""
TRANSLATED_BY_PUBLISHER = {"rrg24"}


@dataclass(frozen=True)
class Read:
    """One source as read once for all tests."""

    source: Source
    root: Path
    reading: Reading
    rows: list[dict[str, Any]]


class Replicas:
    """Writes each replica at most once for all tests of this module."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def root(self, name: str, seed: int = SPEC.seed) -> Path:
        root = self._folder / f"{name}-{seed}"
        if not root.exists():
            writer = catalog()[name].write_replica
            assert writer is not None
            root.mkdir()
            writer(root, ReplicaSpec(SPEC.studies, seed, SPEC.side_px))
        return root


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Replicas:
    return Replicas(tmp_path_factory.mktemp("replicas"))


@pytest.fixture(scope="module", params=NAMES)
def read(request: pytest.FixtureRequest, replicas: Replicas) -> Read:
    name: str = request.param
    if name in WITH_REPLICA:
        root = replicas.root(name)
    else:
        place = os.environ.get("CXR_PUBLIC_DATA")
        if not place:
            pytest.skip(f"{name} has no replica and CXR_PUBLIC_DATA is not set")
        root = Path(place) / name
        if not root.is_dir():
            pytest.skip(f"{name} has no replica and no folder in the public data")
    source = catalog()[name]
    reading = source.read(root)
    return Read(source, root, reading, reading.studies.to_pylist())


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete(name: str) -> None:
    card = catalog()[name].card
    assert card.name == name
    assert all(text.strip() for text in (card.title, card.licence, card.citation))
    assert card.required and all(group for group in card.required)
    assert card.language is None or re.fullmatch("[a-z]{2}", card.language)
    assert not card.has_reports or card.language, "reports have a language"
    counts = (card.expected.subjects, card.expected.studies, card.expected.images)
    assert all(count is None or count > 0 for count in counts)


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_shows_the_tree_and_a_row(name: str) -> None:
    doc = import_module(f"sources.{name}").__doc__ or ""
    blocks = re.findall(r"::\n\n((?: {4}.*\n|\n)+)", doc)
    assert len(blocks) >= 2, "a raw tree and one example row, each as a literal block"
    assert "invented" in doc, "the row must say that it is invented"


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_folder_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError) as caught:
        catalog()[name].read(tmp_path)
    assert str(caught.value).startswith("found nothing that matches ")
    assert str(caught.value).endswith(f"check that the path is its root; see 'cxr sources {name}'")


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_root_is_refused(name: str, tmp_path: Path) -> None:
    card = catalog()[name].card
    root = tmp_path / "absent"
    with pytest.raises(SourceError) as caught:
        catalog()[name].read(root)
    assert str(caught.value) == (
        f"found no folder at {root}; expected the root of {card.title}; "
        f"set CXR_SOURCE_{name.upper()} or --source {name}=PATH"
    )


def test_rows_in_are_rows_kept_and_rows_rejected(read: Read) -> None:
    levels = read.reading.rejected.column("level").to_pylist()
    assert read.reading.studies_in == len(read.rows) + levels.count(Level.STUDY) > 0
    kept = sum(len(row["images"]) for row in read.rows)
    assert read.reading.images_in == kept + levels.count(Level.IMAGE) > 0
    assert kept > 0


def test_ids_are_unique(read: Read) -> None:
    studies = [row["study_id"] for row in read.rows]
    images = [image["image_id"] for row in read.rows for image in row["images"]]
    uris = [image["uri"] for row in read.rows for image in row["images"]]
    for ids in (studies, images, uris):
        assert len(ids) == len(set(ids))
        assert all(ids)
    rejected = read.reading.rejected.to_pylist()
    assert not {row["row_id"] for row in rejected if row["level"] == "study"} & set(studies)


def test_every_row_names_its_source(read: Read) -> None:
    assert {row["source"] for row in read.rows} == {read.source.card.name}
    assert set(read.reading.rejected.column("source").to_pylist()) <= {read.source.card.name}


def test_a_subject_has_one_split(read: Read) -> None:
    splits: dict[str, set[str]] = {}
    for row in read.rows:
        if row["split"] is not None:  # a hospital's own list may leave it to the recipe
            assert row["split"] in set(Split)
            splits.setdefault(row["subject_id"] or row["study_id"], set()).add(row["split"])
    assert splits or read.source.card.name == "manifest"
    if read.source.card.name not in SPLIT_BY_STUDY:
        assert all(len(found) == 1 for found in splits.values())


def test_views_are_known(read: Read) -> None:
    assert {image["view"] for row in read.rows for image in row["images"]} <= set(View)


def test_uris_are_relative_and_inside_the_root(read: Read) -> None:
    present = 0
    uris = [image["uri"] for row in read.rows for image in row["images"]]
    for uri in uris:
        assert "\\" not in uri and not uri.startswith("/")
        assert ".." not in Path(uri).parts
        present += _exists(read.root, uri)
    assert present >= 0.8 * len(uris), "a replica's missing files are few"


def _exists(root: Path, uri: str) -> bool:
    archive, _, member = uri.partition("!")
    if not member:
        return (root / uri).is_file()
    if archive.endswith(".parquet"):
        column, row, place = member.split("/")
        pictures = pq.read_table(root / archive, columns=[column])[column][int(row)].as_py()
        return pictures[int(place)]["bytes"] is not None
    with ZipFile(root / archive) as opened:
        return member in opened.NameToInfo


def test_labels_are_the_fourteen_with_four_values(read: Read) -> None:
    for row in read.rows:
        names = [label["observation"] for label in row["labels"]]
        assert set(names) <= set(OBSERVATIONS)
        assert len(names) == len(set(names)), row["study_id"]
        assert {label["value"] for label in row["labels"]} <= set(LabelValue)
        assert {label["value"] for label in row["source_labels"]} <= set(LabelValue)
        assert all(label["name"] for label in row["source_labels"])


def test_texts_are_the_radiologists_in_the_cards_language(read: Read) -> None:
    card = read.source.card
    texts = [text for row in read.rows for text in row["texts"]]
    assert card.has_reports or not (texts or any(row["raw_report"] for row in read.rows))
    for text in texts:
        is_translated = card.name in TRANSLATED_BY_PUBLISHER and text["origin"] != "radiologist"
        assert text["origin"] == (Origin.TRANSLATED if is_translated else Origin.RADIOLOGIST)
        assert text["language"] == card.language
        assert text["sectioned_by"] in set(SectionedBy)
        bodies = [text[name] for name in SECTIONS if text[name] is not None]
        assert bodies and all(body.strip() == body != "" for body in bodies)


def test_boxes_lie_on_an_image_of_their_study(read: Read) -> None:
    for row in read.rows:
        sizes = {image["image_id"]: (image["width"], image["height"]) for image in row["images"]}
        for box in row["boxes"]:
            assert box["image_id"] in sizes
            assert box["x_min"] < box["x_max"] and box["y_min"] < box["y_max"]
            width, height = sizes[box["image_id"]]
            assert width is None or box["x_max"] <= width + 1
            assert height is None or box["y_max"] <= height + 1


def test_dialogues_are_questions_with_answers_about_known_images(read: Read) -> None:
    images = {image["image_id"]: row for row in read.rows for image in row["images"]}
    asked = [(row, dialogue) for row in read.rows for dialogue in row["dialogues"]]
    assert len({dialogue["dialogue_id"] for _, dialogue in asked}) == len(asked)
    assert len(asked) <= read.reading.dialogues_in
    for row, dialogue in asked:
        first, *others = dialogue["image_ids"]
        assert images[first] is row and len(others) <= 1
        assert all(images[other]["subject_id"] == row["subject_id"] for other in others)
        assert [turn["role"] for turn in dialogue["turns"]] == ["user", "assistant"]
        assert all(turn["text"].strip() for turn in dialogue["turns"])
        assert dialogue["split"] in set(Split)
        assert dialogue["answer_type"] in {None, *AnswerType}
        shown = [images[name] for name in dialogue["image_ids"]]
        order = [str(split) for split in Split]
        assert all(order.index(one["split"]) >= order.index(dialogue["split"]) for one in shown)


def test_ages_and_sexes_are_plausible(read: Read) -> None:
    assert all(row["subject_age"] is None or 0 <= row["subject_age"] <= 120 for row in read.rows)
    assert {row["subject_sex"] for row in read.rows} <= {None, "F", "M", "O"}


def test_rejections_have_a_code_and_one_line(read: Read) -> None:
    for row in read.reading.rejected.to_pylist():
        assert row["level"] in set(Level)
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", row["reason"])
        assert row["detail"].strip() and "\n" not in row["detail"]


def test_rows_survive_the_way_through_study_objects(read: Read) -> None:
    studies = [study_from_row(row) for row in read.rows]
    assert studies_to_table(studies).to_pylist() == read.rows


def test_reading_twice_gives_the_same(read: Read) -> None:
    again = read.source.read(read.root)
    assert again.studies.equals(read.reading.studies)
    assert again.rejected.equals(read.reading.rejected)


@pytest.mark.parametrize("name", WITH_REPLICA)
def test_a_replica_follows_its_seed(name: str, replicas: Replicas, tmp_path: Path) -> None:
    writer = catalog()[name].write_replica
    assert writer is not None
    writer(tmp_path, SPEC)
    digests = _digests(tmp_path)
    assert digests == _digests(replicas.root(name))
    other = _digests(replicas.root(name, SPEC.seed + 1))
    shared = set(digests.values()) & set(other.values())
    assert len(shared) <= 0.1 * len(digests) + 2, "only empty files and fixed words are equal"


def _digests(root: Path) -> dict[str, str]:
    """SHA-256 of every file under the root, hidden ones included, by relative path."""
    return {
        path.relative_to(root).as_posix(): sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }
