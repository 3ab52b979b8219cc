"""The blocking leakage guard: no subject and no picture is both learned from and scored on.

Two rules, asked after the filters. A row leaves when its subject (source and subject id), or a
near-duplicate of its picture in any source, stands in a more protected split: test before validate
before train. Every image of a held-out study counts as held out, whether or not it is scored here.
Sources that are built on another's persons (``Card.subjects_of``) share its subject ids. A third
rule is for questions: one leaves when another that it is tied to (``Dialogue.group``) is held out.
Why, and what was measured: docs/decisions/0004-leakage-guard.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from sources.catalog import catalog
from sources.perceptual_hash import COPY_DISTANCE
from sources.tables import sql_text
from tasks.examples.filters import Rule

PROTECTION: Final = {"train": 0, "validate": 1, "test": 2}
"""A row gives way to its twin in a split with a higher number."""

LEAKAGE_RULES: Final[tuple[Rule, ...]] = (
    Rule(
        "subject-in-two-splits",
        "Two examinations of one person share anatomy, devices and often words.",
        "subject_twin IS NOT NULL",
        "subject_twin",
    ),
    Rule(
        "near-duplicate-of-held-out",
        "Sources overlap (NIH pictures return in other releases) and repeat themselves.",
        "image_twin IS NOT NULL",
        "image_twin",
    ),
)

DIALOGUE_RULE: Final = Rule(
    "linked-to-held-out-question",
    "A paraphrase of a held-out question gives its answer away.",
    "dialogue_twin IS NOT NULL",
    "dialogue_twin",
)
"""For sets of questions; ``DIALOGUE_TWINS`` gives the column."""

HELD_OUT_FILM_RULE: Final = Rule(
    "film-of-held-out-question",
    "VQA-RAD splits by question, so that 73 of its chest images are on both sides; a model that "
    "saw a test image in training is scored too well.",
    "list_position(['train', 'validate', 'test'], split) "
    "< list_position(['train', 'validate', 'test'], study_split)",
    "'its film is shown by a question in ' || study_split",
)
"""For sets of questions that want no film on both sides; the publisher's protocol does without.

``split`` is the question's own, ``study_split`` that of its study."""


def persons_of(column: str) -> str:
    """SQL: the source whose persons a source's subject ids name; most often itself."""
    shared = {
        name: source.card.subjects_of
        for name, source in catalog().items()
        if source.card.subjects_of
    }
    cases = " ".join(
        f"WHEN {sql_text(name)} THEN {sql_text(owner)}" for name, owner in shared.items()
    )
    return f"CASE {column} {cases} ELSE {column} END"


SUBJECT_TWINS: Final = f"""
    WITH ranked AS (
        SELECT source, study_id, subject_id, split, {persons_of("source")} AS persons,
               list_position(['train', 'validate', 'test'], split) AS rank
        FROM study WHERE subject_id IS NOT NULL AND split IS NOT NULL
    ), held AS (
        SELECT persons, subject_id, max(rank) AS rank, arg_max(split, rank) AS split,
               min((source, study_id)) FILTER (rank = top) AS twin
        FROM (SELECT *, max(rank) OVER (PARTITION BY persons, subject_id) AS top FROM ranked)
        GROUP BY persons, subject_id
    )
    SELECT ranked.source, ranked.study_id,
           'subject also in ' || held.split || ': ' || CASE WHEN twin[1] = ranked.source THEN ''
               ELSE twin[1] || ' ' END || 'study ' || twin[2] AS subject_twin
    FROM ranked JOIN held USING (persons, subject_id) WHERE ranked.rank < held.rank
"""
"""Studies whose subject stands in a more protected split, in the source or in one that shares its
persons, with the first such study.

A study without a subject id is compared with none."""

DIALOGUE_TWINS: Final = """
    WITH ranked AS (
        SELECT source, study_id, dialogue_id, "group", split,
               list_position(['train', 'validate', 'test'], split) AS rank
        FROM dialogue WHERE "group" IS NOT NULL AND split IS NOT NULL
    ), held AS (
        SELECT source, "group", max(rank) AS rank, arg_max(split, rank) AS split,
               min(dialogue_id) FILTER (rank = top) AS dialogue_id
        FROM (SELECT *, max(rank) OVER (PARTITION BY source, "group") AS top FROM ranked)
        GROUP BY source, "group"
    )
    SELECT ranked.source, ranked.study_id, ranked.dialogue_id,
           'tied to question ' || held.dialogue_id || ' in ' || held.split AS dialogue_twin
    FROM ranked JOIN held USING (source, "group") WHERE ranked.rank < held.rank
"""
"""Questions of the view ``dialogue`` (source, study_id, dialogue_id, split, group) that are tied to
one in a more protected split, with the first such question.

``split`` is the question's own, else its study's."""

