"""Medical-Diff-VQA (was MIMIC-Diff-VQA): questions about a film of MIMIC-CXR and an earlier one.

Raw tree; the MIMIC-CXR tree lies in the root or in a folder of it (see ``mimic_cxr_asked``)::

    mimic_pair_questions.csv  mimic_all.csv  all_diseases.json
    mimic-cxr-jpg/mimic-cxr-2.0.0-metadata.csv.gz  mimic-cxr-2.0.0-split.csv.gz  files/…

Two rows of mimic_pair_questions.csv (invented); ``mimic_all.csv`` says which film a study is::

    study_id,subject_id,ref_id,question_type,question,answer,split
    50999999,10999999,50888888,difference,what is different from the earlier film?,nothing.,train

Each row is a dialogue, named by its number from 1. ``ref_id`` is filled in for all types; only
``difference`` questions show it: their images are the study's own, then the reference's, which is
an image of that other study. Rows of release 1.0.0 that name a later film as the reference are
rejected (``reference-later``). ``all_diseases.json`` is not read.

Answers of ``abnormality`` are sets, joined by commas; those that are yes or no make a question
closed, all others open (our reading: no column says it). Splits are the publisher's column, else
that of the study in ``mimic_all.csv``; a study shown in several is in the most protected one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa

from infra.egress import Egress
from infra.licences import Use
from sources.card import Access, Card, Expected
from sources.dialogues import attach_dialogues
from sources.mimic_cxr_asked import TREE, read_asked
from sources.record import Origin, Reading
from sources.tables import code_sql, query, read_csv

QUESTIONS: Final = "mimic_pair_questions.csv"
FILMS: Final = "mimic_all.csv"
TYPES: Final = ("abnormality", "presence", "view", "location", "level", "type", "difference")

CARD = Card(
    name="medical_diff_vqa",
    title="Medical-Diff-VQA 1.0.1",
    access=Access.PHYSIONET_CREDENTIALED,
    licence="PhysioNet Credentialed Health Data License 1.5.0 (DUA 1.5.0)",
    use=Use.RESEARCH,
    citation="Hu et al. 2023, arXiv 2307.11986 (KDD 2023)",
    llm_egress=Egress.ZERO_RETENTION,
    required=((QUESTIONS,), (FILMS,), TREE),
    language="en",
    has_reports=False,
    questions_by=Origin.SYNTHESIZED,
    official_split=True,
    expected=Expected(
        parts=(
            ("pairs of films", 164_324),
            ("abnormality questions", 145_421),
            ("presence questions", 155_726),
            ("view questions", 56_265),
            ("location questions", 84_193),
            ("level questions", 67_296),
            ("type questions", 27_478),
            ("difference questions", 164_324),
        )
    ),
    subjects_of="mimic_cxr",
)
"""Counts: 700,703 questions over the types (medxchat 2.6; by type from memory there, and their sum
is exact). Studies and images are not stated."""


def read(root: Path) -> Reading:
    """Read both tables and those of the MIMIC-CXR tree.

    Reasons: those of ``read_asked``; dialogue ``question-missing``, ``answer-missing``,
    ``type-unknown``, ``split-unknown``, ``film-missing``, ``reference-missing``,
    ``reference-later``, ``id-conflict`` and those of ``attach_dialogues``.

    Raises:
        SourceError: a table that is missing or cannot be read.
    """
    CARD.require_files(root)
    rows = read_csv(
        root / QUESTIONS,
        ("study_id", "subject_id", "ref_id", "question_type", "question", "answer"),
        optional=("split",),
    )
    films = read_csv(
        root / FILMS,
        ("subject_id", "study_id", "dicom_id", "study_date"),
        optional=("split",),
    )
    numbers = pa.array(range(rows.num_rows), pa.int64())
    questions = query(
        _QUESTIONS, rows=rows.append_column("row", numbers), films=query(_FILMS, films=films)
    )
    reading = read_asked(root, query(_ASKED, questions=questions), CARD.name)
    plain = questions.drop_columns(["subject_id", "prior_study_id"])
    return attach_dialogues(reading, plain, CARD.name)


_ID: Final = r"regexp_extract(trim({name}), '^\d+')"
"""SQL: an id without the ``.0`` of tables that once held blanks."""
_FILMS: Final = f"""
    SELECT {_ID.format(name="study_id")} AS study_id,
        {_ID.format(name="any_value(subject_id)")} AS subject_id,
        any_value(dicom_id) AS dicom_id, any_value(TRY_CAST(study_date AS INTEGER)) AS day,
        any_value("split") AS "split"
    FROM films WHERE dicom_id IS NOT NULL GROUP BY 1
