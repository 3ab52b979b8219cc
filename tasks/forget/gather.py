"""Find out all that is known of a subject: ids, texts, pictures and requests, from every artifact.

Studies are found by their subject; images, reports and the rest by their studies. Nothing is
changed here.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash

from infra.store import Store
from sources.catalog import catalog, get_source
from sources.record import Reading
from tasks.forget.dossier import Dossier
from tasks.forget.needles import (
    Needles,
    is_long,
    normalized,
    only_theirs,
    probe_of,
    sentences_of,
)
from tasks.forget.others import Others
from tasks.forget.places import JUDGED, ROWS, Place, files_under, find_places, local_copy
from tasks.forget.tables import Theirs, is_bytes, is_text, joined, leaves

_NO_TEXT: Final = frozenset({"detail", "reason"})
"""Columns with words of ours."""
_BINARY: Final = "perceptual_hash"


def new_dossier(source: str, owner: str, chosen: tuple[str, ...]) -> Dossier:
    """What the command line tells: who, and in which sources these persons are.

    Raises:
        InputError: there is no such source.
    """
    persons = get_source(source).card.subjects_of or source
    kin = tuple(
        name
        for name, each in catalog().items()
        if name == persons or each.card.subjects_of == persons
    )
    return Dossier(persons, owner, chosen, kin)


def learn_rows(store: Store, dossier: Dossier) -> None:
    """Images, texts, requests and pictures of their rows in every table of rows.

    Studies' tables come first: the others are told by the ids that these hold.
    """
    theirs = Theirs(dossier)
    for place in find_places(store, ROWS | JUDGED):
        for name in files_under(store, place.folder):
            if name.endswith(".parquet"):
                with local_copy(store, name) as path:
                    _learn_file(path, theirs)


def _learn_file(path: Path, theirs: Theirs) -> None:
    with pq.ParquetFile(path) as file:
        if not theirs.touched(file):
            return
        for number in range(file.num_row_groups):
            table = file.read_row_group(number, use_threads=False)
            mine = table.filter(theirs.rows(table))
            if mine.num_rows:
                _learn(theirs.dossier, mine)


def learn_reading(dossier: Dossier, reading: Reading) -> None:
    """The same of raw files."""
    theirs = Theirs(dossier)
    mine = reading.studies.filter(theirs.rows(reading.studies))
    if mine.num_rows:
        _learn(dossier, mine)


def _learn(dossier: Dossier, mine: pa.Table) -> None:
    for name, array in leaves(mine):
        if is_bytes(array.type):
            _learn_bytes(dossier, name, array)
        elif is_text(array.type) and name not in _NO_TEXT:
            dossier.texts |= {text for text in array.to_pylist() if text and " " in text.strip()}
    names = set(mine.column_names)
    if "row_id" in names:
        told = mine.filter(pc.is_in(mine["level"], value_set=pa.array(["study", "image"])))
        dossier.rejected |= {row for row in told["row_id"].to_pylist() if " " not in row}
    if "request_hash" in names:
        dossier.requests |= {each for each in mine["request_hash"].to_pylist() if each}
    if "raw_digest" in names:
        dossier.raw_digests |= {each for each in mine["raw_digest"].to_pylist() if each}
    if {"image_id", "perceptual_hash"} <= names:
        dossier.images |= set(mine["image_id"].to_pylist())
    if {"images", "raw_report"} <= names:
        _learn_images(dossier, mine)


def _learn_bytes(dossier: Dossier, name: str, array: pa.Array) -> None:
    for value in array.to_pylist():
        if value and name == _BINARY:
            dossier.hashes.add(value.hex())
        elif value:
            dossier.pictures.add(xxhash.xxh3_128_hexdigest(value))
            probe = probe_of(value)
            if probe is not None:
                dossier.probes.add(probe.hex())


def _learn_images(dossier: Dossier, studies: pa.Table) -> None:
    """Of STUDY_SCHEMA: ids and published files."""
    rows: list[dict[str, Any]] = studies.select(["source", "images"]).to_pylist()
    for row in rows:
        for image in row["images"] or ():
            dossier.images.add(image["image_id"])
            dossier.uris.add(f"{row['source']}:{image['uri']}")


def needles_of(store: Store, dossier: Dossier, others: Others) -> Needles:
    """What to search for; what other subjects' rows have too is left out."""
    hashes = dossier.hashes - others.digests
    return Needles(
        ids=frozenset(name for name in dossier.ids - others.ids if is_long(name)),
        exact=frozenset((dossier.raw_digests - others.digests) | hashes),
        sentences=frozenset(_own_sentences(store, dossier)),
        probes=frozenset(bytes.fromhex(each) for each in (dossier.probes - others.probes) | hashes),
        pictures=frozenset(dossier.pictures - others.pictures),
        paths=frozenset(path for path in dossier.paths - others.ids if is_long(path)),
        longer=frozenset(others.longer),
    )


def _own_sentences(store: Store, dossier: Dossier) -> Set[str]:
    sentences = {part for text in dossier.texts for part in sentences_of(text)}
    return only_theirs(sentences, _others_texts(store, Theirs(dossier))) if sentences else set()


def _others_texts(store: Store, theirs: Theirs) -> Iterator[bytes]:
    """Normalized texts of all others, a column of a row group at a time."""
    for place in find_places(store, ROWS):
        for name in files_under(store, place.folder):
            if name.endswith(".parquet"):
                with local_copy(store, name) as path, pq.ParquetFile(path) as file:
                    yield from _texts_of(file, theirs)


def _texts_of(file: pq.ParquetFile, theirs: Theirs) -> Iterator[bytes]:
    chosen = [
        field.name for field in file.schema_arrow if not is_bytes(field.type) and _has_words(field)
    ]
    for number in range(file.num_row_groups):
        table = file.read_row_group(number, columns=chosen, use_threads=False)
        rest = table.filter(pc.invert(theirs.rows(table)))
        for _, array in leaves(rest):
            if is_text(array.type):
                yield normalized(joined(array))


def _has_words(field: pa.Field) -> bool:
    """Whether a column may hold texts; lists of pictures are passed over."""
    return field.name not in ("images", "generated_ids") or not _holds_bytes(field.type)


def _holds_bytes(kind: pa.DataType) -> bool:
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _holds_bytes(kind.value_type)
    if pa.types.is_struct(kind):
        return any(_holds_bytes(kind.field(place).type) for place in range(kind.num_fields))
    return is_bytes(kind)


def read_sources(roots: dict[str, Path], dossier: Dossier) -> dict[str, Reading]:
    """The raw files of these persons' sources, where it is known where they lie."""
    known = {name: root for name, root in roots.items() if name in dossier.sources}
    for name, root in known.items():
        get_source(name).card.require_files(root)
    return {name: get_source(name).read(root) for name, root in known.items()}


def raw_folders(store: Store, dossier: Dossier, roots: dict[str, Path]) -> dict[str, Path]:
    """Where raw files of these sources lie: as given, else the tree of a replica."""
    found: dict[str, Path] = {}
    for place in find_places(store, frozenset({"replicas"})):
        if place.name in dossier.sources and store.is_local:
            for piece in place.pieces:
                found[place.name] = Path(store.path(piece["folder"]))
    return {**found, **{name: root for name, root in roots.items() if name in dossier.sources}}


def is_known(place: Place, dossier: Dossier) -> bool:
    """Whether an artifact is one of these persons' sources."""
    return place.name in dossier.sources
