"""MIMIC-CXR's image tables, as the rows that ``sources.assembly`` groups.

Which file of an image is read: its DICOM file, if ``cxr-record-list.csv.gz`` lists it and
``IMAGE_FILENAMES`` does not list its JPEG; else the JPEG. A list of which none of 200 evenly
spaced entries is on disk counts as absent: those who download one release often have the small
tables of both. Files are not looked for one by one; one that is missing shows when it is opened.

View position, date and size come from the -JPG metadata; for images that only the record list
has, from the DICOM headers (about 1 ms each), with the manufacturer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from sources.dicom_header import read_tags, size_in_px
from sources.labels import CHEXPERT_COLUMNS, labels_sql, source_labels_sql, unknown_label_values
from sources.pixels_dicom_frame import DICOM_DAMAGE
from sources.raw_files import ABSENT, RawFileError, RawFolder
from sources.record import View
from sources.split import split_table
from sources.table_bytes import is_there, read_names
from sources.tables import code_sql, query, read_csv, sql_name

METADATA: Final = "mimic-cxr-2.0.0-metadata.csv.gz"
SPLIT: Final = "mimic-cxr-2.0.0-split.csv.gz"
CHEXPERT: Final = "mimic-cxr-2.0.0-chexpert.csv.gz"
EXPERT: Final = "mimic-cxr-2.1.0-test-set-labeled.csv"
RECORDS: Final = "cxr-record-list.csv.gz"
STUDIES: Final = "cxr-study-list.csv.gz"
JPEG_NAMES: Final = "IMAGE_FILENAMES"

VIEWS: Final[dict[str, View]] = {
    "PA": View.PA,
    "AP": View.AP,
    "LATERAL": View.LATERAL,
    "LL": View.LATERAL,
    "RL": View.LATERAL,
    "XTABLE LATERAL": View.LATERAL,
    "PA LLD": View.UNKNOWN,
    "PA RLD": View.UNKNOWN,
    "AP LLD": View.UNKNOWN,
    "AP RLD": View.UNKNOWN,
    "AP AXIAL": View.UNKNOWN,
    "LAO": View.UNKNOWN,
    "RAO": View.UNKNOWN,
    "LPO": View.UNKNOWN,
    "RPO": View.UNKNOWN,
    "SWIMMERS": View.UNKNOWN,
    "": View.UNKNOWN,
}
"""ViewPosition as published (source_formats 2). Decubitus, lordotic and oblique films stay out of
PA and AP, since LLaVA-Rad's filter takes exactly ``AP`` and ``PA``."""

_PROBES: Final = 200
_ENTRY_COLUMNS: Final = {
    name: pa.string() for name in ("image_id", "subject_id", "study_id", "view", "date")
} | {"width": pa.int32(), "height": pa.int32(), "manufacturer": pa.string()}
_HEADER_TAGS: Final = ["ViewPosition", "StudyDate", "Rows", "Columns", "Manufacturer"]


def list_images(connection: duckdb.DuckDBPyConnection, root: Path) -> None:
    """Make the view ``listed`` of every image in the tables under ``root``."""
    records = _read_records(root)
    entries = _read_entries(root, records)
    connection.register("entries", entries)
    connection.register("dicoms", _readable(root, records, "path"))
    connection.register("jpegs", _read_jpeg_names(root))
    connection.register("splits", _read_splits(root, entries))
    connection.register("labelled", _read_labels(root))
    connection.register("expert", _read_expert_labels(root))
    positions = {"position": list(VIEWS), "view": [str(view) for view in VIEWS.values()]}
    connection.register("views", pa.table(positions))
    connection.execute(_LISTED)


def read_study_list(root: Path) -> pa.Table | None:
    """Columns ``subject_id`` and ``study_id`` of the study list; None where it is not there."""
    path = root / STUDIES
    return read_csv(path, ("subject_id", "study_id")) if is_there(path) else None


def _read_records(root: Path) -> pa.Table:
    """The record list: subject_id, study_id, dicom_id, path; empty where it is not there."""
    columns = ("subject_id", "study_id", "dicom_id", "path")
    if is_there(root / RECORDS):
        return read_csv(root / RECORDS, columns)
    return pa.table({name: pa.array([], pa.string()) for name in columns})


