"""Small hand-written trees of the sources of questions, for tests that change one thing in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.mimic_tree import MimicTree, image_row

RECORDS = "VQA_RAD Dataset Public.json"
FOLDER = "VQA_RAD Image Folder"
DATASET = "MIMIC-Ext-MIMIC-CXR-VQA/dataset"
TREE = "mimic-cxr-jpg"
PAIRS = "mimic_pair_questions.csv"
FILMS = "mimic_all.csv"
SUBJECT, FIRST, SECOND = "10000001", "50000001", "50000003"
PAIRS_HEADER = "study_id,subject_id,ref_id,question_type,question,answer,split"
FILMS_HEADER = "subject_id,study_id,Edema,dicom_id,view,split,study_date,study_order"


def record(number: int, image: str = "synpic1.jpg", **values: Any) -> dict[str, Any]:
    """One invented record of VQA-RAD."""
    return {
        "qid": number,
        "phrase_type": "freeform",
        "qid_linked_id": f"link-{number}",
        "image_case_url": "https://example.org/case",
        "image_name": image,
        "image_organ": "CHEST",
        "question": f"Is sign {number} there?",
        "question_type": "PRES",
        "answer": "No",
        "answer_type": "CLOSED",
    } | values


def write_vqa_rad(root: Path, records: list[dict[str, Any]], images: tuple[str, ...] = ()) -> Path:
    """The records, and a file of a few bytes for each image they name (or for those given)."""
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    named = images or tuple({str(row["image_name"]) for row in records if row["image_name"]})
    for name in named:
        (root / FOLDER / name).write_bytes(b"film")
    (root / RECORDS).write_text(json.dumps(records))
    return root


def write_mimic(root: Path, **tables: Any) -> MimicTree:
    """A MIMIC-CXR tree below the root: two studies of one person, and one of another."""
    tree = MimicTree(
        root / TREE,
        metadata=[
            image_row("aa-01", SUBJECT, FIRST),
            image_row("aa-02", SUBJECT, FIRST, "LL"),
            image_row("aa-03", SUBJECT, SECOND, "AP", StudyDate="21560101"),
            image_row("bb-01", "10000002", "50000002", "AP"),
        ],
        splits=[
            ["aa-01", FIRST, SUBJECT, "train"],
            ["aa-02", FIRST, SUBJECT, "train"],
            ["aa-03", SECOND, SUBJECT, "train"],
            ["bb-01", "50000002", "10000002", "test"],
        ],
        **tables,
    )
    tree.write()
    return tree


def asked(idx: int, **values: Any) -> dict[str, Any]:
    """One invented record of MIMIC-CXR-VQA."""
    return {
        "idx": idx,
        "subject_id": SUBJECT,
        "study_id": FIRST,
        "image_id": "aa-01",
        "question": f"is sign {idx} there?",
        "semantic_type": "verify",
        "content_type": "presence",
        "answer": ["no"],
    } | values


def write_mimic_vqa(root: Path, **files: list[dict[str, Any]]) -> Path:
    """The three files; one sound record stands where none is given."""
    write_mimic(root)
    (root / DATASET).mkdir(parents=True, exist_ok=True)
    for stem in ("train", "valid", "test"):
        rows = files.get(stem, [asked(0, study_id="50000002", subject_id="10000002",
                                      image_id="bb-01")])  # fmt: skip
        (root / DATASET / f"{stem}.json").write_text(json.dumps(rows))
    return root


def write_diff_vqa(root: Path, *rows: str, films: tuple[str, ...] = ()) -> Path:
    """Both tables; by default the films of the tree above."""
    write_mimic(root)
    listed = films or (
        f"{SUBJECT},{FIRST},,aa-01,postero-anterior,train,21550131,1",
        f"{SUBJECT},{SECOND},,aa-03,antero-posterior,train,21560101,2",
        "10000002,50000002,,bb-01,antero-posterior,test,21550131,1",
    )
    (root / PAIRS).write_text("\n".join([PAIRS_HEADER, *rows]) + "\n")
    (root / FILMS).write_text("\n".join([FILMS_HEADER, *listed]) + "\n")
    return root
