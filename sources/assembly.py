"""From one row per listed image to one ``Study`` per examination, in SQL, with nothing lost.

A reader makes a DuckDB view ``listed`` with one row per image of the publisher's table and calls
``assemble``. Columns (``COLUMNS``; an absent one is null throughout):

    row         position in the publisher's table, from 0; the first row of a study wins
    image_id    null where the row's path or id cannot be understood (then ``reason`` is set)
    study_id    null likewise
    reason, detail               why this image is rejected, else null
    study_reason, study_detail   why its whole study is rejected, else null
    text_reason, text_detail     why the study goes on without its report, else null
    all others  fields of ``Image`` and ``Study``; those of the study repeat on each of its rows
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import duckdb
import pyarrow as pa

from sources.record import REJECTED_SCHEMA, STUDY_SCHEMA, Reading
from sources.tables import sql_text

_MEMORY: Final = "512MB"
"""DuckDB's own while a source is grouped. Our choice: a quarter of what a run may take."""

_ROWS_AT_ONCE: Final = 50_000
"""Our choice: images whose studies are grouped at once. 370,000 of MIMIC-CXR's shape, with labels,
did not fit into the bound above at once."""

_TEXTS: Final = (
    "STRUCT(origin VARCHAR, sectioned_by VARCHAR, language VARCHAR, indication VARCHAR, "
    "technique VARCHAR, comparison VARCHAR, findings VARCHAR, impression VARCHAR)[]"
)
_SOURCE_LABELS: Final = (
    'STRUCT("name" VARCHAR, "value" VARCHAR, "location" VARCHAR, votes SMALLINT, '
    "readers SMALLINT)[]"
)
STUDY_COLUMNS: Final[dict[str, str]] = {
    "subject_id": "VARCHAR",
    "split": "VARCHAR",
    "raw_report": "VARCHAR",
    "texts": _TEXTS,
    "labels": 'STRUCT(observation VARCHAR, "value" VARCHAR)[]',
    "source_labels": _SOURCE_LABELS,
    "subject_age": "FLOAT",
    "subject_sex": "VARCHAR",
    "acquired_on": "DATE",
    "manufacturer": "VARCHAR",
    "site": "VARCHAR",
}
IMAGE_COLUMNS: Final[dict[str, str]] = {
    "row": "BIGINT",
    "image_id": "VARCHAR",
    "study_id": "VARCHAR",
    "view": "VARCHAR",
    "uri": "VARCHAR",
    "width": "INTEGER",
    "height": "INTEGER",
    "reason": "VARCHAR",
    "detail": "VARCHAR",
    "study_reason": "VARCHAR",
    "study_detail": "VARCHAR",
    "text_reason": "VARCHAR",
    "text_detail": "VARCHAR",
}
COLUMNS: Final[dict[str, str]] = IMAGE_COLUMNS | STUDY_COLUMNS
_LISTS: Final = ("texts", "labels", "source_labels")


def assemble(connection: duckdb.DuckDBPyConnection, source: str) -> Reading:
    """Group the view ``listed`` into studies and rejected rows.

    Added reasons: ``duplicate-id`` (an image listed twice; the first row stays),
    ``subject-conflict`` and ``split-conflict`` (a study's rows disagree), ``report-differs`` (level
    text: the first report stays), ``no-image-left`` (no image and no report).
    """
    with _spilling(connection):
        _type_columns(connection)
        _judge_images(connection)
        _judge_studies(connection)
        studies = _fetched(connection, _STUDIES, source, STUDY_SCHEMA)
        rejected = _fetched(connection, _REJECTED, source, REJECTED_SCHEMA)
        owners = dict(connection.sql(_LOST_OWNERS).fetchall())
        counts = connection.execute(
            "SELECT count(DISTINCT study_id), count(*) FROM judged"
        ).fetchone()
        connection.execute("DROP VIEW studies; DROP TABLE grouped; DROP TABLE judged")
    assert counts is not None
    return Reading(studies, rejected, counts[0], counts[1], lost_owners=owners)


