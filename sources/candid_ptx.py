"""CANDID-PTX: 19 thousand films of one New Zealand hospital with reports and masks.

Raw tree::

    dataset/<SOPInstanceUID>          DICOM, 1024 x 1024, no suffix (or chest_radiographs/)
    Pneumothorax_reports.csv          one row per image and pneumothorax region
    chest_tube.csv                    optional: regions of chest tubes
    Rib_fracture_mask_rle.csv         optional: regions of fractures (or acute_rib_fracture.csv)

Two rows (invented) of ``Pneumothorax_reports.csv``, whose column order is not known, and one of
``chest_tube.csv``, whose middle column's name is not known::

    1.2.826.9,1.2.826.7,P17_1.2.826.9,-1,No pneumothorax is seen.
    1.2.826.8,1.2.826.7,P17_1.2.826.8,201500 12 1010 15,"Small left pneumothorax ..."
    1.2.826.8,annotation_1,90210 4 1020 4

A study is a ``StudyInstanceUID``; the subject is the ``P<number>`` that ``filename`` starts with.
Splits: none published, so subjects are hashed. ``Report`` is one column of English without marked
sections: it is kept raw. Size, view, age and sex come from the DICOM header; where it names no view
the view is UNKNOWN.

Masks (see ``run_length``) become one box per region. ``-1`` denies the finding; a blank cell says
nothing. Observations: pneumothorax is Pneumothorax, a chest tube is Support Devices, an (acute) rib
fracture is Fracture; a denied tube or rib fracture sets neither, since there may be another device
or fracture. An image that the tube or fracture table does not list is unmentioned
there: these tables hold what was annotated, not what was looked for.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from infra.egress import Egress
from infra.licences import Use
from infra.tables import connect
from sources.assembly import assemble
from sources.boxes import BOX_COLUMNS, attach_boxes
from sources.card import Access, Card, Expected
from sources.dicom_header import read_headers
from sources.record import OBSERVATIONS, Reading
from sources.run_length import RunLengthError, extent_of
from sources.split import split_table
from sources.table_bytes import is_there
from sources.tables import query, read_csv, sql_text

FOLDERS: Final = ("dataset", "chest_radiographs")
FRACTURE_TABLES: Final = ("Rib_fracture_mask_rle.csv", "acute_rib_fracture.csv")

CARD = Card(
    name="candid_ptx",
    title="CANDID-PTX",
    access=Access.AGREEMENT,
    licence="data use agreement and ethics course (terms not public)",
    use=Use.RESEARCH,
    citation="Feng et al. 2021, Radiology: AI 3(6):e210136, doi 10.17608/k6.auckland.14173982",
    llm_egress=Egress.NEVER,
    required=(FOLDERS, ("Pneumothorax_reports.csv",)),
    language="en",
    has_reports=True,
    official_split=False,
    expected=Expected(images=19_237),
)

COUNTERPARTS: Final[dict[str, str]] = {
    "Pneumothorax": "Pneumothorax",
    "Chest tube": "Support Devices",
    "Rib fracture": "Fracture",
}
"""The three annotated things to observations."""

_ABSENT: Final = "-1"
_REGION_SCHEMA: Final = pa.schema(
    [
        ("image_id", pa.string()),
        ("name", pa.string()),
        *((corner, pa.float64()) for corner in ("x_min", "y_min", "x_max", "y_max")),
        ("fault", pa.string()),
    ]
)


def read(root: Path) -> Reading:
    """Read the tables and the files' headers under ``root``; no pixels.

    Added reasons: image ``id-missing``, ``file-missing``, ``dicom-unreadable``,
    ``mask-unreadable``, ``report-row-missing`` (in the tube or fracture table only); study
    ``subject-unknown``.

    Raises:
        SourceError: a table that is missing or cannot be read.
    """
    CARD.require_files(root)
    folder = next(name for name in FOLDERS if (root / name).is_dir())
    with connect() as connection:
        connection.register("reports", _read_reports(root / "Pneumothorax_reports.csv"))
        connection.register("tubes", _read_masks(root / "chest_tube.csv"))
        fractures = next((n for n in FRACTURE_TABLES if is_there(root / n)), FRACTURE_TABLES[0])
        connection.register("fractures", _read_masks(root / fractures))
        connection.execute(_MARKS)
        connection.execute(_IMAGES)
        images = connection.sql("SELECT * FROM images").to_arrow_table()
        connection.register("splits", split_table(images["subject_id"]))
        listed = connection.sql("SELECT DISTINCT image_id FROM images WHERE image_id IS NOT NULL")
        uris = [f"{folder}/{name}" for name in listed.to_arrow_table()["image_id"].to_pylist()]
        headers = read_headers(root, uris)
        connection.register("headers", headers)
        connection.register("regions", _regions(connection, headers))
        connection.execute(_listed_sql(folder))
        boxes = connection.sql(_BOXES).to_arrow_table()
        return attach_boxes(assemble(connection, CARD.name), boxes)


def _read_reports(path: Path) -> pa.Table:
    columns = ("SOPInstanceUID", "StudyInstanceUID", "filename", "EncodedPixels", "Report")
    return read_csv(path, columns)


def _read_masks(path: Path) -> pa.Table:
    """Columns ``anon_SOPUID`` and ``mask_rle``; no rows where the table is not there."""
    columns = ("anon_SOPUID", "mask_rle")
    if not is_there(path):
        return pa.table({name: pa.array([], pa.string()) for name in columns})
    return read_csv(path, columns, allow_empty=True)


def _regions(connection: duckdb.DuckDBPyConnection, headers: pa.Table) -> pa.Table:
    """_REGION_SCHEMA: each distinct mask's box, or why it has none; unread headers are left out."""
    masks = query(
        f"""SELECT DISTINCT marks.image_id, name, rle, width, height FROM marks
            JOIN headers ON string_split(uri, '/')[-1] = marks.image_id
            WHERE rle <> '{_ABSENT}' AND headers.reason IS NULL
            ORDER BY marks.image_id, name, rle""",
        marks=connection.sql("SELECT * FROM marks").to_arrow_table(),
        headers=headers,
    )
    rows = [_region(**row) for row in masks.to_pylist()]  # some 4,000: positives alone
    return pa.Table.from_pylist(rows, schema=_REGION_SCHEMA)


