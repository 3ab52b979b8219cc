"""CheXpert v1.0 (full, small) with labels only, and CheXpert Plus with reports.

Raw tree; any one of the image folders, any one of the tables, ``root`` or one folder below::

    train.csv  valid.csv  test.csv | test_labels.csv          (labels; the last is optional)
    df_chexpert_plus_240401.csv                               (reports, see chexpert_plus)
    CheXpert-v1.0-small/train/patient99999/study1/view1_frontal.jpg
    CheXpert-v1.0/train/...                                    full size
    CheXpert-v1.0 batch 2 (train 1)/patient99999/study1/...    full size, as downloaded
    PNG/train/...view1_frontal.png   DICOM/train/...dcm        CheXpert Plus

One row of train.csv (invented)::

    CheXpert-v1.0-small/train/patient99999/study1/view1_frontal.jpg,Female,68,Frontal,AP,1.0,,,,,,,,,0.0,,,,1.0

Views: ``Lateral`` is LATERAL; ``Frontal`` goes by ``AP/PA``: PA, AP, else UNKNOWN. ``LL`` and
``RL`` are marked Frontal there (17 images): the two columns contradict each other, hence UNKNOWN.
Age 0 (3 rows of adults' films) is read as not given; 90 is the publisher's cap and stays.

Study id ``patient99999/study1``, since study numbers start anew with each patient. Labels come from
train.csv and valid.csv; images that only CheXpert Plus lists take its CheXbert labels. The folder
named in the path is the official split: train, valid (validate), test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa

from infra.egress import Egress
from infra.licences import Use
from infra.tables import connect
from sources import chexpert_plus
from sources.assembly import assemble
from sources.card import Access, Card, Expected
from sources.labels import labels_sql, unknown_label_values
from sources.raw_files import is_storable
from sources.record import OBSERVATIONS, Reading
from sources.tables import read_csv

CARD = Card(
    name="chexpert",
    title="CheXpert v1.0 and CheXpert Plus",
    access=Access.AGREEMENT,
    licence="Stanford University School of Medicine CheXpert Dataset Research Use Agreement",
    use=Use.RESEARCH,
    citation="Irvin et al. 2019, arXiv 1901.07031; Chambon et al. 2024, arXiv 2405.19538",
    llm_egress=Egress.NEVER,
    required=(("train.csv", "*/train.csv", chexpert_plus.TABLE, f"*/{chexpert_plus.TABLE}"),),
    language="en",
    has_reports=True,
    official_split=True,
    expected=Expected(subjects=64_740, studies=187_841, images=223_648),
)
"""Counts: train.csv (64,540 patients, 187,641 studies, 223,414 images) and valid.csv (200, 200,
234)."""

_PLACES: Final[tuple[tuple[str, str], ...]] = (
    ("CheXpert-v1.0", ".jpg"),
    (".", ".jpg"),
    ("PNG/PNG", ".png"),
    ("PNG", ".png"),
    ("DICOM/DICOM", ".dcm"),
    ("DICOM", ".dcm"),
    ("CheXpert-v1.0-small", ".jpg"),
)
"""Folders that hold train/, valid/ and test/, and their images' suffix; where a patient lies in
several, the first one is read: full-size before small (our choice)."""
_SPLIT_FOLDERS: Final = ("train", "valid", "test")
_DETAILS: Final = ("Sex", "Age", "Frontal/Lateral", "AP/PA")


def read(root: Path) -> Reading:
    """Read all tables under ``root``; images are located by patient folder, not opened.

    Added reasons: ``path-unknown`` (not the publisher's path pattern), ``folder-missing`` (no
    folder of that patient), ``label-value-unknown`` (study).

    Raises:
        SourceError: no table, or a table that cannot be read.
    """
    CARD.require_files(root)
    plus = _find(root, chexpert_plus.TABLE)
    with connect() as connection:
        plain = _plain_rows(root)
        connection.register("plain", plain)
        connection.register("faults", unknown_label_values(plain, "row"))
        connection.register("plus", chexpert_plus.read_rows(plus))
        connection.register("places", _patient_folders(root))
        connection.execute(_LISTED)
        return assemble(connection, CARD.name)


def _find(root: Path, pattern: str) -> Path | None:
    return next(iter([*sorted(root.glob(pattern)), *sorted(root.glob(f"*/{pattern}"))]), None)


def _plain_rows(root: Path) -> pa.Table:
    """Rows of the plain tables, one below the other: Path, details, labels, file, line, row."""
    tables = [_EMPTY]
    for pattern, required in (
        ("train.csv", ("Path", *_DETAILS, *OBSERVATIONS)),
        ("valid.csv", ("Path", *_DETAILS, *OBSERVATIONS)),
        ("test_labels.csv", ("Path",)),
        ("test.csv", ("Path",)),
    ):
        path = _find(root, pattern)
        if path is not None:
            optional = [name for name in (*_DETAILS, *OBSERVATIONS) if name not in required]
            table = read_csv(path, required, optional=optional)
            line = pa.array(range(1, table.num_rows + 1), pa.int64())
            file = pa.repeat(pa.scalar(path.name), table.num_rows)
            tables.append(table.append_column("line", line).append_column("file", file))
    table = pa.concat_tables([part.select(_EMPTY.column_names) for part in tables])
    return table.append_column("row", pa.array(range(table.num_rows), pa.int64()))


_TEXT_COLUMNS: Final = ("Path", *_DETAILS, *OBSERVATIONS, "file")
_EMPTY: Final = pa.table(
    {name: pa.array([], pa.string()) for name in _TEXT_COLUMNS} | {"line": pa.array([], pa.int64())}
)


def _patient_folders(root: Path) -> pa.Table:
    """Columns split_folder, patient, folder (ends with the patient), suffix, rank.

    Only folder names are listed (65 thousand in the full release), no image is touched.
    """
    bases = [
        (split, f"{place}/{split}".removeprefix("./"), suffix)
        for place, suffix in _PLACES
        for split in _SPLIT_FOLDERS
    ]
    for batch in sorted(root.glob("CheXpert-v1.0 batch *")):
        split = next((name for name in _SPLIT_FOLDERS if name in batch.name), "")
        bases += [(split, batch.name, ".jpg"), (split, f"{batch.name}/{split}", ".jpg")]
    rows = [
        (split, path.name, f"{base}/{path.name}", suffix, rank)
        for rank, (split, base, suffix) in enumerate(bases)
        for path in sorted((root / base).glob("patient*"))
        if is_storable(path.name)
    ]
    names = ("split_folder", "patient", "folder", "suffix", "rank")
    kinds = (*[pa.string()] * 4, pa.int32())
    columns = zip(*rows, strict=True) if rows else ((),) * len(names)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
    return pa.Table.from_arrays(arrays, names=list(names))


_LISTED: Final = rf"""
CREATE TEMP TABLE listed AS
WITH base AS (
    SELECT "row", regexp_replace("Path", '^CheXpert-v1\.0(-small)?/', '') AS image_id,
        "Sex" AS sex, "Age" AS age, "Frontal/Lateral" AS plane, "AP/PA" AS projection,
        {labels_sql()} AS labels, faults.detail AS faulty,
        'row ' || line || ' of ' || file AS place
    FROM plain LEFT JOIN faults ON faults.row_id = CAST("row" AS VARCHAR)
), every AS (
    SELECT * FROM base
    UNION ALL
    SELECT 1000000000 + "row", image_id, sex, age, plane, projection, labels, NULL,
        'row ' || ("row" + 1) || ' of the report table'
    FROM plus WHERE image_id IS NULL OR image_id NOT IN (
        SELECT image_id FROM base WHERE image_id IS NOT NULL)
), told AS (
    SELECT image_id, first(raw_report ORDER BY "row") AS raw_report,
        first(texts ORDER BY "row") AS texts
    FROM plus GROUP BY image_id
), cut AS (
    SELECT every.*, raw_report, texts, regexp_extract(image_id,
        '^(train|valid|test)/(patient[0-9]+)/(study[0-9]+)/(view[0-9]+_(?:frontal|lateral))\.jpg$',
        ['split', 'patient', 'study', 'stem']) AS part
    FROM every LEFT JOIN told USING (image_id)
), placed AS (
    SELECT split_folder, patient, arg_min(folder, rank) AS folder, arg_min(suffix, rank) AS suffix
    FROM places GROUP BY ALL
)
SELECT "row", image_id, nullif(part.patient || '/' || part.study, '/') AS study_id,
    nullif(part.patient, '') AS subject_id,
    CASE part.split WHEN 'train' THEN 'train' WHEN 'valid' THEN 'validate' WHEN 'test' THEN 'test'
        END AS split,
    CASE WHEN coalesce(plane, '') = 'Lateral' OR (plane IS NULL AND part.stem LIKE '%lateral')
            THEN 'LATERAL'
        WHEN projection IN ('PA', 'AP') THEN projection ELSE 'UNKNOWN' END AS "view",
    folder || '/' || part.study || '/' || part.stem || suffix AS uri,
    CASE WHEN coalesce(part.patient, '') = '' THEN 'path-unknown'
        WHEN folder IS NULL THEN 'folder-missing' END AS reason,
    CASE WHEN coalesce(part.patient, '') = ''
            THEN place || ': expected train|valid|test/patientN/studyN/viewN_frontal|lateral.jpg'
        WHEN folder IS NULL THEN 'no folder ' || part.patient || ' below any image folder'
        END AS detail,
    CASE WHEN faulty IS NOT NULL THEN 'label-value-unknown' END AS study_reason,
    faulty AS study_detail,
    raw_report, texts, labels,
    CASE WHEN TRY_CAST(age AS FLOAT) > 0 AND TRY_CAST(age AS FLOAT) <= 120
        THEN TRY_CAST(age AS FLOAT) END AS subject_age,
    CASE sex WHEN 'Female' THEN 'F' WHEN 'Male' THEN 'M' END AS subject_sex
FROM cut LEFT JOIN placed ON placed.patient = part.patient AND split_folder = part.split
"""
