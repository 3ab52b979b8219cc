"""Studies of subjects who withdrew: they leave as rejected rows that say nothing of whom.

The rows stay in the piece that the study would be in, so that no other piece changes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Set
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from infra.tombstones import Tombstones
from sources.catalog import get_source
from sources.record import Level, Reading, Rejected, rejected_to_table

REASON: Final = "withdrawn"
_DETAIL: Final = "found a subject who withdrew; expected none; docs/retention.md"


def withdrawn_studies(reading: Reading, source: str, tombstones: Tombstones) -> frozenset[str]:
    """Ids of a source's studies that a tombstone names, those that were rejected among them."""
    if not tombstones.digests:
        return frozenset()
    persons = get_source(source).card.subjects_of or source
    pairs = zip(
        reading.studies["study_id"].to_pylist(), reading.studies["subject_id"].to_pylist(),
        strict=True,
    )  # fmt: skip
    lost = {name: None for name in reading.rejected["study_id"].to_pylist() if name}
    owners: dict[str, str | None] = {**lost, **reading.lost_owners, **dict(pairs)}
    return frozenset(
        study for study, owner in owners.items() if tombstones.covers(persons, owner, study)
    )


def drop_withdrawn(
    studies: pa.Table, rejected: pa.Table, gone: Set[str]
) -> tuple[pa.Table, pa.Table]:
    """One piece's studies and rejected rows without those studies.

    Each study, image and dialogue that goes becomes a row without its id, as many as went.
    """
    chosen = pa.array(sorted(gone), pa.string())
    theirs = pc.is_in(studies["study_id"], value_set=chosen)
    lost = pc.is_in(rejected["study_id"], value_set=chosen)
    if not (pc.any(theirs).as_py() or pc.any(lost).as_py()):
        return studies, rejected
    left, kept = studies.filter(theirs), rejected.filter(pc.invert(lost))
    source = (left if left.num_rows else rejected.filter(lost))["source"][0].as_py()
    levels = Counter(rejected.filter(lost)["level"].to_pylist())
    levels[str(Level.STUDY)] += left.num_rows
    for level in (Level.IMAGE, Level.DIALOGUE):
        levels[str(level)] += pc.sum(pc.list_value_length(left[f"{level}s"])).as_py() or 0
    rows = rejected_to_table(list(_rows(source, levels)))
    fresh = pa.concat_tables([kept, rows]).combine_chunks()
    return studies.filter(pc.invert(theirs)).combine_chunks(), fresh


def _rows(source: str, levels: Counter[str]) -> Iterable[Rejected]:
    """Rows of each level, in the levels' order."""
    for level in Level:
        for _ in range(levels[str(level)]):
            yield Rejected(source, level, REASON, None, REASON, _DETAIL)