def _region(
    image_id: str, name: str, rle: str, width: int, height: int
) -> dict[str, str | int | None]:
    row: dict[str, str | int | None] = {"image_id": image_id, "name": name}
    try:
        extent = extent_of(rle, height, width)
    except RunLengthError as error:
        return row | {"fault": f"mask of {name}: {error}"}
    return row | {
        "x_min": extent.x_min,
        "y_min": extent.y_min,
        "x_max": extent.x_max,
        "y_max": extent.y_max,
    }


_MARKS: Final = """
CREATE TEMP TABLE marks AS
SELECT image_id, name, trim(rle) AS rle FROM (
    SELECT SOPInstanceUID AS image_id, 'Pneumothorax' AS name, EncodedPixels AS rle FROM reports
    UNION ALL SELECT anon_SOPUID, 'Chest tube', mask_rle FROM tubes
    UNION ALL SELECT anon_SOPUID, 'Rib fracture', mask_rle FROM fractures
) WHERE image_id IS NOT NULL AND trim(coalesce(rle, '')) <> ''
"""

_IMAGES: Final = """
CREATE TEMP TABLE images AS
WITH numbered AS (SELECT *, row_number() OVER () - 1 AS row FROM reports)
SELECT min(row) AS row, SOPInstanceUID AS image_id, StudyInstanceUID AS study_id,
    nullif(regexp_extract(filename, '^(P\\d+)_', 1), '') AS subject_id,
    first(Report ORDER BY row) AS report, true AS has_report_row
FROM numbered GROUP BY ALL
UNION ALL
SELECT (SELECT count(*) FROM reports) + row_number() OVER (ORDER BY image_id) - 1, image_id,
    NULL, NULL, NULL, false
FROM (SELECT DISTINCT image_id FROM marks
    WHERE image_id NOT IN (SELECT SOPInstanceUID FROM reports WHERE SOPInstanceUID IS NOT NULL))
"""
"""One row per image of one study and subject: several regions are several rows of the table."""