def _read_entries(root: Path, records: pa.Table) -> pa.Table:
    """One row per listed image, the -JPG metadata's first: the columns of _ENTRY_COLUMNS."""
    schema = pa.schema(_ENTRY_COLUMNS)
    metadata = schema.empty_table()
    if is_there(root / METADATA):
        types = dict.fromkeys(
            ("dicom_id", "subject_id", "study_id", "ViewPosition", "StudyDate"), "VARCHAR"
        )
        raw = read_csv(root / METADATA, types | {"Rows": "INTEGER", "Columns": "INTEGER"})
        metadata = query(
            """SELECT dicom_id AS image_id, subject_id, study_id, ViewPosition AS view,
                      StudyDate AS date, "Columns" AS width, "Rows" AS height,
                      NULL::VARCHAR AS manufacturer FROM raw""",
            raw=raw,
        ).cast(schema)
    others = query(
        "SELECT * FROM records WHERE dicom_id NOT IN "
        "(SELECT image_id FROM metadata WHERE image_id IS NOT NULL)",
        records=records,
        metadata=metadata,
    )
    with RawFolder(root) as folder:
        rows = [_from_header(folder, row) for row in others.to_pylist()]
    return pa.concat_tables([metadata, pa.Table.from_pylist(rows, schema=schema)])


def _from_header(folder: RawFolder, record: dict[str, str]) -> dict[str, str | int | None]:
    """What the DICOM header says of one image; ids alone where it cannot be read."""
    row: dict[str, str | int | None] = {
        "image_id": record["dicom_id"],
        "subject_id": record["subject_id"],
        "study_id": record["study_id"],
    }
    try:
        header = read_tags(folder, record["path"] or "", _HEADER_TAGS)
        size = {"width": size_in_px(header["Columns"]), "height": size_in_px(header["Rows"])}
    except (RawFileError, *DICOM_DAMAGE):
        return row
    return row | {
        "view": header["ViewPosition"],
        "date": header["StudyDate"],
        **size,
        "manufacturer": header["Manufacturer"] or None,
    }


