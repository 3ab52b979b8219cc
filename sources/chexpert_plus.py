"""The report table and the label files of CheXpert Plus, for the source ``chexpert``.

``df_chexpert_plus_240401.csv`` has one row per image, 27 columns (a re-saved copy may have a blank
index column before them), the study's report repeated on each. Beside it may lie
``chexbert_labels/report_fixed.json``, which is JSON Lines. Example row, shortened and invented::

    train/patient99999/study5/view1_frontal.jpg,...,Frontal,AP,patient99999,5,"NARRATIVE:\\n...",...,55.0,Female,...,train

``path_to_image`` ends in ``.jpg`` although PNG and DICOM files ship. Report cells hold literal
backslash-n, which become line breaks; capitals stay as they are. Publisher's sections: indication
is ``section_clinical_history``, else ``section_history``; comparison, technique, findings and
impression by name. ``section_narrative`` repeats the others and ``section_summary`` is a code:
neither is a section here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.json as pj

from infra.errors import SourceError
from infra.tables import connect
from sources.labels import labels_sql
from sources.record import OBSERVATIONS
from sources.table_bytes import is_there
from sources.tables import read_csv

TABLE: Final = "df_chexpert_plus_*.csv"
_COLUMNS: Final = (
    "path_to_image",
    "frontal_lateral",
    "ap_pa",
    "report",
    "section_clinical_history",
    "section_history",
    "section_comparison",
    "section_technique",
    "section_findings",
    "section_impression",
    "age",
    "sex",
)
_LABEL_FILES: Final = ("report_fixed.json", "impression_fixed.json", "findings_fixed.json")
"""CheXbert labels, the first that is there: those of the whole report say most (our choice)."""

_EMPTY: Final = pa.table({name: pa.array([], pa.string()) for name in _COLUMNS})


def read_rows(path: Path | None) -> pa.Table:
    """Columns row, image_id, plane, projection, sex, age, raw_report, texts, labels.

    Args:
        path: the report table; None gives no rows.

    Raises:
        SourceError: a table or label file that cannot be read.
    """
    table = _EMPTY if path is None else read_csv(path, _COLUMNS)
    labels = _NO_LABELS if path is None else _read_labels(path.parent)
    rows = pa.array(range(table.num_rows), pa.int64())
    with connect() as connection:
        connection.register("report_rows", table.append_column("row", rows))
        connection.register("label_rows", labels)
        return connection.sql(_ROWS).to_arrow_table()


_LABEL_SCHEMA: Final = pa.schema(
    [("path_to_image", pa.string()), *((name, pa.float64()) for name in OBSERVATIONS)]
)
_NO_LABELS: Final = _LABEL_SCHEMA.empty_table()


def _read_labels(folder: Path) -> pa.Table:
    """path_to_image and the 14 observations as numbers, from the first label file there is."""
    paths = [folder / "chexbert_labels" / name for name in _LABEL_FILES]
    path = next((candidate for candidate in paths if is_there(candidate)), None)
    if path is None:
        return _NO_LABELS
    options = pj.ParseOptions(
        explicit_schema=_LABEL_SCHEMA, unexpected_field_behavior="ignore", newlines_in_values=False
    )
    try:
        return pj.read_json(path, parse_options=options)
    except pa.ArrowInvalid:
        raise SourceError(
            f"text in {path} that is not JSON Lines",
            "one object per line with path_to_image and the 14 observations as numbers",
            "unpack chexbert_labels.zip again",
        ) from None


def _section(column: str) -> str:
    """A cell on one line, without literal backslash-n; null where nothing is left."""
    return rf"nullif(trim(regexp_replace({column}, '(\\n|\s)+', ' ', 'g')), '')"


_SECTIONS: Final = {
    "indication": (
        f"coalesce({_section('section_clinical_history')}, {_section('section_history')})"
    ),
    "technique": _section("section_technique"),
    "comparison": _section("section_comparison"),
    "findings": _section("section_findings"),
    "impression": _section("section_impression"),
}

_ROWS: Final = rf"""
WITH labelled AS (
    SELECT path_to_image, first({labels_sql()}) AS labels FROM label_rows GROUP BY path_to_image
), cut AS (
    SELECT *, {", ".join(f"{sql} AS {name}" for name, sql in _SECTIONS.items())}
    FROM report_rows LEFT JOIN labelled USING (path_to_image)
)
SELECT "row", path_to_image AS image_id, frontal_lateral AS plane, ap_pa AS projection, sex, age,
    nullif(trim(replace(report, '\n', chr(10))), '') AS raw_report,
    CASE WHEN coalesce({", ".join(_SECTIONS)}) IS NOT NULL
        THEN [struct_pack(origin := 'radiologist', sectioned_by := 'publisher', language := 'en',
            {", ".join(f"{name} := {name}" for name in _SECTIONS)})] END AS texts,
    labels
FROM cut
"""
