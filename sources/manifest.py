"""A hospital's own data: ``manifest.csv`` and a folder of DICOM, PNG or JPEG files.

Raw tree; names and depth of the folders are free::

    manifest.csv               comma, UTF-8, one row per image
    images/0001.dcm  images/0002.png  archive.zip

One row (invented), of the columns that this hospital chose to give::

    image_path,study_id,subject_id,findings,Cardiomegaly
    images/0001.dcm,S1,P1,The heart is enlarged.,1

``image_path`` (relative to the root, ``archive.zip!member`` for a zip) and ``study_id`` are
required; the optional columns are in ``manifest_columns``, and any other is not read. A study's
values may stand on each of its rows or on the first alone. Users read docs/sources.md, "Your own
data".

View: the column, else a DICOM file's ViewPosition, the only header value that gets out.
Sections given as columns are the publisher's; a ``report`` alone is cut by the rules of
``sections``. ``language`` is the owner's too; where it is blank the text tells, among English,
Spanish and Portuguese. ``split`` is the owner's; where it is blank it stays so, and the recipe's
shares hash the subject (without ``subject_id`` the study) at ingest.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from infra.egress import Egress
from infra.licences import Use
from infra.tables import connect
from sources.assembly import assemble
from sources.card import Access, Card, Expected
from sources.labels import labels_sql
from sources.language import detect_language
from sources.manifest_columns import (
    AGE_SQL,
    DATE_SQL,
    LABEL_WORDS,
    LANGUAGE_WORDS,
    SEX_WORDS,
    SPLIT_WORDS,
    VIEW_WORDS,
    faulty_rows,
    read_manifest,
    word_sql,
)
from sources.manifest_files import find_files, header_views
from sources.record import OBSERVATIONS, SECTIONS, STUDY_SCHEMA, Reading
from sources.sections import section_report
from sources.tables import VISIBLE, query, stripped_sql

CARD = Card(
    name="manifest",
    title="your own data (manifest.csv)",
    access=Access.OWN,
    licence="your institution's",
    use=Use.INTERNAL,
    citation="none",
    llm_egress=Egress.NEVER,
    required=(("manifest.csv",),),
    language="en",
    has_reports=True,
    official_split=True,
    expected=Expected(),
)


def read(root: Path) -> Reading:
    """Read ``manifest.csv``; of DICOM files without a view in the table the header is opened.

    Added reasons: image ``path-missing``, ``id-missing``, ``path-outside-root``, ``file-missing``,
    ``view-unknown``; study ``value-unknown``.

    Raises:
        SourceError: no table, one that cannot be read, or a column that seems misspelt.
    """
    CARD.require_files(root)
    cleaned = query(_CLEANED, manifest=read_manifest(root / "manifest.csv"))
    table = _with_languages(cleaned)
    with connect() as connection:
        connection.register("cleaned", table)
        connection.register("faults", faulty_rows(cleaned))
        files = find_files(root, table["uri"].drop_null().to_pylist())
        connection.register("files", files)
        connection.register("headers", header_views(root, _unseen(table, files)))
        connection.register("sectioned", _sectioned(table))
        connection.register("labelled", query(_LABELLED, cleaned=table))
        connection.execute(_LISTED)
        return assemble(connection, CARD.name)


def _unseen(table: pa.Table, files: pa.Table) -> list[str]:
    """The uris of files that are there and have no view in the table."""
    sql = """SELECT DISTINCT uri FROM cleaned JOIN files USING (uri)
        WHERE reason IS NULL AND trim(coalesce("view", '')) = '' AND NOT contains(uri, '!')"""
    uris: list[str] = query(sql, cleaned=table, files=files)["uri"].to_pylist()
    return uris


def _sectioned(table: pa.Table) -> pa.Table:
    """Columns ``report``, ``language``, ``rule_texts``: distinct reports without section columns.

    The rules read text, not tables, hence the loop over reports.
    """
    bare = table.filter(pc.and_(pc.invert(table["has_sections"]), table["report"].is_valid()))
    pairs = bare.select(["report", "language"]).group_by(["report", "language"]).aggregate([])
    texts = []
    for report, language in zip(
        pairs["report"].to_pylist(), pairs["language"].to_pylist(), strict=True
    ):
        text = section_report(report, language)
        texts.append([asdict(text)] if text else None)
    return pairs.append_column("rule_texts", pa.array(texts, STUDY_SCHEMA.field("texts").type))


def _with_languages(table: pa.Table) -> pa.Table:
    """The table with a ``language`` in each row: as given, else as the row's text tells, else that
    of most texts of the table, else English."""
    told = query(
        f"""SELECT {word_sql("language", LANGUAGE_WORDS)} AS language,
            concat_ws(' ', report, {", ".join(SECTIONS)}) AS text FROM cleaned ORDER BY "row" """,
        cleaned=table,
    )
    seen = [
        language or detect_language(text)
        for language, text in zip(
            told["language"].to_pylist(), told["text"].to_pylist(), strict=True
        )
    ]
    counted = Counter(filter(None, seen)).most_common(1)
    usual = counted[0][0] if counted else CARD.language
    column = pa.array([language or usual for language in seen], pa.string())
    return table.set_column(table.column_names.index("language"), "language", column)


_BLANK_AS_NULL: Final = ", ".join(
    f"{stripped_sql(name)} AS {name}"
    for name in ("subject_id", "study_id", "report", *SECTIONS, "manufacturer", "site")
)

_CLEANED: Final = rf"""
SELECT * EXCLUDE (image_path) REPLACE ({_BLANK_AS_NULL},
        trim(language) AS language),
    nullif(regexp_replace(replace(trim(image_path), '\', '/'), '^(\./)+', ''), '') AS uri,
    regexp_matches(concat({", ".join(SECTIONS)}), '{VISIBLE}') AS has_sections
FROM manifest ORDER BY "row"
"""

_LABELLED: Final = f"""
SELECT "row", {labels_sql()} AS labels FROM (
    SELECT "row", {", ".join(f'{word_sql(n, LABEL_WORDS)} AS "{n}"' for n in OBSERVATIONS)}
    FROM cleaned)
"""

_LISTED: Final = f"""
CREATE TEMP TABLE listed AS
SELECT cleaned."row", cleaned.uri AS image_id, cleaned.uri, study_id, subject_id,
    {word_sql("split", SPLIT_WORDS)} AS split,
    coalesce({word_sql("view", VIEW_WORDS)}, header_view, 'UNKNOWN') AS "view",
    CASE WHEN cleaned.uri IS NULL THEN 'path-missing' WHEN study_id IS NULL THEN 'id-missing'
        WHEN files.reason IS NOT NULL THEN files.reason
        WHEN {word_sql("view", VIEW_WORDS)} IS NULL AND trim("view") <> '' THEN 'view-unknown'
        END AS reason,
    CASE WHEN cleaned.uri IS NULL THEN 'row ' || (cleaned."row" + 1) || ': no image_path'
        WHEN study_id IS NULL THEN 'row ' || (cleaned."row" + 1) || ': no study_id'
        WHEN files.reason IS NOT NULL THEN files.detail
        ELSE 'row ' || (cleaned."row" + 1)
            || ', column ''view'': expected PA, AP, LATERAL, UNKNOWN or blank' END AS detail,
    CASE WHEN fault IS NOT NULL THEN 'value-unknown' END AS study_reason, fault AS study_detail,
    report AS raw_report,
    CASE WHEN has_sections THEN [struct_pack(origin := 'radiologist', sectioned_by := 'publisher',
            language := language, {", ".join(f"{name} := {name}" for name in SECTIONS)})]
        ELSE rule_texts END AS texts,
    labels, {AGE_SQL} AS subject_age, {word_sql("sex", SEX_WORDS)} AS subject_sex,
    {DATE_SQL} AS acquired_on, manufacturer, site
FROM cleaned LEFT JOIN files ON files.uri = cleaned.uri
LEFT JOIN headers ON headers.uri = cleaned.uri
LEFT JOIN faults ON faults."row" = cleaned."row"
LEFT JOIN sectioned USING (report, language)
LEFT JOIN labelled ON labelled."row" = cleaned."row"
"""
