"""Read a source's tables and reports into pieces of studies and of rejected rows."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from infra.artifact import Artifact, OnPiece, build_artifact, ignore_progress
from infra.log import LOGGER
from infra.parquet import write_table
from infra.pieces import BuiltPiece, Count
from infra.settings.screen import OFF, ScreenPolicy
from infra.tombstones import Tombstones, read_tombstones
from sources.catalog import Source, get_source
from sources.checksums import check_first, checking_sums, published_sums
from sources.piece import places, rows_digest
from sources.record import STUDY_SCHEMA, Level, Reading
from sources.split import split_table
from tasks.context import Context
from tasks.ingest.lost import owners_in, with_owners
from tasks.ingest.screened import screen_studies
from tasks.ingest.stated import stated_line
from tasks.ingest.steps import policy_of
from tasks.ingest.withdrawn import drop_withdrawn, withdrawn_studies

STUDIES_FILE = "studies.parquet"
REJECTED_FILE = "rejected.parquet"


def ingest_studies(context: Context, name: str, on_piece: OnPiece = ignore_progress) -> Artifact:
    """Studies of one source in STUDY_SCHEMA, rejected rows in LOST_SCHEMA, in pieces by study.

    Those of subjects who withdrew are rejected, whatever the raw files hold, and so is what the
    screen of the source's policy stops.

    Raises:
        SourceError: the raw files cannot be read as that source, or are not what was published.
        ArtifactError: the key that tells who withdrew is damaged.
    """
    step = context.graph[f"studies/{name}"]
    pieces = _StudyPieces(
        get_source(name),
        context.raw_root(name),
        context.settings.sources.hash_split,
        context.settings.sources.pieces,
        read_tombstones(context.store),
        _memory(context, name) if context.settings.sources.checksums else None,
        policy_of(context.settings, name),
        is_replica=f"replicas/{name}" in context.graph.steps,
    )
    with _ONE_SOURCE:
        return build_artifact(context.store, step, pieces.plan, pieces.build, on_piece=on_piece)


_ONE_SOURCE: Final = threading.Lock()
"""A process holds the tables of one source at a time, for memory's sake (docs/scale.md)."""


def _memory(context: Context, name: str) -> Path:
    """Where it is remembered which files had which checksums."""
    return context.store.state / "checksums" / f"{name}.json"


def _say(name: str, files: int, size: int) -> None:
    gigabytes = size / 1e9
    LOGGER.info("%s: %d files of %.1f GB are held against their sums", name, files, gigabytes)


class _StudyPieces:
    """Reads the source at most once, and only when there is something to build.

    ``memory`` is where found checksums are remembered; None checks none.
    """

    def __init__(
        self,
        source: Source,
        root: Path,
        shares: tuple[float, float, float],
        pieces: int,
        tombstones: Tombstones,
        memory: Path | None,
        screen: ScreenPolicy = OFF,
        *,
        is_replica: bool = False,
    ) -> None:
        self._source, self._root, self._tombstones = source, root, tombstones
        self._shares, self._pieces = shares, pieces
        self._memory, self._screen, self._is_replica = memory, screen, is_replica

    @cached_property
    def _cut(self) -> _Cut:
        if self._memory is not None:
            sums = published_sums(self._root)
            check_first(self._root, sums, self._memory, partial(_say, self._source.card.name))
        with checking_sums(self._memory is not None):
            reading = self._source.read(self._root)
        if not self._is_replica:
            self._tell(reading)
        card = self._source.card
        gone = withdrawn_studies(reading, card.name, self._tombstones)
        studies = _split(reading.studies, self._shares, card.official_split)
        return _Cut.of(studies, reading, self._pieces, gone, self._screen)

    def _tell(self, reading: Reading) -> None:
        """What a person should know of published files: doubts, and what their card counts."""
        for doubt in self._source.doubts(self._root):
            LOGGER.warning("%s", doubt)
        stated = stated_line(self._source, reading)
        if stated is not None:
            LOGGER.info("%s", stated)

    def plan(self) -> Mapping[str, str]:
        return {
            key: rows_digest(studies) + rows_digest(rejected)
            for key in self._cut.keys
            for studies, rejected in [self._cut.piece(key)]
        }

    def build(self, key: str, folder: Path) -> BuiltPiece:
        return BuiltPiece(write_studies(folder, *self._cut.piece(key)))