def _readable(root: Path, listed: pa.Table, column: str) -> pa.Table:
    """The table, or none of its rows where not one of its probed files exists."""
    step = max(1, listed.num_rows // _PROBES)
    probed = [listed.column(column)[row].as_py() for row in range(0, listed.num_rows, step)]
    with RawFolder(root) as folder:
        exists = any(stat != ABSENT for stat in folder.stat(name for name in probed if name))
    return listed if exists else listed.slice(0, 0)


def _read_jpeg_names(root: Path) -> pa.Table:
    path = root / JPEG_NAMES
    names = read_names(path) if is_there(path) else []
    return _readable(root, pa.table({"name": pa.array(names, pa.string())}), "name")


def _read_splits(root: Path, entries: pa.Table) -> pa.Table:
    """Columns study_id, split, splits (how many the study has): official, else by subject."""
    if is_there(root / METADATA):
        return query(
            """SELECT study_id, min(split) AS split,
                      count(DISTINCT split) AS splits FROM official GROUP BY study_id""",
            official=read_csv(root / SPLIT, ("study_id", "split")),
        )
    return query(
        """SELECT DISTINCT study_id, split, 1 AS splits FROM entries
           JOIN hashed ON identifier = subject_id""",
        entries=entries,
        hashed=split_table(entries.column("subject_id")),
    )


def _read_labels(root: Path) -> pa.Table:
    """Columns study_id, labels, fault of the CheXpert labeler's table."""
    if not is_there(root / CHEXPERT):
        return query(_label_rows(labels_sql({}), "[]"), rows=_NO_ROWS, faults=_NO_FAULTS)
    rows = read_csv(root / CHEXPERT, ("study_id", *CHEXPERT_COLUMNS.values()))
    faults = unknown_label_values(rows, "study_id")
    return query(_label_rows(labels_sql(), "[]"), rows=rows, faults=faults)


def _read_expert_labels(root: Path) -> pa.Table:
    """The same columns and source_labels, of the radiologist's table for the test split."""
    opacity = "Airspace Opacity"
    columns = dict(CHEXPERT_COLUMNS) | {"Lung Opacity": opacity}
    if not is_there(root / EXPERT):
        return query(_label_rows(labels_sql({}), "[]"), rows=_NO_ROWS, faults=_NO_FAULTS)
    rows = read_csv(root / EXPERT, ("study_id", *columns.values()))
    faults = unknown_label_values(rows, "study_id", columns)
    positive = f"TRY_CAST({sql_name(opacity)} AS DOUBLE) = 1"
    own = source_labels_sql(f"CASE WHEN {positive} THEN ['{opacity}'] ELSE [] END")
    return query(_label_rows(labels_sql(columns), own), rows=rows, faults=faults)


_NO_ROWS: Final = pa.table({"study_id": pa.array([], pa.string())})
_NO_FAULTS: Final = pa.table({name: pa.array([], pa.string()) for name in ("row_id", "detail")})


def _label_rows(labels: str, source_labels: str) -> str:
    """A SELECT of one row per study from ``rows`` and ``faults``; the first of doubles counts."""
    return f"""
        SELECT study_id, {labels} AS labels, {source_labels} AS source_labels, fault FROM rows
        LEFT JOIN (SELECT row_id, min(detail) AS fault FROM faults GROUP BY row_id)
            ON row_id = study_id
        QUALIFY row_number() OVER (PARTITION BY study_id) = 1"""


_JPEG_PATH: Final = (
    "'files/p' || left(subject_id, 2) || '/p' || subject_id || '/s' || study_id || '/' "
    "|| image_id || '.jpg'"
)
_LISTED: Final = f"""
    CREATE OR REPLACE TEMP VIEW listed AS
    WITH numbered AS (
        SELECT *, row_number() OVER () - 1 AS row, {_JPEG_PATH} AS jpeg FROM entries)
    SELECT row, image_id, study_id, subject_id,
        views.view, width, height, manufacturer,
        CASE WHEN jpegs.name IS NULL THEN coalesce(dicom.path, jpeg) ELSE jpeg END AS uri,
        CAST(try_strptime(date, '%Y%m%d') AS DATE) AS acquired_on,
        CASE WHEN split IN ('train', 'validate', 'test') THEN split END AS split,
        coalesce(expert.labels, labelled.labels) AS labels,
        expert.source_labels AS source_labels,
        [] AS texts,
        CASE WHEN image_id IS NULL OR study_id IS NULL OR subject_id IS NULL THEN 'id-missing'
            WHEN views.view IS NULL THEN 'view-unknown' END AS reason,
        CASE WHEN image_id IS NULL OR study_id IS NULL OR subject_id IS NULL
            THEN 'row ' || (row + 1) || ' lacks dicom_id, study_id or subject_id'
            WHEN views.view IS NULL
            THEN 'ViewPosition ' || {code_sql("numbered.view")}
                || ' is not one of MIMIC-CXR''s values'
            END AS detail,
        CASE WHEN coalesce(expert.fault, labelled.fault) IS NOT NULL THEN 'label-value-unknown'
            WHEN splits > 1 THEN 'split-conflict'
            WHEN split IS NULL THEN 'split-missing'
            WHEN split NOT IN ('train', 'validate', 'test') THEN 'split-unknown'
            END AS study_reason,
        CASE WHEN coalesce(expert.fault, labelled.fault) IS NOT NULL
            THEN coalesce(expert.fault, labelled.fault)
            WHEN splits > 1 THEN splits || ' splits over its images; expected one'
            WHEN split IS NULL THEN 'not in the split table'
            WHEN split NOT IN ('train', 'validate', 'test')
            THEN 'split ' || {code_sql("split")} || '; expected train, validate or test'
            END AS study_detail
    FROM numbered
    LEFT JOIN views ON views.position = trim(coalesce(numbered.view, ''))
    LEFT JOIN (SELECT dicom_id, min(path) AS path FROM dicoms GROUP BY dicom_id)
        AS dicom ON dicom_id = image_id
    LEFT JOIN (SELECT DISTINCT name FROM jpegs) AS jpegs ON jpegs.name = jpeg
    LEFT JOIN splits USING (study_id)
    LEFT JOIN labelled USING (study_id)
    LEFT JOIN expert USING (study_id)
"""