_HASHES: Final = """
    SELECT image.source, image.study_id, image.image_id, study.split, image.perceptual_hash
    FROM image JOIN study USING (source, study_id)
    WHERE image.perceptual_hash IS NOT NULL AND study.split IS NOT NULL
    ORDER BY image.source, image.study_id, image.image_id
"""
_PAIRS_AT_ONCE: Final = 1 << 16
"""Candidate pairs compared in one go. Our choice: 8 MB for hashes of 64 bytes stay in a processor's
cache; sixteen times as many take two and a half times as long for each pair."""
_HELD_AT_ONCE: Final = 1 << 14
"""Held-out hashes asked for in one go. Our choice: some 200 keys each, 100 MB for a band."""
_TABLE_BITS: Final = 22
"""Our choice: two tables of at most 16 MB, of some four places for each query, tell where those of
a key end and how many they are. Keys of more bits share places, and what meets by that alone is
compared in vain."""
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
"""2^64 over the golden ratio: a product's top bits depend on all bits of its key (Knuth 6.4)."""


Hashes = NDArray[np.uint8]
Numbers = NDArray[np.int64]
Keys = NDArray[np.uint64]


def image_twins(connection: duckdb.DuckDBPyConnection) -> pa.Table:
    """Images with a near-duplicate in a more protected split: id columns and ``image_twin``.

    Reads the views ``study`` and ``image``. Hashes are held in memory (700,000 of 32 bytes: 22 MB),
    pixels are not read.
    """
    images = connection.sql(_HASHES).to_arrow_table()
    hashes = _as_bytes(images["perceptual_hash"])
    protection = np.array([PROTECTION[split] for split in images["split"].to_pylist()], np.int8)
    twins: dict[int, str] = {}
    for split in ("test", "validate"):
        held = np.flatnonzero(protection == PROTECTION[split])
        open_rows = np.flatnonzero(protection < PROTECTION[split])
        nearest, distance = nearest_copies(hashes[open_rows], hashes[held], COPY_DISTANCE)
        for place in np.flatnonzero(nearest >= 0):
            twin = images.slice(held[nearest[place]], 1).to_pylist()[0]
            twins.setdefault(
                int(open_rows[place]),
                f"{distance[place]} bits from {twin['source']} study {twin['study_id']} image "
                f"{twin['image_id']} in {split}",
            )
    rows = sorted(twins)
    return (
        images.select(["source", "study_id", "image_id"])
        .take(pa.array(rows, pa.int64()))
        .append_column("image_twin", pa.array([twins[row] for row in rows], pa.string()))
    )