@dataclass(frozen=True)
class _Cut:
    """A whole source and which rows belong to each piece: no piece is copied before it is asked."""

    studies: pa.Table
    rejected: pa.Table
    places: tuple[dict[str, pa.Array], dict[str, pa.Array]]
    gone: frozenset[str]
    screen: ScreenPolicy
    owners: Mapping[str, str]

    @classmethod
    def of(
        cls,
        studies: pa.Table,
        reading: Reading,
        pieces: int,
        gone: frozenset[str],
        screen: ScreenPolicy,
    ) -> _Cut:
        """Without the studies in ``gone`` and what the screen stops."""
        tables = studies.combine_chunks(), reading.rejected.combine_chunks()
        cut = tuple(places(table["study_id"], pieces) for table in tables)
        return cls(*tables, (cut[0], cut[1]), gone, screen, reading.lost_owners)

    @property
    def keys(self) -> list[str]:
        """The pieces that have any rows, in order."""
        return sorted(self.places[0].keys() | self.places[1].keys())

    def piece(self, key: str) -> tuple[pa.Table, pa.Table]:
        """One piece's studies, and rejected rows in LOST_SCHEMA."""
        studies, rejected = (
            table.take(rows.get(key, pa.array([], pa.uint64()))).combine_chunks()
            for table, rows in zip((self.studies, self.rejected), self.places, strict=True)
        )
        kept, lost = screen_studies(*drop_withdrawn(studies, rejected, self.gone), self.screen)
        return kept, with_owners(lost, owners_in(studies), self.owners)


def write_studies(folder: Path, studies: pa.Table, rejected: pa.Table) -> tuple[Count, ...]:
    """Write one piece's files; how many studies, images and dialogues went where."""
    write_table(folder / STUDIES_FILE, studies)
    write_table(folder / REJECTED_FILE, rejected)
    counts = (_count_studies(studies, rejected), _count_listed(studies, rejected, Level.IMAGE))
    asked = _count_listed(studies, rejected, Level.DIALOGUE)
    return (*counts, asked) if asked.rows_in else counts


def _split(studies: pa.Table, shares: tuple[float, float, float], keep: bool) -> pa.Table:
    """Hash into the recipe's shares, by subject or, without one, by study.

    Args:
        keep: whether splits that the reader gave stay, so that blanks alone are hashed.
    """
    owners = pc.coalesce(studies.column("subject_id"), studies.column("study_id"))
    known = split_table(owners, shares)
    places = pc.index_in(owners, value_set=known.column("identifier").combine_chunks())
    position = STUDY_SCHEMA.get_field_index("split")
    hashed = known["split"].take(places)
    split = pc.coalesce(studies.column("split"), hashed) if keep else hashed
    return studies.set_column(position, STUDY_SCHEMA.field("split"), split)


def count_reasons(rejected: pa.Table, level: Level) -> dict[str, int]:
    """How many rows of a level were rejected, by reason."""
    rows = rejected.filter(pc.equal(rejected["level"], str(level)))
    counts = pc.value_counts(rows["reason"].combine_chunks()).to_pylist()
    return {row["values"]: row["counts"] for row in sorted(counts, key=lambda row: row["values"])}


def _count_studies(studies: pa.Table, rejected: pa.Table) -> Count:
    reasons = count_reasons(rejected, Level.STUDY)
    return Count("studies", studies.num_rows + sum(reasons.values()), studies.num_rows, reasons)


def _count_listed(studies: pa.Table, rejected: pa.Table, level: Level) -> Count:
    """Images or dialogues of the studies."""
    reasons = count_reasons(rejected, level)
    kept = pc.sum(pc.list_value_length(studies[f"{level}s"])).as_py() or 0
    unit = "images listed" if level is Level.IMAGE else f"{level}s"
    return Count(unit, kept + sum(reasons.values()), kept, reasons)
