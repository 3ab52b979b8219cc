"""PadChest: 160 thousand images of one Spanish hospital, reports as Spanish word stems.

Raw tree; images in any of the four ways, also mixed::

    PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv(.gz)
    0.zip ... 54.zip          flat members; read in place: uri ``0.zip!<ImageID>``
    <ImageDir>/<ImageID>   images/<ImageID>   <ImageID>

One row (invented; the first header cell is blank)::

    0,9000..01_ab12cd.png,0,20110304,9000..01,9000..02,1948.0,F,POSTEROANTERIOR,PA,Manual review of
    DICOM fields,No,CR,...,4999999, sin hallazg .,Physician,['normal'],[],"[['normal']]",[],[]

Identifiers are 30 to 45 digits and stay text. ``None`` and ``nan`` mean not given. The CUI columns
(numpy's print of an array) hold nothing that the labels do not, and are not read.

Views go by ``Projection``, the publisher's reviewed column: PA; AP and AP_horizontal (lying down,
frontal all the same) are AP; L is LATERAL; COSTAL (a rib series, not a chest film) and EXCLUDE are
rejected; anything else is UNKNOWN. Labels: see ``padchest_labels``; a study's are the union over
its rows, without ``exclude``, ``suboptimal study`` and ``normal`` where others remain. A study with
nothing but ``exclude`` or ``suboptimal study`` is rejected. ``source_labels`` keep every string
with the places that ``LabelsLocalizationsBySentence`` gives after it. Splits: none published, so
subjects are hashed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa

from infra.egress import Egress
from infra.licences import Use
from infra.tables import connect
from sources import padchest_labels, padchest_lists
from sources.assembly import assemble
from sources.card import Access, Card, Expected
from sources.padchest_files import BROKEN, MISSING, find_images
from sources.record import Reading
from sources.split import split_table
from sources.tables import read_csv

TABLE: Final = "PADCHEST_chest_x_ray_images_labels_160K*.csv"

CARD = Card(
    name="padchest",
    title="PadChest 160K (01.02.19)",
    access=Access.AGREEMENT,
    licence="PADCHEST Dataset Research Use Agreement",
    use=Use.RESEARCH,
    citation="Bustos et al. 2020, Medical Image Analysis 66:101797, arXiv 1901.07441",
    llm_egress=Egress.NEVER,
    required=((TABLE, f"{TABLE}.gz"),),
    language="es",
    has_reports=True,
    official_split=False,
    expected=Expected(),
)
"""Exact totals are not established: over 160,000 images of about 67,000 persons."""

SHORTEST_REPORT_WORDS: Final = 2
"""``sin hallazg`` (no findings) is a whole report; one stem is a heading or a slip (our choice)."""

_COLUMNS: Final = (
    "ImageID",
    "ImageDir",
    "StudyDate_DICOM",
    "StudyID",
    "PatientID",
    "PatientBirth",
    "PatientSex_DICOM",
    "Projection",
    "Manufacturer_DICOM",
    "Report",
    "Labels",
    "LabelsLocalizationsBySentence",
)


def read(root: Path) -> Reading:
    """Read the table under ``root`` and find each image in folders and zips, without opening it.

    Added reasons: image ``id-missing``, ``view-rejected``, ``known-bad-file``, ``file-missing``,
    ``archive-unreadable``; study ``label-exclude``, ``label-suboptimal``; text
    ``report-degenerate``.

    Raises:
        SourceError: no table, or a table that cannot be read.
    """
    CARD.require_files(root)
    path = next(iter([*sorted(root.glob(TABLE)), *sorted(root.glob(f"{TABLE}.gz"))]))
    table = read_csv(path, _COLUMNS)
    found = find_images(root)
    with connect() as connection:
        row = pa.array(range(table.num_rows), pa.int64())
        connection.register("published", table.append_column("row", row))
        connection.register("images", found.images)
        connection.register("archives", found.archives)
        connection.register("splits", split_table(table["PatientID"]))
        connection.register("bad_files", _bad_files())
        connection.register("meanings", _meanings())
        for statement in (_PLAIN, *padchest_lists.STATEMENTS, _JUDGED, _LISTED):
            connection.execute(statement)
        return assemble(connection, CARD.name)


def _bad_files() -> pa.Table:
    names = [*sorted(BROKEN), *sorted(MISSING)]
    return pa.table({"image_id": names, "is_broken": [name in BROKEN for name in names]})


def _meanings() -> pa.Table:
    names, observations, values = zip(*padchest_labels.mapping(), strict=True)
    return pa.table({"name": names, "observation": observations, "value": values})


def _text(column: str) -> str:
    """A cell; null where it is blank or one of the publisher's words for nothing."""
    return f"CASE WHEN trim({column}) NOT IN ('', 'None', 'nan') THEN trim({column}) END"


