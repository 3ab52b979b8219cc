"""RRG24: rows of shards, their pictures, and the MIMIC-CXR member by the organisers' rules."""

from __future__ import annotations

import csv
import hashlib
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest
from pyarrow import Table, parquet

from sources.parquet_pictures import ParquetPictures
from sources.raw_files import ABSENT, RawFolder
from sources.record import Origin, Split, Study, View, study_from_row
from sources.rrg24 import CARD, doubts, read
from sources.rrg24_mimic import VIEW_ORDER, MimicStudy, build_mimic, differing_parts, digest
from tests.damage.test_shards import SCHEMA, put, row
from tests.damage.worlds import picture

TRAIN = "rrg24-shared-task-bionlp/data/train-00000-of-00001.parquet"
HIDDEN = "interpret-cxr-test-hidden/data/test-00000-of-00001.parquet"
PUBLIC = "interpret-cxr-test-public/data/test-00000-of-00001.parquet"


def studies(root: Path) -> dict[str, Study]:
    return {item["study_id"]: study_from_row(item) for item in read(root).studies.to_pylist()}


def one_study(root: Path, **values: Any) -> Study:
    put(root / TRAIN, row(picture(1), picture(2), **values))
    (study,) = studies(root).values()
    return study


def test_a_row_is_a_study_with_its_views_in_order(tmp_path: Path) -> None:
    study = one_study(tmp_path, impression="Normal chest.")
    assert (study.study_id, study.split, study.site) == ("train/0", Split.TRAIN, "OpenI")
    assert [image.image_id for image in study.images] == ["OpenI/film0.png", "OpenI/film1.png"]
    assert [image.uri for image in study.images] == [
        f"{TRAIN}!images/0/0",
        f"{TRAIN}!images/0/1",
    ]
    (text,) = study.texts
    assert (text.findings, text.impression) == ("Clear lungs.", "Normal chest.")
    with RawFolder(tmp_path) as folder:
        assert [folder.read(image.uri) for image in study.images] == [picture(1), picture(2)]


@pytest.mark.parametrize(
    ("source", "origin"),
    [
        ("PadChest", Origin.TRANSLATED),
        ("BIMCV-COVID19", Origin.TRANSLATED),
        ("CheXpert", Origin.RADIOLOGIST),
        ("OpenI", Origin.RADIOLOGIST),
    ],
)
def test_the_publishers_translations_are_told(source: str, origin: Origin, tmp_path: Path) -> None:
    assert one_study(tmp_path, source=source).texts[0].origin is origin


def test_white_space_around_a_section_goes_and_an_empty_one_is_absent(tmp_path: Path) -> None:
    (text,) = one_study(tmp_path, findings="\n Two\nlines. ", impression="  ").texts
    assert (text.findings, text.impression) == ("Two\nlines.", None)


@pytest.mark.parametrize(
    ("path", "view", "subject"),
    [
        ("train/patient00012/study1/view2_lateral.jpg", View.LATERAL, "patient00012"),
        ("train/patient00012/study1/view1_frontal.jpg", View.UNKNOWN, "patient00012"),
        ("sub-S1/ses-E2/mod-rx/sub-S1_run-1_bp-chest_vp-pa_dx.png", View.PA, None),
        ("sub-S1/ses-E2/mod-rx/sub-S1_run-1_bp-chest_vp-ap_cr.png", View.AP, None),
        ("sub-S1/ses-E2/mod-rx/sub-S1_run-2_bp-chest_vp-ll_dx.png", View.LATERAL, None),
        ("CXR1_IM-0001-3001.png", View.UNKNOWN, None),
        ("files/p10/p10999999/s50999999/aa-01.jpg", View.UNKNOWN, "10999999"),
    ],
)
def test_what_a_path_tells(path: str, view: View, subject: str | None, tmp_path: Path) -> None:
    put(tmp_path / TRAIN, row(picture(1), images_path=[path]))
    (study,) = studies(tmp_path).values()
    assert (study.images[0].view, study.subject_id) == (view, subject)


@pytest.mark.parametrize("paths", [None, [], [""], [None]])
def test_an_image_without_a_path_is_named_by_its_place(paths: Any, tmp_path: Path) -> None:
    put(tmp_path / TRAIN, row(picture(1), images_path=paths))
    (study,) = studies(tmp_path).values()
    assert study.images[0].image_id == "train/0/0"


