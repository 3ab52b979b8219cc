"""What others have too, and what of theirs only looks like the subject's.

An id of the subject's may stand in another's (``CXR100`` in ``CXR100-2``), and two subjects may
have one film, one path or one sentence. Such things are no trace of the subject: they stay where
others have them, and it is counted how many there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from infra.store import Store
from sources.perceptual_hash import COPY_DISTANCE, HASH_BYTES, hash_distances
from sources.record import Reading
from tasks.forget.dossier import Dossier
from tasks.forget.needles import Needles, sentences_of
from tasks.forget.places import ROWS, files_under, find_places, local_copy
from tasks.forget.tables import Theirs, id_columns, is_bytes, leaves

_PLAIN: Final = ("study_id", "subject_id", "image_id", "row_id")
_NESTED: Final = ("images.list.element.image_id", "images.list.element.uri")
_TOLD: Final = ("raw_digest", "perceptual_hash")


@dataclass
class Others:
    """What was seen in rows that are not the subject's.

    Args:
        longer: ids and paths in which one of the subject's stands.
        ids: ids and paths that are the subject's too.
        digests: of published files, and perceptual hashes in hexadecimal, that are theirs too.
        pictures: xxh3-128 of stored pictures that others show too; ``probes`` those that stand in
            such a picture, in hexadecimal.
    """

    longer: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    pictures: set[str] = field(default_factory=set)
    probes: set[str] = field(default_factory=set)
    _is_near: bool = False

    def films(self, dossier: Dossier) -> int:
        """How many films others have too, by their bytes or by what they show."""
        return max(
            len(self.digests & dossier.raw_digests),
            len(self.digests & dossier.hashes),
            len(self.pictures),
        )


def look_at_others(store: Store, dossier: Dossier, readings: Iterable[Reading]) -> Others:
    """Read ids and hashes of all rows that are not theirs; pictures only where one may be equal."""
    found, theirs = Others(), Theirs(dossier)
    longer = _longer(dossier)
    for file in _tables(store):
        for table in _groups(file):
            rest = table.filter(pc.invert(theirs.rows(table)))
            _note_ids(found, dossier, rest, longer)
            _note_hashes(found, dossier, rest)
    for reading in readings:
        rest = reading.studies.filter(pc.invert(theirs.rows(reading.studies)))
        _note_ids(found, dossier, rest, longer)
    if found._is_near:
        for file in _tables(store):
            _note_pictures(found, theirs, file)
    return found


def shared_counts(dossier: Dossier, needles: Needles, others: Others) -> dict[str, int]:
    """How much of the subject's others have too, by kind."""
    sentences = {part for text in dossier.texts for part in sentences_of(text)}
    told = {
        "films": others.films(dossier),
        "ids and paths": len(others.ids),
        "sentences": len(sentences - needles.sentences),
    }
    return {kind: number for kind, number in told.items() if number}


def _tables(store: Store) -> Iterator[pq.ParquetFile]:
    for place in find_places(store, ROWS):
        for name in files_under(store, place.folder):
            if name.endswith(".parquet"):
                with local_copy(store, name) as path, pq.ParquetFile(path) as file:
                    yield file


def _groups(file: pq.ParquetFile) -> Iterator[pa.Table]:
    """A file's ids and hashes, a row group at a time."""
    there = {file.schema.column(place).path for place in range(len(file.schema.names))}
    own = there.intersection((*_PLAIN, *_NESTED, *_TOLD))
    chosen = sorted(own.union(id_columns(file)))
    for number in range(file.num_row_groups if chosen else 0):
        yield file.read_row_group(number, columns=chosen, use_threads=False)


def _longer(dossier: Dossier) -> str:
    """A pattern of RE2 for what holds one of their ids as a part that stands alone."""
    known = dossier.ids | dossier.paths
    return "|".join(_alone(name) for name in sorted(known))