_PLAIN: Final = rf"""
CREATE TEMP TABLE plain AS
SELECT "row", {_text('"ImageID"')} AS image_id, trim("ImageDir") AS holder,
    {_text('"StudyID"')} AS study_id, {_text('"PatientID"')} AS subject_id,
    {_text('"Projection"')} AS projection, {_text('"PatientSex_DICOM"')} AS sex,
    {_text('"Manufacturer_DICOM"')} AS manufacturer,
    CAST(try_strptime("StudyDate_DICOM", '%Y%m%d') AS DATE) AS acquired_on,
    TRY_CAST("PatientBirth" AS DOUBLE) AS birth_year,
    {_text('"Report"')} AS report,
    len(regexp_extract_all("Report", '[[:alpha:]]+')) AS words,
    "Labels" AS names, "LabelsLocalizationsBySentence" AS sentences
FROM published
"""

_JUDGED: Final = """
CREATE TEMP TABLE placed_images AS
WITH nearest AS (
    SELECT "row", arg_min(uri, CASE WHEN images.holder = plain.holder THEN 0 ELSE 1 END) AS uri
    FROM plain JOIN images ON images.name = plain.image_id GROUP BY "row"
)
SELECT plain.*, uri, fault, is_broken,
    CASE WHEN image_id IS NULL OR study_id IS NULL THEN 'id-missing'
        WHEN projection IN ('COSTAL', 'EXCLUDE') THEN 'view-rejected'
        WHEN is_broken AND uri IS NOT NULL THEN 'known-bad-file'
        WHEN uri IS NULL AND fault IS NOT NULL THEN 'archive-unreadable'
        WHEN uri IS NULL THEN 'file-missing' END AS reason
FROM plain LEFT JOIN nearest USING ("row") LEFT JOIN archives USING (holder)
LEFT JOIN bad_files USING (image_id)
"""

_HOLDER: Final = "CASE WHEN regexp_full_match(holder, '[0-9]{1,3}') THEN holder ELSE '?' END"
_LISTED: Final = f"""
CREATE TEMP TABLE listed AS
SELECT "row", image_id, study_id, subject_id, split, uri, reason,
    CASE reason
        WHEN 'id-missing' THEN 'row ' || ("row" + 1) || ': no ImageID or no StudyID'
        WHEN 'view-rejected' THEN 'Projection ' || projection || '; expected PA, AP or L'
        WHEN 'known-bad-file' THEN 'the publisher''s file is truncated or has a bad chunk'
        WHEN 'archive-unreadable' THEN fault || '; expected a whole zip'
        WHEN 'file-missing' THEN CASE WHEN is_broken = false
            THEN 'one of the 11 images that no archive of the publisher holds'
            ELSE 'not in ' || {_HOLDER} || '.zip, folder ' || {_HOLDER}
                || ', images or the root' END
        END AS detail,
    CASE projection WHEN 'PA' THEN 'PA' WHEN 'AP' THEN 'AP' WHEN 'AP_horizontal' THEN 'AP'
        WHEN 'L' THEN 'LATERAL' ELSE 'UNKNOWN' END AS "view",
    study_reason,
    CASE WHEN study_reason IS NOT NULL THEN 'no other label beside it' END AS study_detail,
    CASE WHEN words >= {SHORTEST_REPORT_WORDS} THEN report END AS raw_report,
    CASE WHEN report IS NOT NULL AND words < {SHORTEST_REPORT_WORDS} THEN 'report-degenerate'
        END AS text_reason,
    words || ' words; expected at least {SHORTEST_REPORT_WORDS}' AS text_detail,
    labels, source_labels,
    CASE WHEN year(acquired_on) - birth_year BETWEEN 0 AND 120
        THEN year(acquired_on) - birth_year END AS subject_age,
    sex AS subject_sex, acquired_on, manufacturer
FROM placed_images LEFT JOIN splits ON identifier = subject_id
LEFT JOIN study_names USING (study_id) LEFT JOIN study_labels USING (study_id)
LEFT JOIN study_source_labels USING (study_id)
"""
