"""VQA-RAD's chest subset: the real counts, splits by question, and what ties questions together."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from sources.record import AnswerType, Dialogue, Split, Study, View, study_from_row
from sources.vqa_rad import CARD, read
from tests.questions_world import FOLDER, RECORDS, record, write_vqa_rad


def studies(root: Path) -> dict[str, Study]:
    return {row["study_id"]: study_from_row(row) for row in read(root).studies.to_pylist()}


def dialogues(root: Path) -> dict[str, Dialogue]:
    return {one.dialogue_id: one for study in studies(root).values() for one in study.dialogues}


@pytest.fixture(scope="module")
def real(public_data: Path) -> list[Study]:
    return list(studies(public_data / "vqa_rad").values())


def test_all_pairs_and_images_of_the_chest_are_read(public_data: Path, real: list[Study]) -> None:
    reading = read(public_data / "vqa_rad")
    assert (reading.studies_in, reading.images_in, reading.dialogues_in) == (107, 107, 794)
    assert reading.rejected.num_rows == 0
    assert sum(len(study.dialogues) for study in real) == 794
    assert len(real) == CARD.expected.studies == CARD.expected.images


def test_the_counts_are_those_of_the_published_file(public_data: Path, real: list[Study]) -> None:
    """Counted here without the reader."""
    published = json.loads((public_data / "vqa_rad" / RECORDS).read_text())
    chest = [row for row in published if row["image_organ"] == "CHEST"]
    found = {one.dialogue_id: one for study in real for one in study.dialogues}
    assert {str(row["qid"]) for row in chest} == found.keys()
    for row in chest:
        one = found[str(row["qid"])]
        assert [turn.text for turn in one.turns] == [row["question"], str(row["answer"])]
        assert one.image_ids == (row["image_name"],)
        assert (one.question_type, one.question_form) == (row["question_type"], row["phrase_type"])
        assert one.answer_type is AnswerType(row["answer_type"])
        assert (one.split is Split.TEST) is row["phrase_type"].startswith("test")


def test_the_real_split_is_by_question(real: list[Study]) -> None:
    counts = Counter(one.split for study in real for one in study.dialogues)
    assert counts == {Split.TRAIN: 620, Split.TEST: 174}
    assert dict(CARD.expected.parts) == {"train questions": 620, "test questions": 174}
    both = [study for study in real if len({one.split for one in study.dialogues}) == 2]
    assert len(both) == 73
    assert all(study.split is Split.TEST for study in both)


def test_real_linked_questions_are_one_group(public_data: Path, real: list[Study]) -> None:
    published = json.loads((public_data / "vqa_rad" / RECORDS).read_text())
    linked = {str(row["qid"]): row["qid_linked_id"] for row in published}
    groups: dict[str, set[str | None]] = {}
    for study in real:
        for one in study.dialogues:
            groups.setdefault(linked[one.dialogue_id], set()).add(one.group)
    assert all(len(found) == 1 for found in groups.values())


def test_real_images_are_where_the_uris_say(public_data: Path, real: list[Study]) -> None:
    for study in real:
        (image,) = study.images
        assert (public_data / "vqa_rad" / image.uri).read_bytes()[:3] == b"\xff\xd8\xff"
        assert image.view is View.UNKNOWN


def test_other_organs_are_no_part_of_the_source(tmp_path: Path) -> None:
    records = [record(1), record(2, image_organ="HEAD"), record(3, image_organ="ABD ")]
    write_vqa_rad(tmp_path, records)
    reading = read(tmp_path)
    assert (reading.dialogues_in, reading.rejected.num_rows) == (1, 0)


def test_organ_and_answer_type_may_be_in_any_case(tmp_path: Path) -> None:
    write_vqa_rad(tmp_path, [record(1, image_organ=" chest", answer_type="open "), record(2)])
    found = dialogues(tmp_path)
    assert found["1"].answer_type is AnswerType.OPEN
    assert found["2"].answer_type is AnswerType.CLOSED


def test_an_unknown_answer_type_is_none(tmp_path: Path) -> None:
    write_vqa_rad(tmp_path, [record(1, answer_type="MAYBE")])
    assert dialogues(tmp_path)["1"].answer_type is None


def test_texts_stay_as_published(tmp_path: Path) -> None:
    write_vqa_rad(tmp_path, [record(1, question="Is it? ", answer=" Yes ")])
    one = dialogues(tmp_path)["1"]
    assert [turn.text for turn in one.turns] == ["Is it? ", " Yes "]
    assert one.answers == (" Yes ",)


def test_an_image_in_both_splits_is_held_out_and_its_questions_keep_theirs(
    tmp_path: Path,
) -> None:
    records = [record(1), record(2, phrase_type="test_freeform"), record(3, "synpic2.jpg")]
    write_vqa_rad(tmp_path, records)
    found = studies(tmp_path)
    assert found["synpic1"].split is Split.TEST
    assert [one.split for one in found["synpic1"].dialogues] == [Split.TRAIN, Split.TEST]
    assert found["synpic2"].split is Split.TRAIN


@pytest.mark.parametrize(
    ("change", "is_tied"),
    [
        ({"qid_linked_id": "link-1"}, True),
        ({"question": "is  sign 1 THERE"}, True),
        ({"question": "Is sign 1 there?", "image_name": "synpic2.jpg"}, False),
        ({}, False),
    ],
)
def test_what_ties_questions_together(
    change: dict[str, str], is_tied: bool, tmp_path: Path
) -> None:
    write_vqa_rad(tmp_path, [record(1), record(2, **change)])
    found = dialogues(tmp_path)
    assert (found["1"].group == found["2"].group) is is_tied


def test_ties_reach_from_question_to_question(tmp_path: Path) -> None:
    """1 is linked to 2, which asks what 3 asks, which is linked to 4."""
    write_vqa_rad(
        tmp_path,
        [
            record(4, qid_linked_id="b"),
            record(1, qid_linked_id="a"),
            record(3, qid_linked_id="b", question="Where is it?"),
            record(2, qid_linked_id="a", question="where is it"),
            record(5, qid_linked_id=None),
        ],
    )
    found = dialogues(tmp_path)
    assert len({found[name].group for name in "1234"}) == 1
    assert found["5"].group not in {found["1"].group, None}


def test_a_missing_image_takes_its_questions_along(tmp_path: Path) -> None:
    write_vqa_rad(tmp_path, [record(1), record(2, "synpic2.jpg")])
    (tmp_path / FOLDER / "synpic2.jpg").unlink()
    reading = read(tmp_path)
    lost = [(row["level"], row["row_id"], row["reason"]) for row in reading.rejected.to_pylist()]
    assert sorted(lost) == [
        ("dialogue", "2", "study-rejected"),
        ("image", "synpic2.jpg", "file-missing"),
        ("study", "synpic2", "no-image-left"),
    ]
    assert reading.studies["study_id"].to_pylist() == ["synpic1"]
