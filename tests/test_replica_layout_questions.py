"""The replicas of MIMIC-CXR-VQA and Medical-Diff-VQA, opened without our readers."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from replica_world import Row, World, header_of, make_world, picture_of, rows_of

from sources.record import Split
from sources.replicas.truth import ReplicaSpec

SPEC = ReplicaSpec(40, seed=6, side_px=96, wording="template")
DATASET = "MIMIC-Ext-MIMIC-CXR-VQA/dataset"
KEYS = {
    *("split", "idx", "subject_id", "study_id", "image_id", "image_path", "question"),
    *("semantic_type", "content_type", "template", "template_program", "template_arguments"),
    "answer",
}


@pytest.fixture(scope="module")
def vqa(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world("mimic_cxr_vqa", tmp_path_factory.mktemp("vqa"), SPEC)


@pytest.fixture(scope="module")
def diff(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world("medical_diff_vqa", tmp_path_factory.mktemp("diff"), SPEC)


def records(world: World, stem: str) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads((world.root / DATASET / f"{stem}.json").read_text())
    return loaded


def shown(world: World, study_id: str) -> set[str]:
    """Findings that a frontal film of the study shows."""
    findings = world.truth[study_id]["findings"]
    return {item["name"] for item in findings if not item["lateral_only"]}


def test_records_have_the_publishers_keys(vqa: World) -> None:
    for stem in ("train", "valid", "test"):
        rows = records(vqa, stem)
        assert rows
        assert all(set(row) == KEYS and row["split"] == stem for row in rows)
    index = json.loads((vqa.root / DATASET / "ans2idx.json").read_text())
    assert sorted(index.values()) == list(range(len(index)))
    assert {"yes", "no", "left", "right", "pa", "ap"} <= set(index)


def test_answers_are_sorted_lists_but_for_the_trap(vqa: World) -> None:
    answers = [row["answer"] for row in records(vqa, "train")]
    assert [answer for answer in answers if isinstance(answer, str)] == ["yes"]
    assert [] in answers, "an empty list"
    assert all(answer == sorted(answer) for answer in answers if isinstance(answer, list))


def test_paths_lead_to_films_in_the_tree(vqa: World) -> None:
    found = 0
    for row in records(vqa, "test"):
        path = vqa.root / "mimic-cxr-jpg" / "files" / row["image_path"]
        assert row["image_id"] in path.name
        found += path.suffix == ".jpg" and picture_of(path.read_bytes()) is not None
    assert found > 0


def test_presence_and_lists_are_true_of_the_chest(vqa: World) -> None:
    checked = Counter[str]()
    for stem in ("train", "valid", "test"):
        for row in records(vqa, stem)[:-4]:
            true = shown(vqa, row["study_id"])
            if row["content_type"] == "presence":
                name = row["question"].removeprefix("is there ").removesuffix("?")
                assert (row["answer"] == ["yes"]) is (name in true)
            elif row["content_type"] == "abnormality":
                assert set(row["answer"]) == true
            elif row["content_type"] == "size":
                assert (row["answer"] == ["yes"]) is ("cardiomegaly" in true)
            checked[row["content_type"]] += 1
    assert set(checked) == {
        *("presence", "abnormality", "anatomy", "attribute", "plane", "gender", "size")
    }


def test_the_traps_of_mimic_cxr_vqa_are_met(vqa: World) -> None:
    rows = vqa.reading.rejected.to_pylist()
    assert Counter(row["reason"] for row in rows if row["level"] == "dialogue") == {
        "study-rejected": 1,
        "question-missing": 1,
        "duplicate-id": 1,
    }
    assert "image-unknown" in {row["reason"] for row in rows if row["level"] == "image"}
    splits: dict[str, set[str]] = {}
    for study in vqa.studies.values():
        assert study.subject_id and study.split
        splits.setdefault(study.subject_id, set()).add(study.split)
    assert {Split.TRAIN, Split.VALIDATE} in splits.values(), "a person in both"


def test_tables_have_the_publishers_columns(diff: World) -> None:
    pairs = "study_id,subject_id,ref_id,question_type,question,answer,split"
    assert ",".join(header_of(diff.root / "mimic_pair_questions.csv")) == pairs
    films = header_of(diff.root / "mimic_all.csv")
    assert films[:2] == ["subject_id", "study_id"]
    assert films[2:16] == sorted(films[2:16])
    assert films[16:] == ["dicom_id", "view", "split", "study_date", "study_order"]
    rows = rows_of(diff.root / "mimic_all.csv")
    assert {row["view"] for row in rows} == {"postero-anterior", "antero-posterior"}
    diseases = json.loads((diff.root / "all_diseases.json").read_text())
    assert {entry["study_id"] for entry in diseases} == {row["study_id"] for row in rows}


def questions(world: World) -> list[Row]:
    """The sound rows: the six at the end are traps."""
    return rows_of(world.root / "mimic_pair_questions.csv")[:-6]


def test_all_seven_types_are_asked(diff: World) -> None:
    assert {row["question_type"] for row in questions(diff)} == {
        *("abnormality", "presence", "view", "location", "level", "type", "difference")
    }
    assert {row["split"] for row in questions(diff)} == {"train", "val", "test"}


def test_differences_are_true_of_both_chests(diff: World) -> None:
    seen = 0
    for row in questions(diff):
        if row["question_type"] != "difference":
            continue
        seen += 1
        now, before = shown(diff, row["study_id"]), shown(diff, row["ref_id"])
        told = [part.strip() for part in row["answer"].split(".") if part.strip()]
        said = {
            word: {part.removesuffix(f" is {word}") for part in told if part.endswith(word)}
            for word in ("new", "gone", "different")
        }
        assert said["new"] == now - before
        assert said["gone"] == before - now
        assert said["different"] <= now & before
        if told == ["nothing has changed"]:
            assert now == before
    assert seen >= 5


def test_a_reference_is_an_earlier_study_of_the_same_person(diff: World) -> None:
    films = {row["study_id"]: row for row in rows_of(diff.root / "mimic_all.csv")}
    for row in questions(diff):
        if row["ref_id"]:
            own, earlier = films[row["study_id"]], films[row["ref_id"]]
            assert own["subject_id"] == earlier["subject_id"]
            assert earlier["study_date"] < own["study_date"]


def test_the_traps_of_medical_diff_vqa_are_met(diff: World) -> None:
    rows = diff.reading.rejected.to_pylist()
    assert Counter(row["reason"] for row in rows if row["level"] == "dialogue") == {
        "type-unknown": 1,
        "answer-missing": 1,
        "film-missing": 1,
        "reference-missing": 1,
        "reference-later": 1,
    }


def test_the_reader_gives_the_pairs_their_two_films(diff: World) -> None:
    pairs = [
        (study, one)
        for study in diff.studies.values()
        for one in study.dialogues
        if one.question_type == "difference"
    ]
    assert pairs
    owner = {image.image_id: study for study in diff.studies.values() for image in study.images}
    for study, one in pairs:
        own, earlier = (owner[name] for name in one.image_ids)
        assert own is study and earlier is not study
        assert earlier.subject_id == study.subject_id
        assert earlier.acquired_on and study.acquired_on
        assert earlier.acquired_on < study.acquired_on


def test_the_wording_may_be_free(tmp_path: Path) -> None:
    spec = ReplicaSpec(12, seed=6, side_px=64, wording="free")
    world = make_world("mimic_cxr_vqa", tmp_path, spec)
    texts = {
        row["question"] for row in records(world, "train") if row["content_type"] == "abnormality"
    }
    assert len(texts) > 1


def test_ap_films_are_marked_in_a_corner_so_that_the_view_can_be_told(vqa: World) -> None:
    marked: dict[str, list[bool]] = {"PA": [], "AP": []}
    for study in vqa.studies.values():
        for image in study.images:
            path = vqa.root / image.uri
            film = (
                picture_of(path.read_bytes()) if path.suffix == ".jpg" and path.exists() else None
            )
            if film is not None:
                side = film.width // 7
                corner = film.values[film.height - side + 2 :, film.width - side + 2 :]
                is_both = (corner < 64).mean() > 0.3 and (corner > 200).mean() > 0.08
                marked[str(image.view)].append(bool(is_both))
    assert all(marked["AP"]) and not any(marked["PA"])


def test_the_replica_of_mimic_cxr_itself_is_unmarked(vqa: World, tmp_path: Path) -> None:
    plain = make_world("mimic_cxr", tmp_path, SPEC)
    differing = Counter[str]()
    for study in vqa.studies.values():
        for image in study.images:
            ours = vqa.root / image.uri
            if ours.suffix == ".jpg" and ours.exists():
                theirs = plain.root / image.uri.removeprefix("mimic-cxr-jpg/")
                differing[f"{image.view} {ours.read_bytes() != theirs.read_bytes()}"] += 1
    assert set(differing) == {"PA False", "AP True"}