_PLACE: Final = " ".join(
    f"WHEN {sql_text(name)} THEN {OBSERVATIONS.index(found)}"
    for name, found in COUNTERPARTS.items()
)
_OBSERVATION: Final = " ".join(
    f"WHEN {sql_text(name)} THEN {sql_text(found)}" for name, found in COUNTERPARTS.items()
)


def _listed_sql(folder: str) -> str:
    """``listed`` for the assembly."""
    return f"""
CREATE TEMP TABLE listed AS
WITH judged AS (
    SELECT study_id, name, CASE WHEN bool_or(rle <> '{_ABSENT}') THEN 'positive'
        ELSE 'negative' END AS "value"
    FROM marks JOIN images USING (image_id) GROUP BY study_id, name
), labelled AS (
    SELECT study_id,
        list(struct_pack(observation := CASE name {_OBSERVATION} END, "value" := "value")
            ORDER BY CASE name {_PLACE} END)
            FILTER ("value" = 'positive' OR name = 'Pneumothorax') AS labels,
        list(struct_pack("name" := name, "value" := "value", "location" := NULL::VARCHAR,
            votes := NULL::SMALLINT, readers := NULL::SMALLINT) ORDER BY name) AS source_labels
    FROM judged GROUP BY study_id
), faults AS (
    SELECT image_id, first(fault ORDER BY fault) AS fault FROM regions
    WHERE fault IS NOT NULL GROUP BY image_id
)
SELECT images.row, images.image_id, images.study_id, images.subject_id, split,
    '{folder}/' || images.image_id AS uri, "view", width, height, report AS raw_report,
    labels, source_labels, subject_age, subject_sex, manufacturer,
    CASE WHEN images.image_id IS NULL OR (images.study_id IS NULL AND has_report_row)
            THEN 'id-missing'
        WHEN NOT has_report_row THEN 'report-row-missing'
        WHEN headers.reason IS NOT NULL THEN headers.reason
        WHEN fault IS NOT NULL THEN 'mask-unreadable' END AS reason,
    CASE WHEN images.image_id IS NULL OR (images.study_id IS NULL AND has_report_row)
            THEN 'row ' || (images.row + 1) || ': no SOPInstanceUID or no StudyInstanceUID'
        WHEN NOT has_report_row THEN 'annotated, but not in Pneumothorax_reports.csv'
        WHEN headers.reason IS NOT NULL THEN headers.detail
        ELSE fault END AS detail,
    CASE WHEN images.subject_id IS NULL AND images.study_id IS NOT NULL
        THEN 'subject-unknown' END AS study_reason,
    'filename without a leading P<number>_' AS study_detail
FROM images
LEFT JOIN headers ON headers.uri = '{folder}/' || images.image_id
LEFT JOIN splits ON splits.identifier = images.subject_id
LEFT JOIN labelled ON labelled.study_id = images.study_id
LEFT JOIN faults ON faults.image_id = images.image_id
"""


_BOXES: Final = f"""
SELECT {", ".join(BOX_COLUMNS)} FROM (
    SELECT DISTINCT study_id, image_id, name, x_min, y_min, x_max, y_max, NULL::VARCHAR AS reader
    FROM regions JOIN images USING (image_id) WHERE fault IS NULL AND study_id IS NOT NULL
)
"""
