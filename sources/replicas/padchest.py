"""A synthetic PadChest: 16-bit PNG files in numbered zips and the 36-field table.

Traps, each on one study unless said: unnamed first column, ids of 39 digits, birth years as floats,
``None`` literals, CUI columns as numpy prints arrays (all rows); labels with a leading space and
``''``, places as ``loc  x``, blank Labels, an older label name, ``exclude``, ``suboptimal study``,
reports `` nan`` and `` . . . .``, Projections AP_horizontal, COSTAL and EXCLUDE, a nulled birth
year, 10-bit images (a quarter of the 16-bit range), a missing, a truncated and an all-black image,
one image of the publisher's list of broken files and one of its list of missing ones, an image
whose zip is not the one that the table names.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo
from zlib import crc32

import numpy as np

from sources.padchest import TABLE
from sources.padchest_files import BROKEN, MISSING
from sources.record import View
from sources.replicas.chexpert import write_csv
from sources.replicas.files import draw_many, encode_png
from sources.replicas.padchest_table import (
    COLUMNS,
    Picture,
    long_number,
    study_number,
    table_row,
)
from sources.replicas.phantom import draw
from sources.replicas.spanish_english import write_english
from sources.replicas.traps import spread, truncate
from sources.replicas.truth import ChestTruth, ReplicaSpec, draw_cohort
from sources.replicas.truth_file import TrueStudy, write_truth

STUDIES_PER_SUBJECT: Final = 1.6
"""More than 109 thousand reports of 67 thousand persons."""
_ZIPS: Final = 3
_LATE_ZIP: Final = 54
"""Added by the publisher in 2019 for images that the others lacked."""
_TEN_BIT_SHARE: Final = 0.15
"""Our choice: 12 bits mostly, 10 in some."""
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_FULL_RANGE: Final = 65535
_ASPECTS: Final = (1760 / 2140, 1.0, 2140 / 1760)
"""Width over height of the publisher's common sizes (1760x2140, 3000x3000, 2140x1760)."""
_LETTERS: Final = "abcdefghij"

TRAPS: Final = (
    "spaced-labels",
    "missing",
    "double-space",
    "truncated",
    "blank-labels",
    "exclude",
    "older-name",
    "report-nan",
    "published-broken",
    "horizontal",
    "suboptimal",
    "costal",
    "report-dots",
    "published-missing",
    "no-birth",
    "exclude-projection",
    "black",
    "no-sex",
    "late-zip",
)
RETOLD: Final = frozenset({"report-nan", "report-dots", "older-name"})
"""Traps whose report is not the one that the truth gives."""
STUDY_TRAPS: Final = frozenset(
    {
        "spaced-labels",
        "double-space",
        "blank-labels",
        "exclude",
        "older-name",
        "report-nan",
        "suboptimal",
        "report-dots",
        "no-birth",
        "no-sex",
    }
)
"""Traps of what all rows of a study share; the others are on its first image."""


@dataclass(frozen=True)
class Film:
    """One image: what the table says of it, where its file goes, and what is wrong with it."""

    picture: Picture
    truth: ChestTruth
    archive: int
    trap: str | None


def write(root: Path, spec: ReplicaSpec) -> None:
    """Write the replica under ``root``."""
    truths = draw_cohort(spec, "padchest", studies_per_subject=STUDIES_PER_SUBJECT)
    traps = spread(TRAPS, len(truths))
    films = [
        film
        for index, truth in enumerate(truths)
        for film in _films(truth, spec.side_px, traps.get(index))
    ]
    root.mkdir(parents=True, exist_ok=True)
    _write_archives(root, films, spec.processes)
    rows = [
        table_row(index, film.picture, film.truth, spec.seed, film.trap)
        for index, film in enumerate(films)
    ]
    write_csv(root / TABLE.replace("*", "_01.02.19"), COLUMNS, rows)
    write_truth(
        root,
        (
            TrueStudy(
                study_number(truth),
                replace(truth, views=_views(truth, traps.get(index))),
                trap=traps.get(index),
            )
            for index, truth in enumerate(truths)
        ),
    )


def known_english(spec: ReplicaSpec) -> dict[str, str]:
    """What each study's report says, in English, by study id; for scoring a translation alone."""
    truths = draw_cohort(spec, "padchest", studies_per_subject=STUDIES_PER_SUBJECT)
    traps = spread(TRAPS, len(truths))
    return {
        study_number(truth): " ".join(write_english(truth))
        for index, truth in enumerate(truths)
        if traps.get(index) not in RETOLD
    }


def _films(truth: ChestTruth, side_px: int, trap: str | None) -> Iterator[Film]:
    """The images of one study; a trap of files or views is on the first one alone."""
    rng = np.random.default_rng([truth.seed, crc32(b"padchest-films")])
    bits = 10 if rng.random() < _TEN_BIT_SHARE else 12
    for number, view in enumerate(_views(truth, trap)):
        own = trap if number == 0 or trap in STUDY_TRAPS else None
        folder = int(rng.integers(_ZIPS))
        name = _image_name(truth, number, int(rng.integers(2)), own)
        height, width = film_size(view, side_px, int(rng.integers(len(_ASPECTS))))
        picture = Picture(name, folder, view, bits, height, width)
        yield Film(picture, truth, _LATE_ZIP if own == "late-zip" else folder, own)


def _views(truth: ChestTruth, trap: str | None) -> tuple[View, ...]:
    """What is drawn: AP_horizontal is an AP film, whatever was planned."""
    return (View.AP, *truth.views[1:]) if trap == "horizontal" else truth.views


def film_size(view: View, side_px: int, choice: int) -> tuple[int, int]:
    """(height, width) in px with the short side given."""
    aspect = _ASPECTS[choice] if view.is_frontal else _ASPECTS[0]
    if aspect >= 1:
        return side_px, round(side_px * aspect)
    return round(side_px / aspect), side_px


def _image_name(truth: ChestTruth, number: int, style: int, trap: str | None) -> str:
    if trap == "published-broken":
        return min(BROKEN)
    if trap == "published-missing":
        return min(MISSING)
    digits = long_number("image", truth.seed, number)
    if style == 0:
        letters = "".join(_LETTERS[int(digit)] for digit in digits[:6])
        return f"{study_number(truth)}_{letters}.png"
    return f"{digits}_{digits[:2]}-{digits[2:5]}-{digits[5:8]}.png"


def draw_film(film: Film) -> bytes:
    """The 16-bit PNG file of one image; 10 bits fill a quarter of its range."""
    picture = film.picture
    side_px, aspect = min(picture.height, picture.width), picture.width / picture.height
    pixels = draw(film.truth, picture.view, side_px, aspect).pixels
    if film.trap == "black":
        pixels = np.zeros_like(pixels)
    data = encode_png(pixels, levels=_FULL_RANGE if picture.bits == 12 else _FULL_RANGE // 4)
    return truncate(data) if film.trap in ("truncated", "published-broken") else data


def _write_archives(root: Path, films: list[Film], processes: int) -> None:
    """Zips with flat members, deflated; equal films give equal bytes."""
    numbers = sorted({film.archive for film in films})
    archives = {number: ZipFile(root / f"{number}.zip", "w", ZIP_DEFLATED) for number in numbers}
    try:
        for film, data in zip(films, draw_many(draw_film, films, processes), strict=True):
            if film.trap not in ("missing", "published-missing"):
                member = ZipInfo(film.picture.name, _EPOCH)
                member.compress_type = ZIP_DEFLATED
                archives[film.archive].writestr(member, data, compresslevel=1)
    finally:
        for archive in archives.values():
            archive.close()
