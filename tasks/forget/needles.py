"""What is searched for when a subject shall have left no trace, and where in a run of bytes it is.

Ids are told from other numbers by their length: one that is shorter than ``LONG_ID`` digits stands
in any file by chance, and is looked for in columns of ids alone. A sentence that other subjects'
texts have too ("The heart is of normal size.") is nobody's and is not searched for; nor is a film
that another subject has too (``others``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import xxhash

from tasks.forget.names import Names, written_forms

LONG_ID: Final = 8
"""Digits from which a number is no chance (our choice: MIMIC's ids have eight, and a number of
eight digits stands at a given place of other digits once in 10^8)."""
LONG_NAME: Final = 6
"""The same for ids with letters (our choice: 36^6 are two billion)."""
SHORTEST_SENTENCE: Final = 20
FEWEST_WORDS: Final = 4
"""A shorter run of words is nobody's alone (our choice)."""
_SPACES: Final = bytes.maketrans(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZ\t\n\r\f\v", b"abcdefghijklmnopqrstuvwxyz     "
)
_END_OF_SENTENCE: Final = re.compile(r"(?<=[.!?;])\s+")
PROBE_BYTES: Final = 32
_FEWEST_VALUES: Final = 12
"""Different bytes that a probe must have, so that it is no run of black pixels (our choice)."""


def normalized(data: bytes) -> bytes:
    """Small letters, and one space for any run of white space, JSON's ``\\n`` among them."""
    told = data.replace(b"\\r", b" ").replace(b"\\n", b" ").replace(b"\\t", b" ")
    told = told.translate(_SPACES)
    while b"  " in told:
        told = told.replace(b"  ", b" ")
    return told


def sentences_of(text: str) -> Iterator[str]:
    """Sentences that are long enough to be somebody's, normalized."""
    for part in _END_OF_SENTENCE.split(" ".join(text.split())):
        told = normalized(part.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
        told = told.strip(" .!?;,:")
        if len(told) >= SHORTEST_SENTENCE and len(told.split()) >= FEWEST_WORDS:
            yield told


def is_long(identifier: str) -> bool:
    """Whether an id can be searched for in any bytes."""
    return len(identifier) >= (LONG_ID if identifier.isdigit() else LONG_NAME)


def probe_of(picture: bytes) -> bytes | None:
    """Bytes from inside an encoded picture that no other picture has; None for a blank one."""
    for share in (2, 3, 5, 7):
        start = len(picture) // share
        probe = picture[start : start + PROBE_BYTES]
        if len(probe) == PROBE_BYTES and len(set(probe)) >= _FEWEST_VALUES:
            return probe
    return None


@dataclass(frozen=True)
class Needles:
    """What to search for.

    Args:
        ids: long ids; ``paths`` are published files, and both stand alone (``names``).
        exact: digests, which are searched for as they are.
        sentences: normalized.
        probes: bytes from inside pictures, and perceptual hashes.
        pictures: xxh3-128 of whole pictures.
        longer: ids and paths of others in which one of theirs stands.
    """

    ids: frozenset[str]
    exact: frozenset[str]
    sentences: frozenset[str]
    probes: frozenset[bytes]
    pictures: frozenset[str]
    paths: frozenset[str] = frozenset()
    longer: frozenset[str] = frozenset()

    @cached_property
    def _ids(self) -> Names:
        return Names(self.ids, self.longer)

    @cached_property
    def _paths(self) -> Names:
        return Names(self.paths, self.longer)

    @cached_property
    def _plain(self) -> tuple[bytes, ...]:
        return tuple(sorted({form for text in self.exact for form in written_forms(text)}))

    @cached_property
    def _words(self) -> tuple[bytes, ...]:
        forms = {normalized(form) for text in self.sentences for form in written_forms(text)}
        return tuple(sorted(forms))

    def kinds_in(self, data: bytes, *, words: bool = True) -> set[str]:
        """Which kinds of needle stand in these bytes: id, path or digest, picture, text."""
        found = set()
        if self._ids.stand_in(data):
            found.add("id")
        if any(text in data for text in self._plain) or self._paths.stand_in(data):
            found.add("path or digest")
        if any(probe in data for probe in self.probes):
            found.add("picture")
        if words and self._words and self.has_text(data):
            found.add("text")
        return found

    def has_text(self, data: bytes) -> bool:
        """Whether a sentence stands in these bytes."""
        plain = normalized(data)
        return any(text in plain for text in self._words)

    def is_picture(self, data: bytes | memoryview) -> bool:
        """Whether these bytes are one of the pictures."""
        return xxhash.xxh3_128_hexdigest(data) in self.pictures

    def without(self, text: str, instead: str) -> str:
        """A text with every id, path and sentence of the subject replaced."""
        data = text.encode("utf-8", "surrogateescape")
        for exact in sorted(self._plain, key=len, reverse=True):
            data = data.replace(exact, instead.encode())
        for names in (self._paths, self._ids):
            data = names.without(data, instead.encode())
        text = data.decode("utf-8", "surrogateescape")
        if self.sentences and self.has_text(text.encode("utf-8", "surrogateescape")):
            return instead
        return text


def only_theirs(candidates: Iterable[str], others: Iterable[bytes]) -> frozenset[str]:
    """The sentences that stand in none of the others' texts (normalized)."""
    left = {text.encode("utf-8", "surrogatepass"): text for text in candidates}
    for data in others:
        if not left:
            break
        for form in [form for form in left if form in data]:
            del left[form]
    return frozenset(left.values())