"""
_SPLIT: Final = """CASE coalesce(rows.split, own.split) WHEN 'train' THEN 'train'
    WHEN 'val' THEN 'validate' WHEN 'valid' THEN 'validate' WHEN 'validate' THEN 'validate'
    WHEN 'test' THEN 'test' END"""
_TYPES: Final = ", ".join(f"'{name}'" for name in TYPES)
_QUESTIONS: Final = f"""
    WITH plain AS (
        SELECT * REPLACE ({_ID.format(name="study_id")} AS study_id,
            {_ID.format(name="subject_id")} AS subject_id, {_ID.format(name="ref_id")} AS ref_id)
        FROM rows)
    SELECT rows."row", CAST(rows."row" + 1 AS VARCHAR) AS dialogue_id, rows.study_id,
        rows.subject_id, own.dicom_id AS image_id,
        CASE WHEN question_type = 'difference' THEN ref.dicom_id END AS prior_image_id,
        CASE WHEN question_type = 'difference' THEN ref_id END AS prior_study_id,
        question, answer,
        CASE WHEN question_type = 'abnormality' THEN string_split(answer, ', ')
            ELSE [answer] END AS answers,
        question_type,
        CASE WHEN lower(trim(answer)) IN ('yes', 'no') THEN 'CLOSED' ELSE 'OPEN' END AS answer_type,
        {_SPLIT} AS split,
        CASE WHEN trim(coalesce(question, '')) = '' THEN 'question-missing'
            WHEN trim(coalesce(answer, '')) = '' THEN 'answer-missing'
            WHEN question_type IS NULL OR question_type NOT IN ({_TYPES}) THEN 'type-unknown'
            WHEN {_SPLIT} IS NULL THEN 'split-unknown'
            WHEN own.dicom_id IS NULL THEN 'film-missing'
            WHEN own.subject_id <> rows.subject_id THEN 'id-conflict'
            WHEN question_type = 'difference' THEN CASE
                WHEN ref.dicom_id IS NULL THEN 'reference-missing'
                WHEN ref.subject_id <> rows.subject_id THEN 'id-conflict'
                WHEN ref.day > own.day THEN 'reference-later' END END AS reason,
        CASE reason WHEN 'question-missing' THEN 'a row without a question'
            WHEN 'answer-missing' THEN 'a row without an answer'
            WHEN 'type-unknown' THEN 'question_type ' || {code_sql("question_type")}
                || '; expected {", ".join(TYPES)}'
            WHEN 'split-unknown' THEN 'split ' || {code_sql("coalesce(rows.split, own.split)")}
                || '; expected train, val or test'
            WHEN 'film-missing' THEN 'the study is not in {FILMS}'
            WHEN 'reference-missing' THEN 'the reference is not in {FILMS}'
            WHEN 'id-conflict' THEN '{FILMS} has another subject for the study or its reference'
            WHEN 'reference-later' THEN 'the reference was taken after the study' END AS detail
    FROM plain AS rows
    LEFT JOIN films AS own ON own.study_id = rows.study_id
    LEFT JOIN films AS ref ON ref.study_id = rows.ref_id ORDER BY rows."row"
"""
_ASKED: Final = """
    WITH shown AS (
        SELECT "row", image_id, study_id, subject_id FROM questions WHERE reason IS NULL
        UNION ALL
        SELECT "row", prior_image_id, prior_study_id, subject_id FROM questions
        WHERE reason IS NULL AND prior_image_id IS NOT NULL)
    SELECT row_number() OVER (ORDER BY min("row"), image_id) - 1 AS "row", image_id,
        min(study_id) AS study_id, min(subject_id) AS subject_id
    FROM shown GROUP BY image_id ORDER BY 1
"""
