"""Which studies are a subject's, those among them that ingestion had rejected.

Rejected rows tell their subject since ingestion stores it; of older ones only raw files do.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from infra.errors import InputError
from infra.store import Store
from sources.record import Level, Reading
from tasks.forget.dossier import Dossier
from tasks.forget.places import files_under, find_places, local_copy
from tasks.ingest.lost import OWNER, with_owners
from tasks.ingest.studies import REJECTED_FILE, STUDIES_FILE

_OWNED: Final = ("source", "study_id", OWNER)


@dataclass
class _Seen:
    """What tables tell of studies.

    Args:
        own: studies of the subject; ``others`` are chosen ones of somebody else.
        untold: source and study of old rejected rows whose subject no table tells (yet).
        named: sources that name subjects.
    """

    own: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)
    untold: set[tuple[str, str]] = field(default_factory=set)
    named: set[str] = field(default_factory=set)


def learn_studies(
    store: Store, dossier: Dossier, readings: Mapping[str, Reading]
) -> Mapping[str, int]:
    """Add their studies, from all artifacts of studies and from raw files that were read.

    Returns:
        by source, how many rejected studies tell no subject, though others of that source do.

    Raises:
        InputError: a study that was chosen is another subject's.
    """
    seen = _Seen()
    for table in _tables(store, dossier.sources, told=False):
        rows = zip(table["source"].to_pylist(), table["study_id"].to_pylist(), strict=True)
        seen.untold |= {(source, study) for source, study in rows if study}
    for table in _tables(store, dossier.sources, told=True):
        _note(seen, dossier, table)
    for reading in readings.values():
        _note(seen, dossier, reading.studies)
        lost = reading.rejected.filter(pc.equal(reading.rejected["level"], str(Level.STUDY)))
        _note(seen, dossier, with_owners(lost, reading.lost_owners))
    _choose(dossier, seen)
    left = {
        (source, study)
        for source, study in seen.untold
        if source in seen.named and study not in dossier.studies
    }
    return Counter(source for source, _ in sorted(left))


def _note(seen: _Seen, dossier: Dossier, table: pa.Table) -> None:
    """Take in a table that tells subjects: who has none is their own."""
    kin = pc.is_in(table["source"], value_set=pa.array(dossier.sources))
    table = table.filter(pc.and_(kin, pc.is_valid(table["study_id"])))
    owners = pc.coalesce(table[OWNER], table["study_id"])
    own = pc.equal(owners, dossier.owner)
    seen.own |= set(table.filter(own)["study_id"].to_pylist())
    rest = table.filter(pc.invert(own))
    chosen = pc.is_in(rest["study_id"], value_set=pa.array(dossier.chosen, pa.string()))
    seen.others |= set(rest.filter(chosen)["study_id"].to_pylist())
    seen.named |= set(pc.unique(table.filter(pc.is_valid(table[OWNER]))["source"]).to_pylist())
    if seen.untold:
        names = pa.array(sorted({study for _, study in seen.untold}), pa.string())
        told = table.filter(pc.is_in(table["study_id"], value_set=names))
        seen.untold -= set(
            zip(told["source"].to_pylist(), told["study_id"].to_pylist(), strict=True)
        )


def _choose(dossier: Dossier, seen: _Seen) -> None:
    """Add what is the subject's.

    Raises:
        InputError: a study that was chosen is another subject's.
    """
    strangers = seen.others - seen.own
    if strangers:
        raise InputError(
            f"study '{sorted(strangers)[0]}', which is not one of subject '{dossier.owner}'",
            "studies of that subject",
            "correct --study",
        )
    untold = {study for _, study in seen.untold}
    if dossier.chosen:
        dossier.studies |= (seen.own | untold) & set(dossier.chosen)
    else:
        dossier.studies |= seen.own | (untold & {dossier.owner})
        dossier.subjects.add(dossier.owner)


def _tables(store: Store, sources: tuple[str, ...], *, told: bool) -> Iterator[pa.Table]:
    """Sources, studies and subjects of the tables that tell subjects, or of those that do not."""
    for place in find_places(store, frozenset({"studies"})):
        for name in files_under(store, place.folder) if place.name in sources else ():
            if name.endswith((f"/{STUDIES_FILE}", f"/{REJECTED_FILE}")):
                with local_copy(store, name) as path:
                    if (OWNER in pq.read_schema(path).names) == told:
                        yield _owned(path, told=told)


def _owned(path: Path, *, told: bool) -> pa.Table:
    if told:
        return pq.read_table(path, columns=list(_OWNED), partitioning=None)
    table = pq.read_table(path, columns=["source", "study_id", "level"], partitioning=None)
    return table.filter(pc.equal(table["level"], str(Level.STUDY)))
