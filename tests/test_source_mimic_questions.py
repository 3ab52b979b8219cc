"""MIMIC-CXR-VQA and Medical-Diff-VQA: joined to MIMIC-CXR's films, by hand-written rows."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from infra.errors import SourceError
from sources.mimic_cxr import read as read_mimic
from sources.mimic_cxr_asked import find_tree
from sources.record import AnswerType, Dialogue, Reading, Split, Study, View, study_from_row
from tests.questions_world import (
    DATASET,
    FILMS,
    FIRST,
    PAIRS,
    SECOND,
    SUBJECT,
    TREE,
    asked,
    write_diff_vqa,
    write_mimic,
    write_mimic_vqa,
)


def studies(name: str, root: Path) -> dict[str, Study]:
    reading: Reading = import_module(f"sources.{name}").read(root)
    return {row["study_id"]: study_from_row(row) for row in reading.studies.to_pylist()}


def only(name: str, root: Path, study: str = FIRST) -> Dialogue:
    (one,) = studies(name, root)[study].dialogues
    return one


def vqa(root: Path, **values: Any) -> Dialogue:
    return only("mimic_cxr_vqa", write_mimic_vqa(root, train=[asked(7, **values)]))


def test_a_question_is_joined_to_its_film(tmp_path: Path) -> None:
    write_mimic_vqa(tmp_path, train=[asked(7)])
    study = studies("mimic_cxr_vqa", tmp_path)[FIRST]
    (image,) = study.images
    assert (image.image_id, image.view, image.width, image.height) == (
        "aa-01",
        View.PA,
        2544,
        3056,
    )
    assert image.uri == f"{TREE}/files/p10/p{SUBJECT}/s{FIRST}/aa-01.jpg"
    assert (study.subject_id, study.split) == (SUBJECT, Split.TRAIN)
    assert (study.texts, study.raw_report) == ((), None)
    assert study.acquired_on is not None


def test_ids_and_labels_are_those_that_mimic_cxr_has(tmp_path: Path) -> None:
    write_mimic_vqa(tmp_path, train=[asked(7)])
    theirs = {
        row["study_id"]: study_from_row(row)
        for row in read_mimic(tmp_path / TREE).studies.to_pylist()
    }
    ours = studies("mimic_cxr_vqa", tmp_path)[FIRST]
    assert ours.subject_id == theirs[FIRST].subject_id
    assert ours.labels == theirs[FIRST].labels != ()
    assert ours.images[0].image_id == theirs[FIRST].images[0].image_id


@pytest.mark.parametrize(
    ("semantic", "kind"), [("verify", "CLOSED"), ("choose", "CLOSED"), ("query", "OPEN")]
)
def test_types_are_the_publishers(semantic: str, kind: str, tmp_path: Path) -> None:
    one = vqa(tmp_path, semantic_type=semantic, content_type="anatomy")
    assert (one.dialogue_id, one.question_type, one.question_form) == (
        "train/7",
        "anatomy",
        semantic,
    )
    assert one.answer_type is AnswerType(kind)


@pytest.mark.parametrize(
    ("answer", "parts", "text"),
    [
        (["left", "right"], ("left", "right"), "left, right"),
        (["no"], ("no",), "no"),
        ([], (), "none"),
        ("yes", ("yes",), "yes"),
    ],
)
def test_an_answer_is_a_list(
    answer: Any, parts: tuple[str, ...], text: str, tmp_path: Path
) -> None:
    one = vqa(tmp_path, answer=answer)
    assert one.answers == parts
    assert one.turns[1].text == text


def test_each_file_is_a_split_and_counts_by_itself(tmp_path: Path) -> None:
    write_mimic_vqa(
        tmp_path,
        train=[asked(0)],
        valid=[asked(0, study_id=SECOND, image_id="aa-03")],
        test=[asked(0, study_id="50000002", subject_id="10000002", image_id="bb-01")],
    )
    found = studies("mimic_cxr_vqa", tmp_path)
    assert {
        one.dialogue_id: study.split for study in found.values() for one in study.dialogues
    } == {
        "train/0": Split.TRAIN,
        "valid/0": Split.VALIDATE,
        "test/0": Split.TEST,
    }


def test_mimic_cxrs_own_split_is_not_taken(tmp_path: Path) -> None:
    """bb-01 is a test film there; here its question is of train."""
    other = asked(1, study_id="50000002", subject_id="10000002", image_id="bb-01")
    write_mimic_vqa(tmp_path, train=[other], valid=[asked(0)], test=[asked(0)])
    assert studies("mimic_cxr_vqa", tmp_path)["50000002"].split is Split.TRAIN


@pytest.mark.parametrize("place", ["dataset", f"release-1.0.0/{DATASET}"])
def test_the_files_may_lie_where_the_archive_put_them(place: str, tmp_path: Path) -> None:
    write_mimic_vqa(tmp_path, train=[asked(7)])
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / DATASET).rename(tmp_path / place)
    assert only("mimic_cxr_vqa", tmp_path).dialogue_id == "train/7"


def test_the_tree_may_be_the_root_itself(tmp_path: Path) -> None:
    write_mimic_vqa(tmp_path, train=[asked(7)])
    for path in (tmp_path / TREE).iterdir():
        path.rename(tmp_path / path.name)
    assert find_tree(tmp_path) == tmp_path
    (image,) = studies("mimic_cxr_vqa", tmp_path)[FIRST].images
    assert image.uri.startswith("files/p10/")


PAIR = f"{SECOND},{SUBJECT},{FIRST},difference,what changed?,edema is gone.,train"


def test_a_difference_shows_the_studys_own_film_first(tmp_path: Path) -> None:
    write_diff_vqa(tmp_path, PAIR)
    found = studies("medical_diff_vqa", tmp_path)
    (one,) = found[SECOND].dialogues
    assert one.image_ids == ("aa-03", "aa-01")
    assert (one.dialogue_id, one.question_type, one.question_form) == ("1", "difference", None)
    assert one.answer_type is AnswerType.OPEN
    assert found[FIRST].dialogues == (), "the earlier study is there for its film"
    assert [image.image_id for image in found[FIRST].images] == ["aa-01"]


def test_other_questions_show_one_film_whatever_ref_id_says(tmp_path: Path) -> None:
    write_diff_vqa(tmp_path, f"{SECOND},{SUBJECT},{FIRST},presence,is there edema?,yes,train")
    found = studies("medical_diff_vqa", tmp_path)
    assert list(found) == [SECOND]
    assert found[SECOND].dialogues[0].image_ids == ("aa-03",)


@pytest.mark.parametrize(
    ("kind", "answer", "parts", "closed"),
    [
        ("abnormality", '"edema, nodule"', ("edema", "nodule"), False),
        ("location", '"left, lower"', ("left, lower",), False),
        ("presence", "yes", ("yes",), True),
        ("presence", " No ", (" No ",), True),
        ("view", "ap view", ("ap view",), False),
    ],
)
def test_answers_of_medical_diff_vqa(
    kind: str, answer: str, parts: tuple[str, ...], closed: bool, tmp_path: Path
) -> None:
    write_diff_vqa(tmp_path, f"{FIRST},{SUBJECT},,{kind},what?,{answer},train")
    one = only("medical_diff_vqa", tmp_path)
    assert one.answers == parts
    assert one.answer_type is (AnswerType.CLOSED if closed else AnswerType.OPEN)


def test_ids_that_once_were_numbers(tmp_path: Path) -> None:
    write_diff_vqa(tmp_path, f"{SECOND}.0,{SUBJECT}.0,{FIRST}.0,difference,what?,nothing.,val")
    (one,) = studies("medical_diff_vqa", tmp_path)[SECOND].dialogues
    assert one.split is Split.VALIDATE
    assert one.image_ids == ("aa-03", "aa-01")


def test_a_film_that_is_tested_on_is_held_out_whoever_shows_it(tmp_path: Path) -> None:
    """The first study is asked about in train, and shown as the earlier film of a test question."""
    write_diff_vqa(
        tmp_path,
        f"{FIRST},{SUBJECT},,presence,is there edema?,yes,train",
        PAIR.replace("train", "test"),
    )
    found = studies("medical_diff_vqa", tmp_path)
    assert {name: study.split for name, study in found.items()} == {
        FIRST: Split.TEST,
        SECOND: Split.TEST,
    }
    assert found[FIRST].dialogues[0].split is Split.TRAIN


def test_without_a_split_column_the_films_table_says_it(tmp_path: Path) -> None:
    write_diff_vqa(tmp_path)
    (tmp_path / PAIRS).write_text(
        "study_id,subject_id,ref_id,question_type,question,answer\n"
        "50000002,10000002,,presence,is there edema?,no\n"
    )
    assert only("medical_diff_vqa", tmp_path, "50000002").split is Split.TEST
    assert (tmp_path / FILMS).is_file()


def test_a_tree_alone_is_no_source(tmp_path: Path) -> None:
    write_mimic(tmp_path)
    for name in ("mimic_cxr_vqa", "medical_diff_vqa"):
        with pytest.raises(SourceError, match="found nothing that matches"):
            studies(name, tmp_path)
