"""Which rows become examples, by ids alone: the join of studies, images and reports.

One row per image and text version of a study; an image without text, a text without image and a
study without either are rows too, so that nothing is lost unseen. Pixels and texts are not held:
a plan of 1.4 million rows (LLaVA-Rad's 697 thousand pairs and what was rejected) fits in memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from infra.errors import ArtifactError
from infra.fingerprint import canonical_json
from infra.settings.sections import ExampleSettings
from infra.tables import connect
from sources.piece import piece_key, piece_number
from sources.tables import VISIBLE, sql_text
from tasks.examples.films import film_parameters, films_query
from tasks.examples.filters import RULES, first_match, rule_parameters
from tasks.examples.leakage import LEAKAGE_RULES, SUBJECT_TWINS, image_twins
from tasks.examples.lying import lying_films

_MEMORY: Final = "1GB"
"""DuckDB spills to disk beyond it. Our choice: half of what a run may take beyond its imports."""
_ROWS_AT_ONCE: Final = 1 << 16
_REPEATED: Final = frozenset(
    {
        *("key", "source", "version", "split", "reason", "detail"),
        *("study_file", "report_file", "dialogue_file"),
    }
)
"""Columns of a plan that hold few different values."""


@dataclass(frozen=True)
class InputFile:
    """One Parquet piece and the digest of its bytes (an artifact's manifest has it)."""

    path: Path
    digest: str


@dataclass(frozen=True)
class ExampleInputs:
    """Pieces of all sources: STUDY_SCHEMA, IMAGE_ROW_SCHEMA, REPORT_SCHEMA and, of those that have
    any, WRITTEN_SCHEMA, in any order."""

    studies: tuple[InputFile, ...]
    images: tuple[InputFile, ...]
    reports: tuple[InputFile, ...]
    dialogues: tuple[InputFile, ...] = ()

    @property
    def pixel_digests(self) -> dict[str, str]:
        """Digest of each file of images, by its path."""
        return {str(file.path): file.digest for file in self.images}


@dataclass(frozen=True)
class ExamplePlan:
    """What will be packed: one row per candidate, sorted by piece, study, image and version.

    Columns of ``rows``: ``key`` (the piece), ``source, study_id, image_id, version, split``,
    ``reason`` and ``detail`` (null where kept), ``study_file, report_file`` (paths), ``films``
    (image id, file and row in it), ``left_out`` (images of the study that are not shown, and why)
    and ``row_digest`` (of the texts and facts that are packed). ``image_id`` is null where a study
    is one example. ``shown`` names the columns that are seen in the output even of rejected rows.
    """

    rows: pa.Table
    settings: ExampleSettings
    pixel_digests: dict[str, str]
    shown: tuple[str, ...] = ("source", "study_id", "image_id", "version", "split")

    @cached_property
    def _starts(self) -> dict[str, tuple[int, int]]:
        """First row and number of rows of each piece."""
        keys = self.rows["key"].combine_chunks()
        runs = pc.run_end_encode(keys.indices)
        ends = runs.run_ends.to_pylist()
        starts, names = [0, *ends][: len(ends)], keys.dictionary.take(runs.values).to_pylist()
        return {
            key: (start, end - start) for key, start, end in zip(names, starts, ends, strict=True)
        }

    @property
    def keys(self) -> tuple[str, ...]:
        """The pieces, in order."""
        return tuple(self._starts)

    def piece(self, key: str) -> pa.Table:
        """The candidate rows of one piece."""
        start, length = self._starts[key]
        return self.rows.slice(start, length)

    def piece_digest(self, key: str) -> str:
        """Digest of all that the piece's files depend on, besides the settings and the code."""
        digest = blake2b(digest_size=16)
        for row in self.piece(key).to_pylist():
            values = [row[name] for name in (*self.shown, "reason", "detail")]
            if row["reason"] is None:
                films = [
                    (film["image_id"], self.pixel_digests[film["file"]], film["row"])
                    for film in row["films"]
                ]
                values += [row["row_digest"], films, row["left_out"]]
            digest.update(canonical_json(values).encode() + b"\n")
        return digest.hexdigest()

    def piece_digests(self) -> dict[str, str]:
        """``piece_digest`` of every piece: the input of ``build_artifact``."""
        return {key: self.piece_digest(key) for key in self.keys}


def plan_examples(inputs: ExampleInputs, settings: ExampleSettings, pieces: int) -> ExamplePlan:
    """Join, filter and guard, by ids.

    Args:
        pieces: into how many pieces each source is cut, by a stable hash of the study.

    Raises:
        ArtifactError: the inputs do not fit together (an id twice, an image of no study).
    """
    with opened(inputs, pieces) as connection:
        query = _plan_query(settings)
        looked_at = [file.path for file in inputs.images] if settings.choose == "upright" else []
        connection.register("lying", lying_films(looked_at))
        values = rule_parameters(settings) | film_parameters(settings)
        rows = planned(connection.sql(query, params=values))
    return ExamplePlan(rows, settings, inputs.pixel_digests)


def planned(result: duckdb.DuckDBPyRelation) -> pa.Table:
    """The rows of a plan, with what repeats from row to row as dictionaries.

    Two thirds of a plan are paths, keys and details: as text, 1.4 million rows take 1.2 GB.
    """
    reader = result.to_arrow_reader(_ROWS_AT_ONCE)
    parts = [_slim(pa.Table.from_batches([batch])) for batch in reader]
    whole = pa.concat_tables(parts or [_slim(reader.schema.empty_table())])
    return whole.unify_dictionaries().combine_chunks()


def _slim(rows: pa.Table) -> pa.Table:
    for place, name in enumerate(rows.schema.names):
        column = rows.column(place)
        if name in _REPEATED and not pa.types.is_dictionary(column.type):
            rows = rows.set_column(place, name, column.dictionary_encode())
    return rows


@contextmanager
def opened(inputs: ExampleInputs, pieces: int) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the views ``study``, ``image``, ``report``, ``piece`` and ``image_twins``.

    Raises:
        ArtifactError: the inputs do not fit together (an id twice, an image of no study).
    """
    with _connection() as connection:
        _open(connection, "study", inputs.studies)
        _open(connection, "image", inputs.images)
        _open(connection, "report", inputs.reports)
        _check_ids(connection)
        connection.register("piece", _pieces(connection, pieces))
        connection.register("image_twins", image_twins(connection))
        yield connection


@contextmanager
def _connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with tempfile.TemporaryDirectory() as spill, closing(connect()) as connection:
        connection.execute(f"SET temp_directory = '{spill}'; SET memory_limit = '{_MEMORY}'")
        yield connection


_COLUMNS: Final = {
    "study": {
        **dict.fromkeys(("source", "study_id", "subject_id", "split"), "VARCHAR"),
        "subject_age": "FLOAT",
        "subject_sex": "VARCHAR",
        "manufacturer": "VARCHAR",
        "site": "VARCHAR",
        "images": "STRUCT(image_id VARCHAR)[]",
    },
    "image": {
        **dict.fromkeys(("source", "study_id", "image_id", "view"), "VARCHAR"),
        "perceptual_hash": "BLOB",
    },
    "report": dict.fromkeys(
        (
            *("source", "study_id", "version", "origin", "sectioned_by", "language"),
            *("indication", "findings", "impression"),
        ),
        "VARCHAR",
    ),
}
"""What the plan reads of each kind of input."""


def _open(connection: duckdb.DuckDBPyConnection, view: str, files: Sequence[InputFile]) -> None:
    """A view over the pieces, with ``file`` and ``file_row``; without pieces it is empty."""
    columns = _COLUMNS[view]
    if files:
        paths = sorted(str(file.path) for file in files)
        scan = connection.read_parquet(paths, filename=True, file_row_number=True)
        named = ", ".join(map(sql_text, paths))  # a number for each row instead of a path
        connection.execute(f"CREATE TYPE {view}_file AS ENUM ({named})")
        places = f"filename::{view}_file AS file, file_row_number AS file_row"
        scan.project(f"{', '.join(columns)}, {places}").create_view(view)
        return
    nothing = ", ".join(f"NULL::{kind} AS {name}" for name, kind in columns.items())
    connection.execute(
        f"CREATE VIEW {view} AS SELECT {nothing}, NULL::VARCHAR AS file, NULL::BIGINT AS file_row "
        "WHERE false"
    )


_IDS: Final = {
    "study": "source, study_id",
    "image": "source, study_id, image_id",
    "report": "source, study_id, version",
}


def _check_ids(connection: duckdb.DuckDBPyConnection) -> None:
    """Raise ArtifactError for a repeated id or a row of a study that is not there."""
    for view, ids in _IDS.items():
        _refuse(
            connection.execute(
                f"SELECT {ids} FROM {view} GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 1"
            ).fetchone(),
            f"is listed twice among the {view} rows",
        )
        if view != "study":
            _refuse(
                connection.execute(
                    f"SELECT {ids} FROM {view} ANTI JOIN study USING (source, study_id) "
                    "ORDER BY ALL LIMIT 1"
                ).fetchone(),
                f"is among the {view} rows, but its study is not among the studies",
            )


def _refuse(row: tuple[Any, ...] | None, what: str) -> None:
    if row is not None:
        raise ArtifactError(f"{' / '.join(row)} {what}; rebuild the inputs with 'cxr ingest'")


_PIECE_SCHEMA: Final = pa.schema([(name, pa.string()) for name in ("source", "study_id", "key")])


def _pieces(connection: duckdb.DuckDBPyConnection, pieces: int) -> pa.Table:
    """The key of each study's piece; keys sort as their numbers do."""
    studies = connection.sql("SELECT source, study_id FROM study")
    batches = [_with_key(batch, pieces) for batch in studies.to_arrow_reader(_ROWS_AT_ONCE)]
    return pa.Table.from_batches(batches, _PIECE_SCHEMA)


def _with_key(studies: pa.RecordBatch, pieces: int) -> pa.RecordBatch:
    source, ids = (studies.column(name).to_pylist() for name in ("source", "study_id"))
    keys = [
        f"{name}-{piece_key(piece_number(study, pieces))}"
        for name, study in zip(source, ids, strict=True)
    ]
    columns = [*studies.columns, pa.array(keys, pa.string())]
    return pa.RecordBatch.from_arrays(columns, schema=_PIECE_SCHEMA)


_TEXT: Final = pa.string()


def _plan_query(settings: ExampleSettings) -> str:
    rules, section = (*RULES, *LEAKAGE_RULES), settings.task
    return f"""
        WITH subject_twins AS ({SUBJECT_TWINS}),
        text AS (
            SELECT source, study_id, version, origin, sectioned_by, language,
                   file AS report_file,
                   regexp_matches({section}, '{VISIBLE}') AS has_section,
                   sha256(to_json([origin, indication, {section}])) AS text_digest
            FROM report
        ),
        shown AS ({films_query(settings)}),
        candidate AS (
            SELECT study.* EXCLUDE (images), key, image_id, view, films, left_out,
                   text.* EXCLUDE (source, study_id), study.file AS study_file,
                   subject_twin, image_twin
            FROM study JOIN piece USING (source, study_id)
            LEFT JOIN shown USING (source, study_id)
            LEFT JOIN text USING (source, study_id)
            LEFT JOIN subject_twins USING (source, study_id)
        ),
        judged AS (
            SELECT *, {first_match(rules, "reason")} AS reason,
                   {first_match(rules, "detail")} AS detail
            FROM candidate
        )
        SELECT key, source, study_id, image_id, version, split, reason, detail,
               study_file, report_file, films, left_out,
               CASE WHEN reason IS NULL THEN sha256(to_json([text_digest, subject_id,
                    subject_age::VARCHAR, subject_sex, manufacturer, site])) END AS row_digest
        FROM judged
        ORDER BY key, source, study_id, image_id NULLS FIRST, version NULLS FIRST
    """
