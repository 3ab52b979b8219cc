"""MIMIC-Ext-MIMIC-CXR-VQA: questions about frontal films of MIMIC-CXR, from 48 templates.

Raw tree; the MIMIC-CXR tree lies in the root or in a folder of it (see ``mimic_cxr_asked``)::

    MIMIC-Ext-MIMIC-CXR-VQA/dataset/train.json  valid.json  test.json     (or dataset/…)
    mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz  mimic-cxr-2.0.0-split.csv.gz  files/…

One record (invented, cut)::

    {"split": "train", "idx": 7, "subject_id": "10999999", "study_id": "50999999",
     "image_id": "<dicom_id>", "image_path": "p10/…jpg", "content_type": "presence",
     "semantic_type": "verify", "template": "…", "question": "Is there a fracture?",
     "answer": ["no"]}

Each question is a dialogue, named ``<split>/<idx>``. ``question_type`` is the content_type
(anatomy, attribute, presence, abnormality, plane, gender, size), ``question_form`` the
semantic_type; verify and choose are closed, query is open (our reading: the first two name their
possible answers).

``answer`` is a list: its parts are ``answers``, and the assistant says them joined by commas, or
``none`` where the list is empty (our choice: a model must say something). Splits are the
publisher's: its test has persons of its own, while train and valid share 698; the leakage guard
takes those, and MIMIC-CXR's held-out persons, out of training (``subjects_of``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa

from infra.egress import Egress
from infra.licences import Use
from sources.card import Access, Card, Expected
from sources.dialogues import attach_dialogues
from sources.json_arrays import read_json_array
from sources.mimic_cxr_asked import TREE, read_asked
from sources.record import Origin, Reading
from sources.tables import code_sql, query

FILES: Final = {"train": "train", "valid": "validate", "test": "test"}
"""File stem to split."""
NO_ANSWER: Final = "none"

CARD = Card(
    name="mimic_cxr_vqa",
    title="MIMIC-Ext-MIMIC-CXR-VQA 1.0.0",
    access=Access.PHYSIONET_CREDENTIALED,
    licence="PhysioNet Credentialed Health Data License 1.5.0 (DUA 1.5.0)",
    use=Use.RESEARCH,
    citation="Bae et al. 2023, arXiv 2310.18652 (EHRXQA)",
    llm_egress=Egress.ZERO_RETENTION,
    required=(
        *(tuple(f"{place}dataset/{stem}.json" for place in ("", "*/", "*/*/")) for stem in FILES),
        TREE,
    ),
    language="en",
    has_reports=False,
    questions_by=Origin.SYNTHESIZED,
    official_split=True,
    expected=Expected(
        subjects=55_716,
        images=142_797,
        parts=(
            ("train questions", 290_031),
            ("valid questions", 73_567),
            ("test questions", 13_793),
        ),
    ),
    subjects_of="mimic_cxr",
)
"""Counts: third-party notes (medxchat 2.6); the publisher says about 377 thousand questions."""

_KEYS: Final = dict.fromkeys(
    ("idx", "subject_id", "study_id", "image_id", "question", "content_type", "semantic_type"),
    "VARCHAR",
) | {"answer": "JSON"}


def read(root: Path) -> Reading:
    """Read the three files of questions and the tables of the MIMIC-CXR tree.

    Reasons: those of ``read_asked``; dialogue ``id-missing``, ``question-missing``,
    ``answer-unreadable``, ``type-unknown`` and those of ``attach_dialogues``.

    Raises:
        SourceError: a file or table that is missing or cannot be read.
    """
    CARD.require_files(root)
    folder = _folder(root)
    files = [
        query(
            f"SELECT *, '{stem}' AS stem, '{split}' AS split FROM records",
            records=read_json_array(folder / f"{stem}.json", _KEYS),
        )
        for stem, split in FILES.items()
    ]
    records = pa.concat_tables(files)
    rows = pa.array(range(records.num_rows), pa.int64())
    questions = query(_QUESTIONS, records=records.append_column("row", rows))
    asked = query(_ASKED, questions=questions)
    reading = read_asked(root, asked, CARD.name)
    return attach_dialogues(reading, questions.drop_columns(["subject_id"]), CARD.name)


def _folder(root: Path) -> Path:
    """Where train.json lies: the shallowest place first, then names in order."""
    found = [sorted(root.glob(f"{place}dataset/train.json")) for place in ("", "*/", "*/*/")]
    return next(paths[0] for paths in found if paths).parent


_QUESTIONS: Final = rf"""
    WITH parts AS (
        SELECT *, CASE json_type(answer) WHEN 'ARRAY' THEN json_extract_string(answer, '$[*]')
            WHEN 'VARCHAR' THEN [answer ->> '$'] END AS answers FROM records)
    SELECT "row", stem || '/' || idx AS dialogue_id, study_id, subject_id, image_id, question,
        CASE WHEN len(answers) = 0 THEN '{NO_ANSWER}' ELSE array_to_string(answers, ', ') END
            AS answer,
        answers, content_type AS question_type, semantic_type AS question_form,
        CASE WHEN semantic_type IN ('verify', 'choose') THEN 'CLOSED'
            WHEN semantic_type = 'query' THEN 'OPEN' END AS answer_type,
        split,
        CASE WHEN coalesce(idx, '') = '' OR coalesce(image_id, '') = ''
                OR coalesce(study_id, '') = '' OR coalesce(subject_id, '') = '' THEN 'id-missing'
            WHEN trim(coalesce(question, '')) = '' THEN 'question-missing'
            WHEN answers IS NULL
                OR list_contains(list_transform(answers, lambda one: trim(coalesce(one, '')) = ''),
                    true) THEN 'answer-unreadable'
            WHEN answer_type IS NULL THEN 'type-unknown' END AS reason,
        CASE reason WHEN 'id-missing'
                THEN 'record ' || ("row" + 1) || ' lacks idx, image_id, study_id or subject_id'
            WHEN 'question-missing' THEN 'a record without a question'
            WHEN 'answer-unreadable' THEN 'the answer is no list of texts'
            WHEN 'type-unknown' THEN 'semantic_type ' || {code_sql("semantic_type")}
                || '; expected verify, choose or query' END AS detail
    FROM parts ORDER BY "row"
"""
_ASKED: Final = """
    SELECT row_number() OVER (ORDER BY min("row")) - 1 AS "row", image_id,
        arg_min(study_id, "row") AS study_id, arg_min(subject_id, "row") AS subject_id
    FROM questions WHERE reason IS NULL GROUP BY image_id ORDER BY 1
"""