@contextmanager
def _spilling(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Within the block tables beyond a bound lie on disk, whatever the machine's memory is."""
    with tempfile.TemporaryDirectory(prefix="cxrflow-") as folder:
        connection.execute(f"SET temp_directory = {sql_text(folder)}")
        connection.execute(f"SET memory_limit = '{_MEMORY}'")
        yield


def _fetched(
    connection: duckdb.DuckDBPyConnection, statement: str, source: str, schema: pa.Schema
) -> pa.Table:
    """The result in a schema, in one chunk."""
    table = connection.sql(statement, params=[source]).to_arrow_table()
    return table.cast(schema).combine_chunks()


def _type_columns(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the table ``typed``: every column of COLUMNS, in order, cast to its type."""
    present = {row[0] for row in connection.execute("DESCRIBE listed").fetchall()}
    assert present <= COLUMNS.keys(), f"unknown columns {present - COLUMNS.keys()}"
    casts = ", ".join(
        f'{_cast(name if name in present else "NULL", kind)} AS "{name}"'
        for name, kind in COLUMNS.items()
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE typed AS SELECT {casts} FROM listed")


def _cast(value: str, kind: str) -> str:
    """Cast to the column's type; a date of no year from 1 to 9999 counts as not given."""
    cast = f"CAST({value} AS {kind})"
    if kind != "DATE":
        return cast
    return f"CASE WHEN year({cast}) BETWEEN 1 AND 9999 THEN {cast} END"


def _judge_images(connection: duckdb.DuckDBPyConnection) -> None:
    """Make ``judged``: the images of ``typed``, ids that repeat rejected after their first sound
    row. Reports and labels stay where they are: they would be most of it."""
    columns = ", ".join(f'"{name}"' for name in IMAGE_COLUMNS)
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE judged AS
        SELECT * EXCLUDE (again) REPLACE (
            CASE WHEN reason IS NULL AND again > 1 THEN 'duplicate-id' ELSE reason END AS reason,
            CASE WHEN reason IS NULL AND again > 1
                THEN 'listed again in row ' || (row + 1) || '; the first row is kept'
                WHEN reason IS NOT NULL THEN detail END AS detail)
        FROM (SELECT {columns}, row_number() OVER
            (PARTITION BY image_id, reason IS NULL ORDER BY row) AS again FROM typed)
    """)


def _judge_studies(connection: duckdb.DuckDBPyConnection) -> None:
    """Make ``grouped``: one row per study id with its first row's values and its verdict.

    What DuckDB holds for each group it cannot spill, so a large source is grouped in shares.
    """
    counted = connection.execute("SELECT count(*) FROM typed").fetchone()
    assert counted is not None
    shares = 1 + counted[0] // _ROWS_AT_ONCE
    for share in range(shares):
        into = "INSERT INTO grouped" if share else "CREATE OR REPLACE TEMP TABLE grouped AS"
        chosen = f"study_id IS NOT NULL AND hash(study_id) % {shares} = {share}"
        connection.execute(f"{into} {_grouped(chosen)}")
    connection.execute("DROP TABLE typed")
    connection.execute("""
        CREATE OR REPLACE TEMP VIEW studies AS SELECT *,
            CASE WHEN given_reason IS NOT NULL THEN given_reason
                WHEN subjects > 1 THEN 'subject-conflict'
                WHEN splits > 1 THEN 'split-conflict'
                WHEN len(images) = 0 AND raw_report IS NULL AND texts IS NULL
                THEN 'no-image-left' END AS study_reason,
            CASE WHEN given_reason IS NOT NULL THEN given_detail
                WHEN subjects > 1 THEN subjects || ' subjects over its images; expected one'
                WHEN splits > 1 THEN splits || ' splits over its images; expected one'
                ELSE 'every image was rejected and there is no report' END AS study_detail
        FROM grouped
    """)


def _grouped(chosen: str) -> str:
    """Of the rows that satisfy a condition."""
    firsts = ", ".join(_first(name, name, name) for name in STUDY_COLUMNS)
    return f"""
        SELECT * FROM (
            SELECT study_id, {firsts},
                {_first("study_reason", "study_reason", "given_reason")},
                {_first("study_detail", "study_reason", "given_detail")},
                {_first("text_reason", "text_reason", "text_reason")},
                {_first("text_detail", "text_reason", "text_detail")},
                count(DISTINCT subject_id) AS subjects, count(DISTINCT split) AS splits,
                greatest(count(DISTINCT hash(raw_report)) FILTER (raw_report IS NOT NULL),
                    count(DISTINCT hash(texts)) FILTER (texts IS NOT NULL)) AS reports
            FROM typed WHERE {chosen} GROUP BY study_id
        ) JOIN (
            SELECT study_id,
                coalesce(list(struct_pack(image_id, "view", uri, width, height) ORDER BY row)
                    FILTER (reason IS NULL), []) AS images
            FROM judged WHERE {chosen} GROUP BY study_id
        ) USING (study_id)
    """


def _first(name: str, given: str, called: str) -> str:
    """A group's first value of the rows where another is given; ``first(... ORDER BY row)`` would
    hold all of them."""
    return f'arg_min("{name}", row) FILTER ("{given}" IS NOT NULL) AS "{called}"'


def _study_columns() -> str:
    known = set(STUDY_COLUMNS) | {"study_id", "images"}
    chosen = []
    for name in STUDY_SCHEMA.names:
        if name == "source":
            chosen.append("$1 AS source")
        elif name in _LISTS:
            chosen.append(f'coalesce("{name}", []) AS "{name}"')
        elif name in known:
            chosen.append(f'"{name}"')
        else:
            chosen.append(f'[] AS "{name}"')
    return ", ".join(chosen)


_STUDIES: Final = f"""
    SELECT {_study_columns()} FROM studies WHERE study_reason IS NULL ORDER BY study_id
"""

_LOST_OWNERS: Final = """
    SELECT study_id, subject_id FROM studies
    WHERE study_reason IS NOT NULL AND subject_id IS NOT NULL
"""

_REJECTED: Final = """
    SELECT $1 AS source, * REPLACE (left(regexp_replace(detail, '\\s+', ' ', 'g'), 300) AS detail)
    FROM (
        SELECT 'study' AS level, study_id AS row_id, study_id, study_reason AS reason,
            study_detail AS detail
        FROM studies WHERE study_reason IS NOT NULL
        UNION ALL
        SELECT 'image', coalesce(image_id, 'row ' || (row + 1)), judged.study_id,
            coalesce(reason, study_reason), coalesce(judged.detail, study_detail)
        FROM (SELECT * EXCLUDE (study_reason, study_detail) FROM judged) judged
        LEFT JOIN (SELECT study_id, study_reason, study_detail FROM studies) USING (study_id)
        WHERE reason IS NOT NULL OR study_reason IS NOT NULL
        UNION ALL
        SELECT 'text', study_id, study_id, 'report-differs',
            reports || ' different reports over its images; the first is kept'
        FROM studies WHERE study_reason IS NULL AND reports > 1
        UNION ALL
        SELECT 'text', study_id, study_id, text_reason, text_detail
        FROM studies WHERE study_reason IS NULL AND text_reason IS NOT NULL AND raw_report IS NULL
    ) ORDER BY level DESC, row_id, reason
"""
