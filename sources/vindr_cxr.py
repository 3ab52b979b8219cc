"""VinDr-CXR: 18 thousand PA films that radiologists labelled and boxed, no reports.

Raw tree::

    train/<image_id>.dicom                        15,000 files, each read by 3 radiologists
    test/<image_id>.dicom                          3,000 files, consensus of 5
    annotations/image_labels_train.csv            one row per image and radiologist, 28 x 0/1
    annotations/image_labels_test.csv             one row per image, 28 x 0/1
    annotations/annotations_{train,test}.csv      one row per box

Two rows (invented) of ``image_labels_train.csv`` and ``annotations_train.csv``::

    0a1b...,R8,0,0,0,1,0,...,0
    0a1b...,R8,Cardiomegaly,691.0,1375.0,1653.0,1831.0

Each image is a study: the publisher gives no subjects and no examinations, so nothing can be said
about persons in two splits. Every film is PA. The published split stays: train and test, none to
validate with. Sex and age come from the DICOM header, where 0 years stands for not given.

A label is positive where more than half of its radiologists voted for it, uncertain where fewer
did, and negative where none did: they all judged all 28. The 14 observations follow from
``COUNTERPARTS`` in the same way; an observation without a counterpart is unmentioned. Names with
at least one vote are kept in ``source_labels`` with their votes (of the test images the votes are
not published). Boxes keep the radiologist's number.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa

from infra.egress import Egress
from infra.errors import SourceError
from infra.licences import Use
from infra.tables import connect
from sources.assembly import assemble
from sources.boxes import BOX_COLUMNS, attach_boxes
from sources.card import Access, Card, Expected
from sources.dicom_header import read_headers
from sources.record import OBSERVATIONS, Reading
from sources.tables import query, read_csv, sql_name, sql_text

CARD = Card(
    name="vindr_cxr",
    title="VinDr-CXR v1.0.0",
    access=Access.PHYSIONET_CREDENTIALED,
    licence="PhysioNet Credentialed Health Data License 1.5.0",
    use=Use.RESEARCH,
    citation="Nguyen et al. 2022, Scientific Data 9:429, doi 10.1038/s41597-022-01498-w",
    llm_egress=Egress.ZERO_RETENTION,
    required=(
        ("annotations/image_labels_train.csv",),
        ("annotations/image_labels_test.csv",),
        ("annotations/annotations_train.csv",),
        ("annotations/annotations_test.csv",),
        ("train",),
        ("test",),
    ),
    language=None,
    has_reports=False,
    official_split=True,
    expected=Expected(studies=18_000, images=18_000),
)

COUNTERPARTS: Final[dict[str, str | None]] = {
    "Aortic enlargement": None,  # a wide aorta is not a wide mediastinum
    "Atelectasis": "Atelectasis",
    "Calcification": None,
    "Cardiomegaly": "Cardiomegaly",
    "Clavicle fracture": "Fracture",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Emphysema": None,
    "Enlarged PA": None,  # the pulmonary artery, for the aorta's reason
    "ILD": "Lung Opacity",  # the CheXpert labeler counts interstitial patterns here
    "Infiltration": "Lung Opacity",  # and infiltrates
    "Lung Opacity": "Lung Opacity",
    "Lung cavity": "Lung Lesion",  # "cavitary lesion" is one of the labeler's phrases
    "Lung cyst": None,
    "Mediastinal shift": None,  # displaced, not enlarged
    "Nodule/Mass": "Lung Lesion",
    "Pleural effusion": "Pleural Effusion",
    "Pleural thickening": "Pleural Other",
    "Pneumothorax": "Pneumothorax",
    "Pulmonary fibrosis": "Lung Opacity",  # scarring of the lung, as for PadChest
    "Rib fracture": "Fracture",
    "Other lesion": None,  # may be anything
    "COPD": None,
    "Lung tumor": "Lung Lesion",
    "Pneumonia": "Pneumonia",
    "Tuberculosis": None,  # a cause, not an observation
    "Other diseases": None,
    "No finding": "No Finding",
}
"""VinDr's 28 names, 22 local and 6 global, to observations. Enlarged Cardiomediastinum and Support
Devices have no name here and stay unmentioned."""

_TEST_READERS: Final = 5
_OTHER: Final = "Other diseases"
_OTHER_IN_TEST: Final = "Other disease"
"""The test table's spelling (source_formats 7)."""
_BOX_CELLS: Final = ("x_min", "y_min", "x_max", "y_max")