def test_shards_without_paths_are_read(tmp_path: Path) -> None:
    (tmp_path / TRAIN).parent.mkdir(parents=True)
    table = Table.from_pylist([row(picture(1))], schema=SCHEMA).drop_columns(["images_path"])
    parquet.write_table(table, tmp_path / TRAIN)
    (study,) = studies(tmp_path).values()
    assert study.images[0].image_id == "train/0/0"


def test_rows_count_on_from_shard_to_shard(tmp_path: Path) -> None:
    for number in range(2):
        place = TRAIN.replace("00000-of-00001", f"0000{number}-of-00002")
        put(tmp_path / place, *(row(picture(1), images_path=[f"{number}{n}.png"]) for n in (0, 1)))
    found = studies(tmp_path)
    assert sorted(found) == ["train/0", "train/1", "train/2", "train/3"]
    assert found["train/3"].images[0].uri.endswith("train-00001-of-00002.parquet!images/1/0")


def test_parts_are_told_by_the_names_of_files_and_folders(tmp_path: Path) -> None:
    places = (TRAIN, TRAIN.replace("train-", "validation-"), PUBLIC, HIDDEN)
    for number, place in enumerate(places):
        put(tmp_path / place, row(picture(1), images_path=[f"{number}.png"]))
    assert {name: study.split for name, study in studies(tmp_path).items()} == {
        "train/0": Split.TRAIN,
        "validation/0": Split.VALIDATE,
        "test-public/0": Split.TEST,
        "test-hidden/0": Split.TEST,
    }


def test_a_folder_for_each_split(tmp_path: Path) -> None:
    put(tmp_path / "train" / "0000.parquet", row(picture(1)))
    put(tmp_path / "val" / "0000.parquet", row(picture(1), images_path=["b.png"]))
    assert sorted(studies(tmp_path)) == ["train/0", "validation/0"]


@pytest.mark.parametrize("section", ["findings", "impression"])
def test_a_section_to_be_written_is_absent_and_named(section: str, tmp_path: Path) -> None:
    other = {"findings": "impression", "impression": "findings"}[section]
    put(tmp_path / HIDDEN, row(picture(1), **{section: "to_generate", other: ""}))
    (study,) = studies(tmp_path).values()
    assert (study.split, study.texts) == (Split.TEST, ())
    (label,) = study.source_labels
    assert (label.name, label.value, label.location) == ("to_generate", "positive", section)


def test_both_sections_to_be_written(tmp_path: Path) -> None:
    put(tmp_path / HIDDEN, row(picture(1), findings="to_generate", impression=" to_generate\n"))
    (study,) = studies(tmp_path).values()
    assert [label.location for label in study.source_labels] == ["findings", "impression"]
    assert study.texts == ()


def test_the_words_in_a_sentence_are_a_sentence(tmp_path: Path) -> None:
    study = one_study(tmp_path, findings="Something to_generate.")
    assert study.texts[0].findings == "Something to_generate."
    assert study.source_labels == ()


def test_the_card_counts_the_five_members() -> None:
    parts = dict(CARD.expected.parts)
    sums = {
        name: sum(count for part, count in parts.items() if part.endswith(name))
        for name in ("train findings", "train impressions", "validation findings",
                     "validation impressions")
    }  # fmt: skip
    assert sums == {
        "train findings": 344_394,
        "train impressions": 366_413,
        "validation findings": 8_839,
        "validation impressions": 9_331,
    }
    assert CARD.expected.studies == 550_395 + 14_111


# The MIMIC-CXR member


