"""The RRG24 replica, opened without our reader: shards, members, hidden findings, planted views."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from replica_world import World, header_of, make_world, picture_of, rows_of

from sources.raw_files import RawFolder
from sources.record import Split, View
from sources.replicas.rrg24_plan import KINDS, MEMBERS, plan_replica
from sources.replicas.truth import ReplicaSpec

SPEC = ReplicaSpec(100, seed=7, side_px=64, wording="template")
PLANTED = replace(SPEC, studies=80, superfluous=0.8)
SHARDS = {
    "train": "rrg24-shared-task-bionlp/data/train-00000-of-00002.parquet",
    "train-2": "rrg24-shared-task-bionlp/data/train-00001-of-00002.parquet",
    "validation": "rrg24-shared-task-bionlp/data/validation-00000-of-00001.parquet",
    "public": "interpret-cxr-test-public/data/test-00000-of-00001.parquet",
    "hidden": "interpret-cxr-test-hidden/data/test-00000-of-00001.parquet",
}
TREE = "mimic-cxr-jpg"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world("rrg24", tmp_path_factory.mktemp("rrg24"), SPEC)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world("rrg24", tmp_path_factory.mktemp("planted"), PLANTED)


def rows(world: World, *names: str) -> list[dict[str, Any]]:
    tables = (pq.read_table(world.root / SHARDS[name]) for name in names or SHARDS)
    return [row for table in tables for row in table.to_pylist()]


def test_shards_have_the_hubs_columns_and_features(world: World) -> None:
    for name in SHARDS.values():
        schema = pq.read_schema(world.root / name)
        assert schema.names == ["source", "findings", "images", "impression", "images_path"]
        noted = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        assert list(noted) == schema.names
        assert noted["images"] == {"feature": {"_type": "Image"}, "_type": "Sequence"}


def test_pictures_are_jpegs_but_for_the_traps(world: World) -> None:
    damage = Counter[str]()
    for row in rows(world):
        for image in row["images"]:
            if image["bytes"] is None:
                damage["no bytes"] += 1
            elif picture_of(image["bytes"]) is None:
                damage["truncated"] += 1
    assert damage == {"no bytes": 1, "truncated": 1}
    assert sum(not row["images"] for row in rows(world)) == 1
    repeated = [r for r in rows(world) if len(set(r["images_path"])) < len(r["images_path"])]
    assert len(repeated) == 1


def test_members_have_the_sections_that_theirs_have(world: World) -> None:
    assert {study.site for study in world.studies.values()} == set(MEMBERS)
    for row in rows(world, "train", "train-2", "validation", "public"):
        if row["source"] in ("PadChest", "BIMCV-COVID19"):
            assert row["findings"].strip() and not row["impression"]
        else:
            assert row["impression"]


def test_the_hidden_test_says_to_generate(world: World) -> None:
    for row in rows(world, "hidden"):
        assert {row["findings"], row["impression"]} <= {"", "to_generate"}
    hidden = [s for name, s in world.studies.items() if name.startswith("test-hidden/")]
    assert hidden and all(s.split is Split.TEST and not s.texts for s in hidden)
    assert all(label.name == "to_generate" for s in hidden for label in s.source_labels)
    assert all(s.source_labels for s in hidden)
    assert not any("to_generate" in str(s.texts) for s in world.studies.values())


def test_every_study_has_its_truth(world: World) -> None:
    assert set(world.studies) <= set(world.truth)
    for name, study in world.studies.items():
        if study.images and world.truth[name]["trap"] is None:
            assert len(study.images) == len(world.truth[name]["views"])
            views = [View(view) for view in world.truth[name]["views"]]
            if study.site == "MIMIC-CXR":  # its views go by rank
                views.sort(key=[View.PA, View.AP, View.LATERAL].index)
            known = [image.view for image in study.images]
            for view, true in zip(known, views, strict=True):
                assert view in (View.UNKNOWN, true)


def test_a_third_of_the_studies_with_a_lateral_view_hide_a_finding_from_the_others() -> None:
    plan = plan_replica(replace(SPEC, studies=600))
    lateral = [report for report in plan if View.LATERAL in report.truth.views]
    hiding = [r for r in lateral if any(f.lateral_only for f in r.truth.findings)]
    assert 0.6 < len(lateral) / len(plan) < 0.9
    assert 0.3 < len(hiding) / len(lateral) < 0.55
    flat = [report for report in plan if View.LATERAL not in report.truth.views]
    assert not any(f.lateral_only for report in flat for f in report.truth.findings)


def test_a_hidden_finding_is_told_and_shows_on_the_lateral_film_alone(world: World) -> None:
    told = 0
    for name, truth in world.truth.items():
        hidden = [item for item in truth["findings"] if item["lateral_only"]]
        texts = world.studies[name].texts if name in world.studies else ()
        for text in texts:
            if hidden and text.findings:
                told += "lateral" in text.findings or "posterior" in text.findings
    assert told > 3


def test_the_tree_has_what_the_member_is_built_from(world: World) -> None:
    tree = world.root / TREE
    assert header_of(tree / "mimic-cxr-2.0.0-split.csv.gz") == [
        *("dicom_id", "study_id", "subject_id", "split")
    ]
    assert header_of(tree / "mimic_cxr_sectioned.csv") == [
        *("study", "impression", "findings", "last_paragraph", "comparison")
    ]
    splits = {row["split"] for row in rows_of(tree / "mimic-cxr-2.0.0-split.csv.gz")}
    assert splits == {"train", "validate", "test"}
    views = [row["ViewPosition"] for row in rows_of(tree / "mimic-cxr-2.0.0-metadata.csv.gz")]
    assert views.count("RPO") == 1


def test_only_the_official_train_split_is_in_the_member(world: World) -> None:
    listed = rows_of(world.root / TREE / "mimic-cxr-2.0.0-split.csv.gz")
    train = {row["study_id"] for row in listed if row["split"] == "train"}
    ours = {name for name, study in world.studies.items() if study.site == "MIMIC-CXR"}
    assert ours == train
    assert {row["study_id"] for row in listed} - train


def test_the_traps_are_met(world: World) -> None:
    assert Counter(world.rejected.values()) == {
        "view-unranked": 1,
        "image-unknown": 1,
        "duplicate-id": 1,
        "image-missing": 1,
    }
    with RawFolder(world.root) as folder:
        uris = [image.uri for study in world.studies.values() for image in study.images]
        assert sum(stat.size < 0 for stat in folder.stat(uris)) == 1, "the missing JPEG"


def test_nothing_is_planted_unless_asked(world: World) -> None:
    assert not any("superfluous" in truth for truth in world.truth.values())


def test_every_kind_of_superfluous_view_is_planted_and_told(planted: World) -> None:
    lines = [truth for truth in planted.truth.values() if "superfluous" in truth]
    kinds = Counter(kind for truth in lines for kind in truth["superfluous"].values())
    assert set(kinds) == {kind for kind in KINDS if kind != "many"}
    for truth in lines:
        study = planted.studies[truth["study_id"]]
        own = [i for i in study.images if i.image_id not in truth["superfluous"]]
        assert len(own) == len(truth["views"])
        assert len(study.images) == len(own) + len(truth["superfluous"])
    assert any(len(planted.studies[truth["study_id"]].images) > 4 for truth in lines)


def test_planted_views_stand_anywhere(planted: World) -> None:
    places = Counter[bool]()
    for truth in planted.truth.values():
        if "superfluous" in truth:
            first = planted.studies[truth["study_id"]].images[0].image_id
            places[first in truth["superfluous"]] += 1
    assert places[True] and places[False]


def test_planted_views_are_what_they_are_called(planted: World) -> None:
    seen = Counter[str]()
    with RawFolder(planted.root) as folder:
        for truth in planted.truth.values():
            study = planted.studies.get(truth["study_id"])
            if study is None or "superfluous" not in truth:
                continue
            films = {i.image_id: folder.read(i.uri) for i in study.images}
            own = [films[i] for i in films if i not in truth["superfluous"]]
            first = picture_of(own[0])
            assert first is not None
            for image_id, kind in truth["superfluous"].items():
                film = picture_of(films[image_id])
                assert film is not None
                seen[kind] += 1
                if kind == "rotated":
                    assert (film.width, film.height) == (first.height, first.width)
                    assert _likeness(np.rot90(film.values), first.values) > 0.98
                elif kind == "duplicate":
                    assert _likeness(film.values, first.values) > 0.98
                elif film.values.shape == first.values.shape:
                    assert _likeness(film.values, first.values) < 0.97
    assert min(seen.values()) >= 2


def _likeness(one: Any, other: Any) -> float:
    return float(np.corrcoef(one.ravel().astype(float), other.ravel().astype(float))[0, 1])


def test_a_stranger_is_another_person() -> None:
    for report in plan_replica(replace(PLANTED, studies=200)):
        for view in report.views:
            assert (view.truth.person != report.truth.person) is (view.kind == "stranger")


def test_traps_are_there_in_a_small_replica(tmp_path: Path) -> None:
    small = make_world("rrg24", tmp_path, replace(SPEC, studies=24))
    assert {truth["trap"] for truth in small.truth.values()} >= {"no-image", "truncated", "missing"}