def read(root: Path) -> Reading:
    """Read the four tables and the files' headers under ``root``; no pixels.

    Added reasons: image ``id-missing``, ``file-missing``, ``dicom-unreadable``, ``box-unreadable``,
    ``box-name-unknown``; study ``label-value-unknown``, ``reader-repeated``, ``label-row-missing``
    (boxes only).

    Raises:
        SourceError: a table that is missing or cannot be read.
    """
    CARD.require_files(root)
    annotations = root / "annotations"
    with connect() as connection:
        for split in ("train", "test"):
            votes = _read_votes(annotations / f"image_labels_{split}.csv", split)
            boxes = _read_boxes(annotations / f"annotations_{split}.csv")
            connection.register(f"votes_{split}", votes)
            connection.register(f"boxes_{split}", boxes)
        connection.register("counterparts", _counterpart_table())
        for statement in (_IMAGES, _FAULTS, _COUNTED, _LABELS, _BOXES):
            connection.execute(statement)
        uris = connection.sql("SELECT DISTINCT uri FROM images WHERE uri IS NOT NULL ORDER BY uri")
        listed = uris.to_arrow_table()
        connection.register("headers", read_headers(root, listed["uri"].to_pylist()))
        connection.execute(_LISTED)
        boxes = connection.sql(f"SELECT {', '.join(BOX_COLUMNS)} FROM boxes").to_arrow_table()
        return attach_boxes(assemble(connection, CARD.name), boxes)


def _read_votes(path: Path, split: str) -> pa.Table:
    """Columns ``image_id, rad_id`` and the 28 names as in ``COUNTERPARTS``."""
    names = [name for name in COUNTERPARTS if name != _OTHER]
    required = ["image_id", *(["rad_id"] if split == "train" else []), *names]
    optional = [_OTHER, _OTHER_IN_TEST] + ([] if split == "train" else ["rad_id"])
    table = read_csv(path, required, optional=optional)
    if all(table[name].null_count == table.num_rows for name in (_OTHER, _OTHER_IN_TEST)):
        raise SourceError(
            f"no column '{_OTHER}' or '{_OTHER_IN_TEST}' in {path}",
            "one of them with 0 or 1 in it",
            "check that this is the publisher's file and release",
        )
    columns = ", ".join(sql_name(name) for name in ("image_id", "rad_id", *names))
    return query(
        f"""SELECT {columns}, coalesce({sql_name(_OTHER)}, {sql_name(_OTHER_IN_TEST)})
            AS {sql_name(_OTHER)} FROM votes""",
        votes=table,
    )


def _read_boxes(path: Path) -> pa.Table:
    columns = ("image_id", "class_name", *_BOX_CELLS)
    table = read_csv(path, columns, optional=["rad_id"], allow_empty=True)
    cells = ", ".join(f"TRY_CAST({name} AS DOUBLE) AS {name}" for name in _BOX_CELLS)
    return query(
        f"""SELECT image_id, rad_id, class_name, {cells},
            {" AND ".join(f"{name} IS NULL" for name in _BOX_CELLS)} AS is_blank FROM boxes""",
        boxes=table,
    )


def _counterpart_table() -> pa.Table:
    """Columns ``name``, ``observation`` and the observation's ``place`` among the 14."""
    rows = [
        {"name": name, "observation": found, "place": OBSERVATIONS.index(found) if found else None}
        for name, found in COUNTERPARTS.items()
    ]
    schema = pa.schema([("name", pa.string()), ("observation", pa.string()), ("place", pa.int32())])
    return pa.Table.from_pylist(rows, schema=schema)


_NAMES: Final = ", ".join(sql_name(name) for name in COUNTERPARTS)
_NAME_TEXTS: Final = ", ".join(sql_text(name) for name in COUNTERPARTS)

_IMAGES: Final = """
CREATE TEMP TABLE images AS
SELECT *, split || '/' || image_id || '.dicom' AS uri, row_number() OVER (ORDER BY split DESC,
    is_labelled DESC, position) - 1 AS "row"
FROM (
    SELECT image_id, 'train' AS split, true AS is_labelled, min(position) AS position
    FROM (SELECT image_id, row_number() OVER () AS position FROM votes_train) GROUP BY image_id
    UNION ALL
    SELECT image_id, 'test', true, row_number() OVER () FROM votes_test
    UNION ALL
    SELECT DISTINCT image_id, 'train', false, 0 FROM boxes_train
    WHERE image_id IS NOT NULL
        AND image_id NOT IN (SELECT image_id FROM votes_train WHERE image_id IS NOT NULL)
    UNION ALL
    SELECT DISTINCT image_id, 'test', false, 0 FROM boxes_test
    WHERE image_id IS NOT NULL
        AND image_id NOT IN (SELECT image_id FROM votes_test WHERE image_id IS NOT NULL)
)
"""
"""One row per image and table; a repeated row of the test table shows as ``duplicate-id``, and all
rows of the train table without an id count as one image."""

_FAULTS: Final = f"""
CREATE TEMP TABLE faults AS
SELECT image_id, first(reason ORDER BY reason) AS reason, first(detail ORDER BY reason) AS detail
FROM (
    SELECT image_id, 'label-value-unknown' AS reason,
        'a vote that is neither 0 nor 1' AS detail
    FROM (SELECT * FROM votes_train UNION ALL SELECT * FROM votes_test)
    WHERE len(list_filter([{_NAMES}], lambda vote: coalesce(
        TRY_CAST(vote AS DOUBLE) NOT IN (0, 1), true))) > 0
    UNION ALL
    SELECT image_id, 'reader-repeated', count(*) || ' rows of one radiologist; expected one'
    FROM votes_train GROUP BY image_id, rad_id HAVING count(*) > 1
) GROUP BY image_id
"""