def write_tree(tree: Path, studies_of: int = 90, packed: bool = False) -> list[dict[str, str]]:
    """Three tables of invented rows; the rows of the split table come back."""
    rng = random.Random(5)
    tree.mkdir(parents=True)
    splits, metadata, sections = [], [], []
    for number in range(studies_of):
        subject, study = str(10_000_000 + number // 2), str(50_000_000 + number)
        sections.append(
            {
                "study": f"s{study}",
                "impression": f"Impression\n of  {number}." if number % 3 else "",
                "findings": f"Findings of\t{number}. Ü" if number % 5 else "",
            }
        )
        split = ("validate", "test")[number % 2] if number % 10 == 9 else "train"
        for place in range(rng.randint(1, 4)):
            dicom = f"{number:08x}-{place:08x}"
            ids = {"dicom_id": dicom, "study_id": study, "subject_id": subject}
            splits.append(ids | {"split": split})
            metadata.append({"dicom_id": dicom, "ViewPosition": rng.choice(VIEW_ORDER)})
    rng.shuffle(metadata)
    for name, rows in (
        ("mimic-cxr-2.0.0-split.csv", splits),
        ("mimic-cxr-2.0.0-metadata.csv", metadata),
        ("mimic_cxr_sectioned.csv", sections),
    ):
        with (tree / name).open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return splits


def by_the_rules(tree: Path) -> list[list[dict[str, Any]]]:
    """Train and validation rows, from the rules as the dossier words them, without our reader."""

    def rows(name: str) -> list[dict[str, str]]:
        with (tree / name).open(newline="") as stream:
            return list(csv.DictReader(stream))

    texts = {one["study"]: one for one in rows("mimic_cxr_sectioned.csv")}
    views = {one["dicom_id"]: one["ViewPosition"] for one in rows("mimic-cxr-2.0.0-metadata.csv")}
    grouped: dict[str, list[dict[str, str]]] = {}
    for one in rows("mimic-cxr-2.0.0-split.csv"):
        if one["split"] == "train":
            grouped.setdefault(one["study_id"], []).append(one)
    samples = []
    for study, films in grouped.items():
        paths = []
        for view in VIEW_ORDER:
            for film in films:
                if views[film["dicom_id"]] == view:
                    person = film["subject_id"]
                    folder = f"files/p{person[:2]}/p{person}/s{study}"
                    paths.append(f"{folder}/{film['dicom_id']}.jpg")
        sections = {
            name: re.sub(r"\s+", " ", texts[f"s{study}"][name])
            for name in ("findings", "impression")
        }
        samples.append({"images": paths, "images_path": paths, "source": "MIMIC-CXR", **sections})
    order = list(range(len(samples)))
    random.Random(42).shuffle(order)
    held = int(len(order) * 0.025)
    chosen = [samples[index] for index in order]
    return [chosen[: len(chosen) - held], chosen[len(chosen) - held :]]


def test_the_member_is_built_as_the_organisers_build_it(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree")
    built = build_mimic(tmp_path / "tree")
    for split, wanted in zip(
        (Split.TRAIN, Split.VALIDATE), by_the_rules(tmp_path / "tree"), strict=True
    ):
        mine = [study for study in built if study.split is split]
        assert len(mine) == len(wanted) > 0
        text = json.dumps(wanted, ensure_ascii=False, indent=2, sort_keys=True)
        assert digest(mine) == hashlib.sha256(text.encode()).hexdigest()


def test_a_member_that_is_not_the_organisers_is_told_in_one_line(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree")
    built = build_mimic(tmp_path / "tree")
    own = differing_parts(built)
    assert set(own) == {Split.TRAIN, Split.VALIDATE}
    assert differing_parts(built, own) == {}
    edited = {**own, Split.TRAIN: "0" * 64}
    assert differing_parts(built, edited) == {Split.TRAIN: own[Split.TRAIN]}
    [line] = doubts(tmp_path)
    assert "\n" not in line
    assert f"train ({own[Split.TRAIN][:12]}…) and validate (" in line
    put(tmp_path / "other" / TRAIN, row(picture(1)))
    [absent] = doubts(tmp_path / "other")
    assert "two fifths of the training reports, is not there; link MIMIC-CXR-JPG" in absent


def test_packed_tables_give_the_same(tmp_path: Path) -> None:
    import gzip

    write_tree(tmp_path / "tree")
    plain = build_mimic(tmp_path / "tree")
    for path in list((tmp_path / "tree").glob("*.csv")):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert build_mimic(tmp_path / "tree") == plain


def test_another_order_seed_or_share_may_be_asked_for(tmp_path: Path) -> None:
    write_tree(tmp_path / "tree")
    usual = build_mimic(tmp_path / "tree")
    other = build_mimic(tmp_path / "tree", seed=1)
    assert [s.study_id for s in usual] != [s.study_id for s in other]
    half = build_mimic(tmp_path / "tree", validation_share=0.5)
    assert sum(study.split is Split.VALIDATE for study in half) == len(half) // 2
    pa_only = build_mimic(tmp_path / "tree", view_order=("PA",))
    assert {film.position for study in pa_only for film in study.films} == {"PA"}
    assert _films(pa_only) == _films(usual), "the others are left out, not lost"


def _films(built: list[MimicStudy]) -> int:
    return sum(len(study.films) + len(study.left_out) for study in built)


def test_the_member_joins_the_shards(tmp_path: Path) -> None:
    put(tmp_path / TRAIN, row(picture(1)))
    listed = write_tree(tmp_path / "mimic", studies_of=20)
    found = studies(tmp_path)
    train = {one["study_id"] for one in listed if one["split"] == "train"}
    assert set(found) == {"train/0", *train}
    study = found["50000001"]
    assert (study.site, study.subject_id) == ("MIMIC-CXR", "10000000")
    assert study.texts[0].impression == "Impression of 1."
    assert all(image.uri.startswith("mimic/files/p10/") for image in study.images)


def test_images_without_rank_or_metadata_are_rejected(tmp_path: Path) -> None:
    put(tmp_path / TRAIN, row(picture(1)))
    listed = write_tree(tmp_path / "mimic", studies_of=4)
    table = tmp_path / "mimic" / "mimic-cxr-2.0.0-metadata.csv"
    ids = [one["dicom_id"] for one in listed if one["split"] == "train"]
    table.write_text(
        "dicom_id,ViewPosition\n" + f"{ids[0]},RPO\n" + "".join(f"{i},PA\n" for i in ids[2:])
    )
    lost = {row["row_id"][-21:-4]: row["reason"] for row in read(tmp_path).rejected.to_pylist()}
    assert lost == {ids[0]: "view-unranked", ids[1]: "image-unknown"}


def test_embedded_mimic_films_take_their_view_from_the_tree(tmp_path: Path) -> None:
    listed = write_tree(tmp_path / "mimic", studies_of=10)
    held = next(one for one in listed if one["split"] != "train")
    person, study = held["subject_id"], held["study_id"]
    path = f"files/p10/p{person}/s{study}/{held['dicom_id']}.jpg"
    put(tmp_path / PUBLIC, row(picture(1), source="MIMIC-CXR", images_path=[path]))
    table = (tmp_path / "mimic" / "mimic-cxr-2.0.0-metadata.csv").read_text()
    position = re.search(rf"{held['dicom_id']},(.*)", table)
    assert position is not None
    found = studies(tmp_path)["test-public/0"]
    expected = {"PA": View.PA, "AP": View.AP}.get(position[1].strip())
    assert (found.images[0].view is expected) or expected is None
    assert found.subject_id == person


# Pictures in place


def test_row_groups_are_read_once_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put(tmp_path / "a.parquet", *(row(picture(n)) for n in range(6)), group=2)
    pictures = ParquetPictures(path)
    asked: list[int] = []
    plain = pictures._file.read_row_group

    def counted(group: int, **options: Any) -> Any:
        asked.append(group)
        return plain(group, **options)

    monkeypatch.setattr(pictures._file, "read_row_group", counted)
    assert [pictures.read(f"images/{n}/0") for n in range(6)] == [picture(n) for n in range(6)]
    assert asked == [0, 1, 2]
    pictures.close()


def test_a_picture_counts_by_its_shards_size_and_time(tmp_path: Path) -> None:
    put(tmp_path / "a.parquet", row(picture(1)))
    uris = ["a.parquet!images/0/0", "none.parquet!images/0/0"]
    with RawFolder(tmp_path) as folder:
        found, absent = folder.stat(uris)
        before = folder.stat_digest(uris)
    assert absent == ABSENT
    assert found.size == (tmp_path / "a.parquet").stat().st_size
    put(tmp_path / "a.parquet", row(picture(1)), row(picture(2)))
    with RawFolder(tmp_path) as folder:
        assert folder.stat_digest(uris) != before
        assert folder.head(uris[0], 4) == picture(1)[:4]
