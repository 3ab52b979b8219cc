"""Questions, read from a publisher's own table, onto the studies that ``assemble`` has made.

A reader makes one row per question (``QUESTION_COLUMNS``; an absent one is null throughout):

    row             position in the publisher's table, from 0; the first row of an id wins
    dialogue_id, study_id, image_id    null only where ``reason`` is set
    prior_image_id  the image of an earlier study that the question compares with, or null
    question, answer, answers          the two turns, and the answer's parts where it is a set
    reason, detail  why this question is rejected, else null
    all others      fields of ``Dialogue``

Whole tables go through SQL: Medical-Diff-VQA has 700,703 questions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pyarrow as pa

from sources.record import REJECTED_SCHEMA, STUDY_SCHEMA, Reading
from sources.tables import query

QUESTION_COLUMNS: Final[dict[str, pa.DataType]] = {
    "row": pa.int64(),
    **dict.fromkeys(
        (
            *("dialogue_id", "study_id", "image_id", "prior_image_id", "question", "answer"),
            *("question_type", "question_form", "answer_type", "split", "group"),
            *("reason", "detail"),
        ),
        pa.string(),
    ),
    "answers": pa.list_(pa.string()),
}
PROTECTION: Final = ("train", "validate", "test")
"""A study with questions in several splits stands in the last of them."""


def attach_dialogues(reading: Reading, questions: pa.Table, source: str) -> Reading:
    """The reading with one dialogue per question, and studies in their questions' split.

    A study that is shown in questions of several splits, as its own or as an earlier one, is in the
    most protected of them. Added reasons, level dialogue: ``duplicate-id``, ``study-rejected``,
    ``image-rejected``, ``prior-image-rejected``.
    """
    judged = _judge(reading, _whole(questions))
    asked = judged.filter(judged["reason"].is_null())
    lost = query(
        """SELECT $source AS source, 'dialogue' AS level, coalesce(dialogue_id,
                  'row ' || ("row" + 1)) AS row_id, study_id, reason, detail
           FROM judged WHERE reason IS NOT NULL ORDER BY "row" """.replace(
            "$source", f"'{source}'"
        ),
        judged=judged,
    ).cast(REJECTED_SCHEMA)
    return replace(
        reading,
        studies=_with_dialogues(reading.studies, asked),
        rejected=pa.concat_tables([reading.rejected, lost]).combine_chunks(),
        dialogues_in=judged.num_rows,
    )


def _whole(questions: pa.Table) -> pa.Table:
    """All QUESTION_COLUMNS in order, null where the reader has none."""
    unknown = set(questions.column_names) - set(QUESTION_COLUMNS)
    assert not unknown, f"not in QUESTION_COLUMNS: {sorted(unknown)}"
    return pa.table(
        {
            name: questions[name].cast(kind)
            if name in questions.column_names
            else pa.nulls(questions.num_rows, kind)
            for name, kind in QUESTION_COLUMNS.items()
        }
    )


def _judge(reading: Reading, questions: pa.Table) -> pa.Table:
    """The questions, each with a reason where it cannot go on."""
    return query(
        """WITH images AS (SELECT study_id, unnest(images).image_id AS image_id FROM studies),
        numbered AS (
            SELECT *, row_number() OVER (
                PARTITION BY dialogue_id, reason IS NULL ORDER BY "row") AS again
            FROM questions),
        judged AS (
            SELECT numbered.* EXCLUDE (again, reason, detail), numbered.detail AS given, CASE
                WHEN numbered.reason IS NOT NULL THEN numbered.reason
                WHEN again > 1 THEN 'duplicate-id'
                WHEN studies.study_id IS NULL THEN 'study-rejected'
                WHEN own.image_id IS NULL THEN 'image-rejected'
                WHEN prior_image_id IS NOT NULL AND prior.image_id IS NULL
                    THEN 'prior-image-rejected' END AS reason
            FROM numbered
            LEFT JOIN studies USING (study_id)
            LEFT JOIN images AS own
                ON own.image_id = numbered.image_id AND own.study_id = numbered.study_id
            LEFT JOIN images AS prior ON prior.image_id = numbered.prior_image_id)
        SELECT * EXCLUDE (given), CASE reason
            WHEN 'duplicate-id' THEN 'asked again in row ' || ("row" + 1) || '; the first is kept'
            WHEN 'study-rejected' THEN 'the study that it is about was rejected'
            WHEN 'image-rejected' THEN 'the image that it is about was rejected'
            WHEN 'prior-image-rejected' THEN 'the earlier image that it compares was rejected'
            ELSE given END AS detail
        FROM judged ORDER BY "row" """,
        studies=reading.studies.select(["study_id", "images"]),
        questions=questions,
    )


def _with_dialogues(studies: pa.Table, asked: pa.Table) -> pa.Table:
    """The studies with their dialogues, in the questions' order, and their split."""
    numbers = pa.array(range(studies.num_rows), pa.int64())
    joined = query(
        f"""WITH told AS (
            SELECT study_id, list(struct_pack(
                dialogue_id := dialogue_id,
                image_ids := list_filter([image_id, prior_image_id], lambda one: one IS NOT NULL),
                turns := [struct_pack("role" := 'user', "text" := question),
                          struct_pack("role" := 'assistant', "text" := answer)],
                question_type := question_type, question_form := question_form,
                answer_type := answer_type, answers := coalesce(answers, [answer]),
                split := split, "group" := "group") ORDER BY "row") AS dialogues
            FROM asked GROUP BY study_id),
        shown AS (
            SELECT image_id, split FROM asked
            UNION ALL SELECT prior_image_id, split FROM asked WHERE prior_image_id IS NOT NULL),
        images AS (SELECT study_id, unnest(images).image_id AS image_id FROM studies),
        held AS (
            SELECT study_id, max(list_position({list(PROTECTION)}, split)) AS place
            FROM shown JOIN images USING (image_id) GROUP BY study_id)
        SELECT coalesce(dialogues, []) AS dialogues,
            coalesce({list(PROTECTION)}[place], split) AS split
        FROM studies LEFT JOIN told USING (study_id) LEFT JOIN held USING (study_id)
        ORDER BY nth""",
        studies=studies.select(["study_id", "images", "split"]).append_column("nth", numbers),
        asked=asked,
    )
    for name in ("dialogues", "split"):
        field = STUDY_SCHEMA.field(name)
        column = joined[name].cast(field.type)
        studies = studies.set_column(STUDY_SCHEMA.names.index(name), field, column)
    return studies.combine_chunks()