_COUNTED: Final = f"""
CREATE TEMP TABLE counted AS
SELECT image_id, name, votes, readers, CASE WHEN 2 * votes > readers THEN 'positive'
    WHEN votes > 0 THEN 'uncertain' ELSE 'negative' END AS "value", split
FROM (
    SELECT 'train' AS split, image_id, name, sum(TRY_CAST(vote AS DOUBLE)) AS votes,
        count(*) AS readers
    FROM (UNPIVOT votes_train ON {_NAMES} INTO NAME name VALUE vote) GROUP BY image_id, name
    UNION ALL
    SELECT 'test', image_id, name, max(TRY_CAST(vote AS DOUBLE)), 1
    FROM (UNPIVOT votes_test ON {_NAMES} INTO NAME name VALUE vote) GROUP BY image_id, name
)
"""

_LABELS: Final = f"""
CREATE TEMP TABLE labelled AS
WITH observed AS (
    SELECT split, image_id, observation, any_value(place) AS place,
        CASE WHEN bool_or("value" = 'positive') THEN 'positive'
            WHEN bool_or("value" = 'uncertain') THEN 'uncertain' ELSE 'negative' END AS "value"
    FROM counted JOIN counterparts USING (name) WHERE observation IS NOT NULL
    GROUP BY split, image_id, observation
), named AS (
    SELECT split, image_id, list(struct_pack("name" := name, "value" := "value",
        "location" := NULL::VARCHAR,
        votes := CASE WHEN split = 'train' THEN TRY_CAST(votes AS SMALLINT) END,
        readers := CASE WHEN split = 'train' THEN readers::SMALLINT
            ELSE {_TEST_READERS}::SMALLINT END)
        ORDER BY list_position([{_NAME_TEXTS}], name)) AS source_labels
    FROM counted WHERE votes > 0 GROUP BY split, image_id
)
SELECT split, image_id, any_value(source_labels) AS source_labels,
    list(struct_pack(observation := observation, "value" := "value") ORDER BY place) AS labels
FROM observed LEFT JOIN named USING (split, image_id) GROUP BY split, image_id
"""

_BOXES: Final = f"""
CREATE TEMP TABLE boxes AS
SELECT image_id AS study_id, image_id || '.dicom' AS image_id, class_name AS "name",
    {", ".join(_BOX_CELLS)}, rad_id AS reader, split,
    coalesce(x_max <= x_min OR y_max <= y_min OR x_min < 0 OR y_min < 0
        OR NOT isfinite(x_max) OR NOT isfinite(y_max), true) AS is_faulty,
    coalesce(class_name NOT IN ({_NAME_TEXTS}, '{_OTHER_IN_TEST}'), true) AS is_unknown
FROM (SELECT *, 'train' AS split FROM boxes_train UNION ALL SELECT *, 'test' FROM boxes_test)
WHERE NOT (is_blank AND class_name = 'No finding')
"""

_LISTED: Final = """
CREATE TEMP VIEW listed AS
WITH bad_boxes AS (
    SELECT study_id, split, bool_or(is_unknown) AS has_unknown FROM boxes
    WHERE is_faulty OR is_unknown GROUP BY study_id, split
)
SELECT "row", images.image_id || '.dicom' AS image_id, images.image_id AS study_id, images.split,
    images.uri, 'PA' AS "view", width, height, labels, source_labels, subject_age, subject_sex,
    CASE WHEN images.image_id IS NULL THEN 'id-missing'
        WHEN headers.reason IS NOT NULL THEN headers.reason
        WHEN has_unknown THEN 'box-name-unknown'
        WHEN bad_boxes.study_id IS NOT NULL THEN 'box-unreadable' END AS reason,
    CASE WHEN images.image_id IS NULL THEN 'a row of the label table without image_id'
        WHEN headers.reason IS NOT NULL THEN headers.detail
        WHEN has_unknown THEN 'a class_name that is not one of VinDr''s 28'
        ELSE 'a box without four numbers or without a size above zero' END AS detail,
    CASE WHEN NOT is_labelled THEN 'label-row-missing' ELSE faults.reason END AS study_reason,
    CASE WHEN NOT is_labelled THEN 'listed with boxes and not in the label table'
        ELSE faults.detail END AS study_detail
FROM images
LEFT JOIN headers USING (uri)
LEFT JOIN labelled ON labelled.image_id = images.image_id AND labelled.split = images.split
LEFT JOIN faults ON faults.image_id = images.image_id
LEFT JOIN bad_boxes ON bad_boxes.study_id = images.image_id AND bad_boxes.split = images.split
"""
