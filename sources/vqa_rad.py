"""VQA-RAD, its chest subset: 794 questions with answers about 107 chest films, open.

Raw tree (names with spaces, as published)::

    VQA_RAD Dataset Public.json
    VQA_RAD Image Folder/synpic00001.jpg

One record (invented, cut)::

    {"qid": 9001, "phrase_type": "freeform", "qid_linked_id": "0a1b...", "image_organ": "CHEST",
     "image_name": "synpic00001.jpg", "image_case_url": "https://...", "question_type": "PRES",
     "question": "Is there a fracture?", "answer": "No", "answer_type": "CLOSED"}

The chest subset is ``image_organ`` CHEST: 794 of 2,248 records, counted in the published file; the
739 about the abdomen and 715 about the head are not part of this source. Each image is a study,
named after its file. No person is published: ``image_case_url`` names a teaching case, and no two
chest images share one.

Split: records of ``phrase_type`` test_freeform and test_para are the official test (174 here), all
others train (620); there is no validation. 73 of the 107 images have records of both kinds, so the
split is each question's own, and such a study counts as test.

``group`` ties the records of one ``qid_linked_id`` (a question and its paraphrases) and those that
ask the same of one image, case, spaces and punctuation aside. In the published file no
``qid_linked_id`` has records on both sides, but 422 of train, with its paraphrase 423, asks what
447 of test asks.

Answers and questions keep their text: yes and no in two cases, two stray spaces, two answers that
are numbers there. ``question_type`` keeps its text too (``PRES, ATTRIB``, the misspelt ``ATRIB``).
No view is published: all are UNKNOWN.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pyarrow as pa

from infra.egress import Egress
from infra.licences import Use
from infra.tables import connect
from sources.assembly import assemble
from sources.card import Access, Card, Expected
from sources.dialogues import attach_dialogues
from sources.json_arrays import read_json_array
from sources.raw_files import ABSENT, RawFolder
from sources.record import Origin, Reading
from sources.tables import code_sql, query

RECORDS: Final = "VQA_RAD Dataset Public.json"
FOLDER: Final = "VQA_RAD Image Folder"

CARD = Card(
    name="vqa_rad",
    title="VQA-RAD, chest subset (OSF 89kps)",
    access=Access.OPEN,
    licence="CC0 1.0, as its dataset card says",
    use=Use.COMMERCIAL,
    citation="Lau et al. 2018, doi 10.1038/sdata.2018.251",
    llm_egress=Egress.ANY,
    required=((RECORDS,), (FOLDER,)),
    language="en",
    has_reports=False,
    questions_by=Origin.RADIOLOGIST,
    official_split=True,
    expected=Expected(
        studies=107, images=107, parts=(("train questions", 620), ("test questions", 174))
    ),
    redistributable=True,
)
"""Counts: of the records about the chest, in the published file."""

_KEYS: Final = dict.fromkeys(
    (
        *("qid", "phrase_type", "qid_linked_id", "image_name", "image_organ"),
        *("question", "question_type", "answer", "answer_type"),
    ),
    "VARCHAR",
)


def read(root: Path) -> Reading:
    """Read the records about the chest and look for their images.

    Reasons: image ``file-missing``; study ``no-image-left``; dialogue ``id-missing``,
    ``question-missing``, ``answer-missing``, ``phrase-type-unknown``, ``organ-unknown`` and those
    of ``attach_dialogues``.

    Raises:
        SourceError: no file of records, or one that is no JSON array of them.
    """
    CARD.require_files(root)
    records = read_json_array(root / RECORDS, _KEYS)
    rows = pa.array(range(records.num_rows), pa.int64())
    chest = query(_CHEST, records=records.append_column("row", rows))
    chest = chest.set_column(chest.column_names.index("group"), "group", _groups(chest))
    with connect() as connection:
        connection.register("images", _images(root, chest))
        connection.execute(_LISTED)
        reading = assemble(connection, CARD.name)
    return attach_dialogues(reading, chest, CARD.name)


_CHEST: Final = rf"""
    SELECT "row", qid AS dialogue_id, regexp_replace(image_name, '\.[^.]*$', '') AS study_id,
        image_name AS image_id, question, answer, question_type, phrase_type AS question_form,
        CASE WHEN upper(trim(answer_type)) IN ('CLOSED', 'OPEN') THEN upper(trim(answer_type)) END
            AS answer_type,
        CASE WHEN phrase_type IN ('test_freeform', 'test_para') THEN 'test'
            WHEN phrase_type IN ('freeform', 'para') THEN 'train' END AS split,
        qid_linked_id AS "group",
        CASE WHEN upper(trim(coalesce(image_organ, ''))) <> 'CHEST' THEN 'organ-unknown'
            WHEN trim(coalesce(qid, '')) = '' OR trim(coalesce(image_name, '')) = ''
                THEN 'id-missing'
            WHEN trim(coalesce(question, '')) = '' THEN 'question-missing'
            WHEN trim(coalesce(answer, '')) = '' THEN 'answer-missing'
            WHEN split IS NULL THEN 'phrase-type-unknown' END AS reason,
        CASE reason WHEN 'organ-unknown' THEN 'image_organ ' || {code_sql("image_organ")}
                || '; expected CHEST, HEAD or ABD'
            WHEN 'id-missing' THEN 'record ' || ("row" + 1) || ' lacks qid or image_name'
            WHEN 'question-missing' THEN 'a record without a question'
            WHEN 'answer-missing' THEN 'a record without an answer'
            WHEN 'phrase-type-unknown' THEN 'phrase_type ' || {code_sql("phrase_type")}
                || '; expected freeform, para, test_freeform or test_para' END AS detail
    FROM records
    WHERE upper(trim(coalesce(image_organ, ''))) NOT IN ('HEAD', 'ABD') ORDER BY "row"
