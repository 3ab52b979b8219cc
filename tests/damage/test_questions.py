"""Files of questions that are none, and single questions that cannot go on."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from infra.errors import SourceError
from sources.catalog import get_source
from tests.damage.kinds import AGAIN, Kind
from tests.questions_world import (
    DATASET,
    FIRST,
    RECORDS,
    SECOND,
    SUBJECT,
    asked,
    record,
    write_diff_vqa,
    write_mimic_vqa,
    write_vqa_rad,
)

JSON_FILES = {"vqa_rad": RECORDS, "mimic_cxr_vqa": f"{DATASET}/train.json"}
NO_ARRAY = f"found no JSON array of records in {{path}}{{where}}; expected one; {AGAIN}"
CHECK = "check that this is the publisher's file and release"
FILES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "no bytes": (lambda data: b"", f"found an empty file at {{path}}; expected text; {AGAIN}"),
    "no record": (
        lambda data: b"[]",
        f"found no records in {{path}}; expected at least one; {AGAIN}",
    ),
    "a web page under the file's name": (
        lambda data: b"<!DOCTYPE html>\n<html>Please log in, Jane Doe</html>",
        "found a web page in {path}; expected a table; log in to the publisher's site and "
        "download again",
    ),
    "packed data under a plain name": (
        gzip.compress,
        "found gzip data in {path}; expected plain text; unpack it under this name",
    ),
    "UTF-16 text": (
        lambda data: data.decode().encode("utf-16"),
        "found UTF-16 text in {path}; expected UTF-8 text; convert it to UTF-8",
    ),
    "one object, not an array": (lambda data: b'{"qid": 1}', NO_ARRAY),
    "numbers, not records": (lambda data: b"[1, 2]", NO_ARRAY),
    "a line for each record": (lambda data: b'{"qid": 1}\n{"qid": 2}\n', NO_ARRAY),
    "plain words": (lambda data: b"Jane Doe, born 1950", NO_ARRAY),
    "a file that is cut": (lambda data: data[:-30], NO_ARRAY),
    "bytes that are not UTF-8": (
        lambda data: data.replace(b"sign", b"s\xefgn", 1),
        NO_ARRAY,
    ),
    "further text after the array": (lambda data: data + b" Jane", NO_ARRAY),
    "a key that no record has": (
        lambda data: data.replace(b'"question"', b'"Question-Text"'),
        f"found no key 'question' in any record of {{path}}; expected the keys {{keys}}; {CHECK}",
    ),
}
RAD: dict[str, tuple[dict[str, Any], str]] = {
    "a record without a question": (
        {"question": " "},
        "question-missing: a record without a question",
    ),
    "a record without an answer": ({"answer": ""}, "answer-missing: a record without an answer"),
    "a record without an image": (
        {"image_name": ""},
        "id-missing: record 2 lacks qid or image_name",
    ),
    "a record without an id": ({"qid": None}, "id-missing: record 2 lacks qid or image_name"),
    "a split that nobody knows": (
        {"phrase_type": "dev"},
        "phrase-type-unknown: phrase_type 'dev'; expected freeform, para, test_freeform or "
        "test_para",
    ),
    "an organ that nobody knows": (
        {"image_organ": "LEG"},
        "organ-unknown: image_organ 'LEG'; expected CHEST, HEAD or ABD",
    ),
    "an id that was used": (
        {"qid": 1},
        "duplicate-id: asked again in row 2; the first is kept",
    ),
}
MIMIC: dict[str, tuple[dict[str, Any], str]] = {
    "a question without words": (
        {"question": ""},
        "question-missing: a record without a question",
    ),
    "a question without an image id": (
        {"image_id": None},
        "id-missing: record 2 lacks idx, image_id, study_id or subject_id",
    ),
    "an answer that is a number": (
        {"answer": 3},
        "answer-unreadable: the answer is no list of texts",
    ),
    "an answer with a blank part": (
        {"answer": ["left", ""]},
        "answer-unreadable: the answer is no list of texts",
    ),
    "a kind of question that nobody knows": (
        {"semantic_type": "guess"},
        "type-unknown: semantic_type 'guess'; expected verify, choose or query",
    ),
    "an image of no table": (
        {"image_id": "zz-99", "study_id": "59999999"},
        "study-rejected: the study that it is about was rejected",
    ),
    "an image of another person": (
        {"image_id": "aa-02", "subject_id": "10000009"},
        "image-rejected: the image that it is about was rejected",
    ),
}
_PLAIN = (FIRST, SUBJECT, "", "presence", "is there a sign?", "no", "train")
_PAIR = (SECOND, SUBJECT, FIRST, "difference", "what changed?", "nothing.", "train")
DIFF: dict[str, tuple[tuple[str, ...], str]] = {
    "a row without an answer": (
        (*_PLAIN[:5], "", "train"),
        "answer-missing: a row without an answer",
    ),
    "a row without a question": (
        (*_PLAIN[:4], " ", *_PLAIN[5:]),
        "question-missing: a row without a question",
    ),
    "a type that nobody knows": (
        (*_PLAIN[:3], "colour", *_PLAIN[4:]),
        "type-unknown: question_type 'colour'; expected abnormality, presence, view, location, "
        "level, type, difference",
    ),
    "a split that no table has": (
        (*_PLAIN[:6], "dev"),
        "split-unknown: split 'dev'; expected train, val or test",
    ),
    "a study that is in no table": (
        ("59999999", *_PLAIN[1:]),
        "film-missing: the study is not in mimic_all.csv",
    ),
    "a study of another person": (
        (FIRST, "10000009", *_PLAIN[2:]),
        "id-conflict: mimic_all.csv has another subject for the study or its reference",
    ),
    "a reference that is in no table": (
        (*_PAIR[:2], "59999999", *_PAIR[3:]),
        "reference-missing: the reference is not in mimic_all.csv",
    ),
    "a reference of another person": (
        (*_PAIR[:2], "50000002", *_PAIR[3:]),
        "id-conflict: mimic_all.csv has another subject for the study or its reference",
    ),
    "a reference that was taken later": (
        (FIRST, SUBJECT, SECOND, *_PAIR[3:]),
        "reference-later: the reference was taken after the study",
    ),
}
KINDS = (
    *(
        Kind(name, "files of questions", line.replace("{where}", "").replace("{keys}", "KEYS"))
        for name, (_, line) in FILES.items()
    ),
    *(Kind(name, "vqa_rad", line) for name, (_, line) in RAD.items()),
    *(Kind(name, "mimic_cxr_vqa", line) for name, (_, line) in MIMIC.items()),
    *(Kind(name, "medical_diff_vqa", line) for name, (_, line) in DIFF.items()),
    Kind(
        "no MIMIC-CXR tree beside the questions",
        "mimic_cxr_vqa, medical_diff_vqa",
        "found nothing that matches NAMES under ROOT; expected the files of TITLE; check that the "
        "path is its root; see 'cxr sources NAME'",
    ),
)


def _sound(name: str, root: Path) -> Path:
    if name == "vqa_rad":
        return write_vqa_rad(root, [record(1), record(2, "synpic2.jpg")])
    return write_mimic_vqa(root, train=[asked(1), asked(2)])


def _lost(name: str, root: Path) -> list[str]:
    """Reason and detail of the questions that were rejected; all others go on."""
    reading = get_source(name).read(root)
    rows = [row for row in reading.rejected.to_pylist() if row["level"] == "dialogue"]
    kept = sum(len(study["dialogues"]) for study in reading.studies.to_pylist())
    assert kept + len(rows) == reading.dialogues_in
    assert kept >= 1, "the sound question beside it stays"
    return [f"{row['reason']}: {row['detail']}" for row in rows]


@pytest.mark.parametrize("name", sorted(JSON_FILES))
@pytest.mark.parametrize("fault", sorted(FILES))
def test_a_file_of_questions_that_is_none(name: str, fault: str, tmp_path: Path) -> None:
    path = _sound(name, tmp_path) / JSON_FILES[name]
    spoil, expected = FILES[fault]
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(SourceError) as caught:
        get_source(name).read(tmp_path)
    line = str(caught.value)
    assert "\n" not in line and "Jane" not in line
    begin, _, rest = expected.partition("{where}")
    begin, _, keys = begin.partition("{keys}")
    assert line.startswith(begin.format(path=path))
    assert line.endswith((rest or keys).format(path=path))


@pytest.mark.parametrize("fault", sorted(RAD))
def test_a_record_of_vqa_rad_that_cannot_go_on(fault: str, tmp_path: Path) -> None:
    change, line = RAD[fault]
    write_vqa_rad(tmp_path, [record(1), record(2, "synpic2.jpg", **change)])
    assert _lost("vqa_rad", tmp_path) == [line]


@pytest.mark.parametrize("fault", sorted(MIMIC))
def test_a_record_of_mimic_cxr_vqa_that_cannot_go_on(fault: str, tmp_path: Path) -> None:
    change, line = MIMIC[fault]
    write_mimic_vqa(tmp_path, train=[asked(1), asked(2, **change)])
    assert _lost("mimic_cxr_vqa", tmp_path) == [line]


@pytest.mark.parametrize("fault", sorted(DIFF))
def test_a_row_of_medical_diff_vqa_that_cannot_go_on(fault: str, tmp_path: Path) -> None:
    cells, line = DIFF[fault]
    write_diff_vqa(tmp_path, ",".join(_PLAIN), ",".join(cells))
    assert _lost("medical_diff_vqa", tmp_path) == [line]


@pytest.mark.parametrize("name", ["mimic_cxr_vqa", "medical_diff_vqa"])
def test_questions_without_their_films(name: str, tmp_path: Path) -> None:
    if name == "mimic_cxr_vqa":
        write_mimic_vqa(tmp_path)
    else:
        write_diff_vqa(tmp_path, ",".join(_PLAIN))
    (tmp_path / "mimic-cxr-jpg").rename(tmp_path.parent / f"{tmp_path.name}-moved")
    with pytest.raises(SourceError) as caught:
        get_source(name).read(tmp_path)
    assert str(caught.value).startswith(
        "found nothing that matches mimic-cxr-2.0.0-metadata.csv.gz or "
        f"*/mimic-cxr-2.0.0-metadata.csv.gz under {tmp_path}; expected the files of "
    )


def test_a_link_to_films_elsewhere_is_refused_film_by_film(tmp_path: Path) -> None:
    """Tables are followed, pictures are not: a raw root ends where its folder does."""
    from sources.raw_files import RawFileError, RawFolder

    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    write_mimic_vqa(root, train=[asked(1)])
    (root / "mimic-cxr-jpg").rename(elsewhere)
    (root / "mimic-cxr-jpg").symlink_to(elsewhere)
    rows = get_source("mimic_cxr_vqa").read(root).studies.to_pylist()
    with RawFolder(root) as folder, pytest.raises(RawFileError) as caught:
        folder.read(rows[0]["images"][0]["uri"])
    assert caught.value.reason == "path-outside-root"


def test_a_number_for_an_answer_is_its_text(tmp_path: Path) -> None:
    write_vqa_rad(tmp_path, [record(1, answer=12, answer_type=" open ")])
    (row,) = get_source("vqa_rad").read(tmp_path).studies.to_pylist()
    (dialogue,) = row["dialogues"]
    assert dialogue["turns"][1]["text"] == "12"
    assert dialogue["answer_type"] == "OPEN"
    assert json.loads((tmp_path / RECORDS).read_text())[0]["answer"] == 12