def nearest_copies(queries: Hashes, held: Hashes, largest_distance: int) -> tuple[Numbers, Numbers]:
    """For each query the nearest held hash within ``largest_distance`` bits.

    Exact, without all pairs: cut into ``largest_distance // 3 + 1`` bands, two hashes that near
    agree in one band but for at most two bits. Queries are looked up under each of those keys of
    the held side, and only pairs that meet under a key are compared in full.

    Args:
        queries: uint8 [n, bytes].
        held: uint8 [m, bytes].

    Returns:
        Index into ``held`` (int64 [n], -1 where none; of equals the first) and the distance in
        bits (int64 [n], ``largest_distance + 1`` where none).
    """
    nearest = np.full(len(queries), -1, np.int64)
    best = np.full(len(queries), largest_distance + 1, np.int64)
    query_words, held_words = _words(queries), _words(held)
    for start, stop in _bands(queries.shape[1] * 8, largest_distance // 3 + 1):
        asked = _Asked(_band_keys(queries, start, stop), stop - start)
        keys = _band_keys(held, start, stop)
        for first in range(0, len(held), _HELD_AT_ONCE):
            for rows, found in asked.meetings(keys[first : first + _HELD_AT_ONCE]):
                _keep_closer(nearest, best, query_words, held_words, rows, found + first)
    return nearest, best


def _keep_closer(
    nearest: Numbers, best: Numbers, queries: Keys, held: Keys, rows: Numbers, found: Numbers
) -> None:
    """Compare the pairs (query row, held row) in full and note what is nearer than before."""
    # take and einsum: indexing and sum() of rows so short take twice as long
    differing = np.bitwise_count(queries.take(rows, 0) ^ held.take(found, 0))
    distances = np.einsum("ij->i", differing, dtype=np.int64)
    near = np.flatnonzero(distances <= best.take(rows))
    rows, found, distances = rows[near], found[near], distances[near]
    order = np.lexsort((found, distances, rows))
    first = order[np.diff(rows[order], prepend=-1) > 0]
    row, place, distance = rows[first], found[first], distances[first]
    closer = (distance < best[row]) | ((nearest[row] >= 0) & (place < nearest[row]))
    nearest[row[closer]], best[row[closer]] = place[closer], distance[closer]


def _words(hashes: Hashes) -> Keys:
    """The same bits as uint64 [n, words], the last word filled with zeros."""
    filled = np.pad(hashes, ((0, 0), (0, -hashes.shape[1] % 8)))
    return filled.view(np.uint64)


def _as_bytes(column: pa.ChunkedArray) -> Hashes:
    """Hashes as uint8 [n, bytes]; all of one length."""
    values = column.combine_chunks()
    if not len(values):
        return np.zeros((0, 1), np.uint8)
    lengths = np.unique(pc.binary_length(values).to_numpy(zero_copy_only=False))
    assert len(lengths) == 1, "hashes of more than one length"
    bits = values.cast(pa.binary(int(lengths[0])))
    whole = np.frombuffer(bits.buffers()[1], np.uint8).reshape(-1, int(lengths[0]))
    return whole[bits.offset : bits.offset + len(values)]


def _bands(bits: int, bands: int) -> list[tuple[int, int]]:
    """[start, stop) of each band; widths differ by at most one bit."""
    edges = [bits * number // bands for number in range(bands + 1)]
    return list(pairwise(edges))


def _band_keys(hashes: Hashes, start: int, stop: int) -> Keys:
    """Bits [start, stop) of each hash as one number: uint64 [n]; a band has at most 64 bits."""
    first, last = start // 8, -(-stop // 8)
    bits = np.unpackbits(hashes[:, first:last], axis=1)[:, start - 8 * first : stop - 8 * first]
    weights = np.left_shift(np.uint64(1), np.arange(stop - start, dtype=np.uint64)[::-1])
    return bits.astype(np.uint64) @ weights


class _Asked:
    """The queries by the keys of one band: a table tells where those of a key begin and end."""

    def __init__(self, keys: Keys, width: int) -> None:
        self._bits = min(width, _TABLE_BITS, len(keys).bit_length() + 2)
        self._wide = width > self._bits
        places = self._places(keys)
        self._rows = np.argsort(places, kind="stable")
        self._counts = np.bincount(places, minlength=1 << self._bits).astype(np.int32)
        self._ends = np.cumsum(self._counts, dtype=np.int32)
        single = np.left_shift(np.uint64(1), np.arange(width, dtype=np.uint64))
        one, other = np.triu_indices(width, 1)
        self._flips = np.concatenate(
            [np.zeros(1, np.uint64), single, single[one] ^ single[other]]
        )  # none, one bit, two bits

    def meetings(self, held: Keys) -> Iterator[tuple[Numbers, Numbers]]:
        """Pairs (query row, held row) whose keys differ in two bits at most, about
        ``_PAIRS_AT_ONCE`` at a time."""
        places = self._places((held[:, None] ^ self._flips[None, :]).ravel())
        counts = self._counts[places]
        asked = np.flatnonzero(counts)
        ends, counts, owners = self._ends[places[asked]], counts[asked], asked // len(self._flips)
        done = np.cumsum(counts, dtype=np.int64)
        begin = 0
        while begin < len(asked):
            before = done[begin - 1] if begin else 0
            end = max(begin + 1, int(np.searchsorted(done, before + _PAIRS_AT_ONCE, "right")))
            number = counts[begin:end]
            # the k-th of a place's n queries lies k - n before its end
            last = np.repeat(ends[begin:end] - (done[begin:end] - before), number)
            yield self._rows[last + np.arange(number.sum())], np.repeat(owners[begin:end], number)
            begin = end

    def _places(self, keys: Keys) -> Numbers:
        """Where in the table a key stands: itself if it is short enough."""
        places = keys * _SPREAD >> np.uint64(64 - self._bits) if self._wide else keys
        return places.view(np.int64)