"""

_LISTED: Final = """
    CREATE TEMP VIEW listed AS
    SELECT row_number() OVER (ORDER BY "row") - 1 AS "row", image_id, study_id,
        uri, 'UNKNOWN' AS "view",
        CASE WHEN NOT found THEN 'file-missing' END AS reason,
        CASE WHEN NOT found THEN 'no file at ' || uri END AS detail
    FROM images
"""


def _images(root: Path, chest: pa.Table) -> pa.Table:
    """Columns row, image_id, study_id, uri, found: each image of a sound record once."""
    named = query(
        """SELECT min("row") AS "row", image_id, min(study_id) AS study_id FROM chest
           WHERE reason IS NULL GROUP BY image_id ORDER BY 1""",
        chest=chest,
    )
    uris = [f"{FOLDER}/{name}" for name in named["image_id"].to_pylist()]
    with RawFolder(root) as folder:
        found = [stat != ABSENT for stat in folder.stat(uris)]
    return named.append_column("uri", pa.array(uris, pa.string())).append_column(
        "found", pa.array(found, pa.bool_())
    )


def _groups(chest: pa.Table) -> pa.Array:
    """The group of each record: the first ``qid_linked_id`` among the records it is tied to."""
    first: dict[str, str] = {}

    def root_of(key: str) -> str:
        while first.get(key, key) != key:
            key = first[key]
        return key

    keys = []
    for row in chest.select(["dialogue_id", "image_id", "question", "group"]).to_pylist():
        linked = row["group"] or f"qid {row['dialogue_id']}"
        asked = f"{row['image_id']} {_plain(row['question'] or '')}"
        keys.append(linked)
        first[root_of(linked)] = root_of(first.setdefault(asked, linked))
    chest_groups = [root_of(key) for key in keys]
    return pa.array(chest_groups, pa.string())


def _plain(question: str) -> str:
    return " ".join(re.findall(r"[a-z0-9<>=]+", question.lower()))
