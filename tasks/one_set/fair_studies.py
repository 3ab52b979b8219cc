"""The studies of a test set that every model may fairly be asked about.

A recipe's leakage guard keeps its own test studies out of its own training. Another recipe's model
knows nothing of that test set: it may have learned from the very study (sources overlap: RRG24's
MIMIC part is MIMIC-CXR), from another study of the person, or from a copy of a film. Such a study
leaves the set, and so does one that a model cannot be shown, since it has no film of a view that
the model reads. Each leaves for the first reason that holds, with the recipe that it holds for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from infra.errors import InputError
from infra.tables import connect
from sources.perceptual_hash import COPY_DISTANCE
from sources.record import Level, Rejected
from tasks.examples.leakage import nearest_copies, persons_of

STUDY_LEARNED: Final = "study-learned-from"
SUBJECT_LEARNED: Final = "subject-learned-from"
FILM_LEARNED: Final = "film-learned-from"
NOT_SHOWN: Final = "not-shown"

FAIR_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("study_id", pa.string(), nullable=False),
        pa.field("subject_id", pa.string()),
    ]
)
"""A study that all may be asked about."""
Key = tuple[str, str]
"""Source and study id."""


@dataclass(frozen=True)
class Learned:
    """What one model may not be asked about, and what it can be shown.

    Args:
        examples: its shards of training and validation.
        images: pieces of stored images of all its sources, for their hashes.
        shown: of the test set, the studies of which its layout has an example.
    """

    recipe: str
    examples: tuple[Path, ...]
    images: tuple[Path, ...]
    shown: frozenset[Key]


def learned_from(
    tested: Sequence[Path], films: Sequence[Path], model: Learned
) -> tuple[int, dict[str, int]]:
    """How many studies a test set has, and by reason how many of them the model learned from, each
    under the first reason that holds.

    Args:
        tested, films: as of ``fair_studies``; what the model can be shown does not count.
    """
    with connect() as connection:
        candidates = _candidates(connection, tested)
        found = _against(connection, model, films)
    counted: dict[str, int] = {}
    seen: set[Key] = set()
    for reason in _ORDER[:-1]:
        new = found.get(reason, {}).keys() - seen
        counted[reason] = len(new)
        seen |= new
    return len(candidates), counted


def fair_studies(
    tested: Sequence[Path], films: Sequence[Path], models: Sequence[Learned]
) -> tuple[pa.Table, list[Rejected]]:
    """Studies that all models may be asked about (FAIR_SCHEMA, in order), and the rest with why.

    Args:
        tested: shards of the test split of the host's set.
        films: pieces of stored images of the test sources.

    Raises:
        InputError: none is left.
    """
    with connect() as connection:
        candidates = _candidates(connection, tested)
        reasons: dict[Key, tuple[str, str]] = {}
        for model in models:
            for reason, found in _against(connection, model, films).items():
                for key, detail in found.items():
                    told = f"{model.recipe}: {detail}"
                    reasons[key] = min(reasons.get(key, (reason, told)), (reason, told), key=_rank)
        for model in models:
            for key in candidates:
                if key not in model.shown:
                    told = f"{model.recipe}: no film of a view that it reads, or no reference"
                    reasons.setdefault(key, (NOT_SHOWN, told))
    kept = [
        {"source": key[0], "study_id": key[1], "subject_id": subject}
        for key, subject in candidates.items()
        if key not in reasons
    ]
    if not kept:
        raise InputError(
            f"{len(candidates)} test studies, none of which every model may be asked about",
            "some that no model learned from and all can be shown",
            "compare fewer recipes, or choose another set with --on",
        )
    rejected = [
        Rejected(key[0], Level.STUDY, key[1], key[1], *reasons[key])
        for key in candidates
        if key in reasons
    ]
    return pa.Table.from_pylist(kept, schema=FAIR_SCHEMA), rejected


_ORDER: Final = (STUDY_LEARNED, SUBJECT_LEARNED, FILM_LEARNED, NOT_SHOWN)


def _rank(reason: tuple[str, str]) -> int:
    return _ORDER.index(reason[0])


def _candidates(
    connection: duckdb.DuckDBPyConnection, tested: Sequence[Path]
) -> dict[Key, str | None]:
    """Subject by study, in order; the table ``tested`` holds the same."""
    connection.execute(
        "CREATE TABLE tested AS SELECT DISTINCT source, study_id, subject_id "
        "FROM read_parquet($files) ORDER BY ALL",
        {"files": [str(path) for path in tested]},
    )
    rows = connection.sql("SELECT source, study_id, subject_id FROM tested").fetchall()
    return {(source, study): subject for source, study, subject in rows}


def _against(
    connection: duckdb.DuckDBPyConnection, model: Learned, films: Sequence[Path]
) -> Mapping[str, Mapping[Key, str]]:
    """By reason, the tested studies that the model learned from, with what was found."""
    if not model.examples:
        return {}
    connection.execute(
        "CREATE OR REPLACE TABLE learned AS SELECT DISTINCT source, study_id, subject_id, split "
        "FROM read_parquet($files)",
        {"files": [str(path) for path in model.examples]},
    )
    studies = connection.sql(
        "SELECT source, study_id, 'in its ' || min(learned.split) FROM tested "
        "JOIN learned USING (source, study_id) GROUP BY ALL"
    ).fetchall()
    subjects = connection.sql(
        "SELECT tested.source, tested.study_id, 'subject of ' || min(learned.source || ' study ' "
        "|| learned.study_id || ' in its ' || learned.split) FROM tested JOIN learned "
        "ON tested.subject_id = learned.subject_id "
        f"AND {persons_of('tested.source')} = {persons_of('learned.source')} GROUP BY ALL"
    ).fetchall()
    return {
        STUDY_LEARNED: {(row[0], row[1]): row[2] for row in studies},
        SUBJECT_LEARNED: {(row[0], row[1]): row[2] for row in subjects},
        FILM_LEARNED: _copies(connection, model, films),
    }


_HASHES: Final = (
    "SELECT source, study_id, image_id, perceptual_hash FROM read_parquet($files) "
    "SEMI JOIN {table} USING (source, study_id) WHERE perceptual_hash IS NOT NULL "
    "ORDER BY source, study_id, image_id"
)


def _copies(
    connection: duckdb.DuckDBPyConnection, model: Learned, films: Sequence[Path]
) -> dict[Key, str]:
    """Tested studies with a film that is nearly one that the model learned from."""
    tested, learned = (
        _hashes(connection, table, files)
        for table, files in (("tested", films), ("learned", model.images))
    )
    if not tested or not learned:
        return {}
    nearest, distance = nearest_copies(_bytes(tested), _bytes(learned), COPY_DISTANCE)
    found: dict[Key, str] = {}
    for row in np.flatnonzero(nearest >= 0):
        source, study, image, _ = learned[nearest[row]]
        told = f"{distance[row]} bits from {source} study {study} image {image}"
        found.setdefault((tested[row][0], tested[row][1]), told)
    return found


def _hashes(
    connection: duckdb.DuckDBPyConnection, table: str, files: Sequence[Path]
) -> list[tuple[Any, ...]]:
    if not files:
        return []
    paths = {"files": [str(path) for path in files]}
    return connection.execute(_HASHES.format(table=table), paths).fetchall()


def _bytes(rows: Sequence[tuple[Any, ...]]) -> NDArray[np.uint8]:
    """Hashes as uint8 [n, bytes]."""
    joined = b"".join(row[3] for row in rows)
    return np.frombuffer(joined, np.uint8).reshape(len(rows), -1)
