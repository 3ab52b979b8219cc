"""BRAX: 41 thousand images of one Brazilian hospital, labels only.

Raw tree::

    master_spreadsheet_update.csv   (v1.0.0: master_spreadsheet.csv)
    images/id_<5 x 8 hex>/Study_<5 x 8 digits>/Series_<...>/image-<5 x 8 digits>.png
    <DICOM folder>/...dcm           (optional; path in the table's second column)

One row (invented; the first header cell is blank, the second column's name is unconfirmed and is
therefore found by its place)::

    0,Anonymized_DICOMs/id_...dcm,images/id_...png,id_0a..,F,85 or more,12345678...,20150102,
    1,,,,,,,,,,,,,1,PA,2500,2048,1

Study key: PatientID and AccessionNumber. Label columns go by name, since Lung Lesion stands before
Lung Opacity here and after it in CheXpert. PatientAge is the lower end of a five-year group;
``85 or more`` reads as 85. StudyDate is the publisher's fiction and kept as such. PNG files are
read; the DICOM file instead where there is no PNG folder, or for the two PNGs that are known to be
unreadable.

Views by ``ViewPosition``: PA, AP; L, LL, RL, LATERAL are LATERAL; decubitus (AP LLD, LLD, RLD,
LT-DECUB: a frontal film of a person on the side, fluid lies elsewhere) and oblique (RLO, LLO) films
and blanks are UNKNOWN, so that no frontal-only recipe takes them. Splits: none published, so
subjects are hashed.
"""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Final

import pyarrow as pa

from infra.egress import Egress
from infra.licences import Use
from infra.tables import connect
from sources.assembly import assemble
from sources.card import Access, Card, Expected
from sources.labels import labels_sql, unknown_label_values
from sources.record import OBSERVATIONS, Reading
from sources.split import split_table
from sources.table_bytes import is_there
from sources.tables import read_csv, sql_name

_TABLES: Final = ("master_spreadsheet_update.csv", "master_spreadsheet.csv")

CARD = Card(
    name="brax",
    title="BRAX v1.1.0",
    access=Access.PHYSIONET_CREDENTIALED,
    licence="PhysioNet Credentialed Health Data License (version unconfirmed)",
    use=Use.RESEARCH,
    citation="Reis et al. 2022, Scientific Data 9:487, PMC9364309",
    llm_egress=Egress.ZERO_RETENTION,
    required=(_TABLES,),
    language=None,
    has_reports=False,
    official_split=False,
    expected=Expected(studies=24_959, images=40_967),
)

UNREADABLE: Final = (
    "image-22690942-78813103-68555148-48389446-07160114.png",
    "image-37997198-18966152-20534320-02647727-39479040.png",
)
"""PNG files that no library opens (found by users of the data; their DICOM files are fine)."""

_COLUMNS: Final = (
    "PngPath",
    "PatientID",
    "PatientSex",
    "PatientAge",
    "AccessionNumber",
    "StudyDate",
    *OBSERVATIONS,
    "ViewPosition",
    "Rows",
    "Columns",
    "Manufacturer",
)


def read(root: Path) -> Reading:
    """Read the table under ``root``; no image is opened.

    Added reasons: image ``path-missing``, ``id-missing``, ``known-bad-file``; study
    ``label-value-unknown``.

    Raises:
        SourceError: no table, or a table that cannot be read.
    """
    CARD.require_files(root)
    path = next(root / name for name in _TABLES if is_there(root / name))
    table = read_csv(path, _COLUMNS, keep_rest=True)
    rest = [name for name in table.column_names if name not in _COLUMNS]
    dicom_column = rest[1] if len(rest) > 1 and _has_dicom(root, table[rest[1]]) else None
    table = table.append_column("row", pa.array(range(table.num_rows), pa.int64()))
    has_png = next(root.glob("images/*/*/*/*.png"), None) is not None
    with connect() as connection:
        connection.register("published", table)
        connection.register("faults", unknown_label_values(table, "row"))
        connection.register("splits", split_table(table["PatientID"]))
        connection.execute(_listed_sql(dicom_column, has_png))
        return assemble(connection, CARD.name)


def _has_dicom(root: Path, paths: pa.ChunkedArray) -> bool:
    """Whether the folder that the DICOM paths begin with is on disk."""
    first = next((path for path in paths.drop_null().to_pylist() if path.strip()), None)
    return first is not None and (root / PurePosixPath(first.strip()).parts[0]).is_dir()


def _listed_sql(dicom_column: str | None, has_png: bool) -> str:
    """``listed`` for the assembly.

    Args:
        dicom_column: the name found in second place, None where no DICOM files are on disk.
        has_png: whether PNG files are on disk; else the DICOM path is used where there is one.
    """
    dicom = sql_name(dicom_column) if dicom_column else "NULL::VARCHAR"
    unreadable = ", ".join(f"'{name}'" for name in UNREADABLE)
    png_first = "coalesce(png, dicom)" if has_png else "coalesce(dicom, png)"
    return rf"""
CREATE TEMP TABLE listed AS
WITH cut AS (
    SELECT *, regexp_replace("PngPath", '^(.*/)?images/', 'images/') AS png,
        nullif(trim({dicom}), '') AS dicom,
        regexp_extract("PngPath", '[^/]+$') IN ({unreadable}) AS is_unreadable
    FROM published
), chosen AS (
    SELECT *, CASE WHEN is_unreadable THEN dicom ELSE {png_first} END AS uri FROM cut
)
SELECT "row", coalesce(png, dicom) AS image_id, uri,
    "PatientID" || '/' || "AccessionNumber" AS study_id, "PatientID" AS subject_id, split,
    CASE WHEN "ViewPosition" IN ('PA', 'AP') THEN "ViewPosition"
        WHEN "ViewPosition" IN ('L', 'LL', 'RL', 'LATERAL') THEN 'LATERAL' ELSE 'UNKNOWN'
        END AS "view",
    CASE WHEN uri LIKE '%.dcm' THEN TRY_CAST("Columns" AS INTEGER) END AS width,
    CASE WHEN uri LIKE '%.dcm' THEN TRY_CAST("Rows" AS INTEGER) END AS height,
    CASE WHEN "PatientID" IS NULL OR "AccessionNumber" IS NULL THEN 'id-missing'
        WHEN png IS NULL AND dicom IS NULL THEN 'path-missing'
        WHEN uri IS NULL THEN 'known-bad-file' END AS reason,
    CASE WHEN "PatientID" IS NULL OR "AccessionNumber" IS NULL
            THEN 'row ' || ("row" + 1) || ': no PatientID or no AccessionNumber'
        WHEN png IS NULL AND dicom IS NULL THEN 'row ' || ("row" + 1) || ': no PngPath'
        WHEN uri IS NULL THEN 'the publisher''s PNG cannot be read; expected its DICOM path'
        END AS detail,
    CASE WHEN faults.detail IS NOT NULL THEN 'label-value-unknown' END AS study_reason,
    faults.detail AS study_detail,
    {labels_sql()} AS labels,
    TRY_CAST(regexp_extract("PatientAge", '^[0-9]+') AS FLOAT) AS subject_age,
    CASE WHEN "PatientSex" IN ('M', 'F', 'O') THEN "PatientSex" END AS subject_sex,
    CAST(coalesce(try_strptime("StudyDate", '%Y%m%d'), try_strptime("StudyDate", '%Y-%m-%d'))
        AS DATE) AS acquired_on,
    "Manufacturer" AS manufacturer
FROM chosen LEFT JOIN splits ON identifier = "PatientID"
LEFT JOIN faults ON faults.row_id = CAST("row" AS VARCHAR)
"""