def _alone(name: str) -> str:
    """As ``names.with_edges`` has it; RE2 looks neither behind nor ahead."""
    before = "(?:^|[^0-9])" if name[0].isdigit() else "(?:^|[^0-9A-Za-z])"
    after = "(?:$|[^0-9])" if name[-1].isdigit() else "(?:$|[^0-9A-Za-z])"
    told = re.escape(name)
    return f"{before if name[0].isalnum() else ''}{told}{after if name[-1].isalnum() else ''}"


def _note_ids(found: Others, dossier: Dossier, rest: pa.Table, longer: str) -> None:
    known = dossier.ids | dossier.paths
    for values in _ids(rest):
        if not longer or not len(values):
            continue
        told = set(values.filter(pc.match_substring_regex(values, longer)).to_pylist())
        found.ids |= told & known
        found.longer |= told - known


def _ids(rest: pa.Table) -> Iterator[pa.Array]:
    """Every id and path in a table, without nulls; what a study's row is called is its study's."""
    names = rest.column_names
    if "row_id" in names and "study_id" in names:
        rest = rest.filter(pc.is_valid(rest["study_id"]))
    for name in _PLAIN:
        if name in names and pa.types.is_string(rest.schema.field(name).type):
            yield rest[name].combine_chunks().drop_null()
    if "images" in names:
        yield from _nested(rest["images"])


def _nested(column: pa.ChunkedArray) -> Iterator[pa.Array]:
    lists: Any = column.combine_chunks()
    if pa.types.is_list(lists.type) and pa.types.is_struct(lists.type.value_type):
        flat = pc.list_flatten(lists)
        for name in ("image_id", "uri"):
            if flat.type.get_field_index(name) >= 0:
                yield pc.struct_field(flat, name).drop_null()


def _note_hashes(found: Others, dossier: Dossier, rest: pa.Table) -> None:
    """Films of the same bytes, and whether any other is so like one that pictures may be equal."""
    if "raw_digest" in rest.column_names:
        same = set(rest["raw_digest"].to_pylist()) & dossier.raw_digests
        found.digests |= same
        found._is_near = found._is_near or bool(same)
    if "perceptual_hash" in rest.column_names and dossier.hashes:
        seen = [each for each in rest["perceptual_hash"].to_pylist() if each]
        found.digests |= {each.hex() for each in seen} & dossier.hashes
        found._is_near = found._is_near or _is_near(seen, dossier.hashes)


def _is_near(seen: list[bytes], hashes: set[str]) -> bool:
    ours = [bytes.fromhex(each) for each in hashes if len(each) == 2 * HASH_BYTES]
    seen = [each for each in seen if len(each) == HASH_BYTES]
    if not (ours and seen):
        return False
    left, right = (
        np.frombuffer(b"".join(each), np.uint8).reshape(-1, HASH_BYTES) for each in (ours, seen)
    )
    return bool(hash_distances(left, right).min() <= COPY_DISTANCE)


def _note_pictures(found: Others, theirs: Theirs, file: pq.ParquetFile) -> None:
    """Stored pictures of others that are the subject's too, or in which a probe stands."""
    probes = {each: bytes.fromhex(each) for each in theirs.dossier.probes}
    names = [field.name for field in file.schema_arrow if _may_hold_bytes(field.type)]
    if not names:
        return
    for number in range(file.num_row_groups):
        table = file.read_row_group(number, use_threads=False)
        rest = table.filter(pc.invert(theirs.rows(table))).select(names)
        for _, array in leaves(rest):
            for value in array if is_bytes(array.type) else ():
                data = value.as_py() or b""
                told = xxhash.xxh3_128_hexdigest(data)
                found.pictures |= {told} & theirs.dossier.pictures
                found.probes |= {name for name, probe in probes.items() if probe in data}


def _may_hold_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _may_hold_bytes(kind.value_type)
    if pa.types.is_struct(kind):
        return any(_may_hold_bytes(kind.field(place).type) for place in range(kind.num_fields))
    return is_bytes(kind)
