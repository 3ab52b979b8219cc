"""A synthetic object-CXR: JPEG files in two zips, and tables of foreign objects.

Traps: blank annotations, all three shapes, a polygon with a negative vertex, the header's two
spellings (``image_name`` in train.csv, ``image_path`` in dev.csv), a truncated member, a listed
image that is not in the zip.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np

from sources.record import View
from sources.replicas.files import draw_many, encode_jpeg
from sources.replicas.phantom import Region, draw
from sources.replicas.traps import spread, truncate
from sources.replicas.truth import ChestTruth, ReplicaSpec, draw_cohort
from sources.replicas.truth_file import TrueBox, TrueStudy, write_truth

OBJECT_SHARE: Final = 0.5
"""5,000 of 10,000 images have objects."""
DEV_EVERY: Final = 9
"""Our choice: dev.zip has about a ninth of train.zip's bytes."""

TRAPS: Final = ("negative-vertex", "truncated", "missing")

_ZIP_DATE: Final = (2020, 1, 1, 0, 0, 0)
"""Fixed, so that equal replicas are equal bytes."""
_SHAPES: Final = {"coin": "1", "button": "1", "pin": "2", "necklace": "2"}
"""How annotators draw an object; a third of them draw a rectangle instead."""


@dataclass(frozen=True)
class Film:
    """One image; ``part`` is train or dev."""

    part: str
    name: str
    truth: ChestTruth
    view: View
    trap: str | None
    side_px: int


def write(root: Path, spec: ReplicaSpec) -> None:
    """Write the replica under ``root``."""
    films = _films(spec)
    root.mkdir(parents=True, exist_ok=True)
    archives = {part: zipfile.ZipFile(root / f"{part}.zip", "w") for part in ("train", "dev")}
    regions: list[tuple[Region, ...]] = []
    for film, (data, found) in zip(
        films, draw_many(_draw_film, films, spec.processes), strict=True
    ):
        regions.append(found)
        if film.trap != "missing":
            member = zipfile.ZipInfo(f"{film.part}/{film.name}", _ZIP_DATE)
            archives[film.part].writestr(
                member, truncate(data) if film.trap == "truncated" else data
            )
    for part, archive in archives.items():
        archive.close()
        _write_table(root, part, films, regions)
    write_truth(
        root,
        (
            TrueStudy(
                f"{film.part}/{film.name.removesuffix('.jpg')}", film.truth, trap=film.trap,
                boxes=tuple(TrueBox.of(f"{film.part}/{film.name}", region) for region in found),
            )
            for film, found in zip(films, regions, strict=True)
        ),
    )  # fmt: skip


def _films(spec: ReplicaSpec) -> list[Film]:
    truths = draw_cohort(
        spec, "object_cxr", views=(View.PA,), require=("foreign object", OBJECT_SHARE - 0.01)
    )
    traps = _place_traps(truths)
    return [
        Film(
            part="dev" if index % DEV_EVERY == 4 else "train",
            name=f"{index + 1:05d}.jpg",
            truth=truth,
            view=View.PA,
            trap=traps.get(index),
            side_px=spec.side_px,
        )
        for index, truth in enumerate(truths)
    ]


def _place_traps(truths: Sequence[ChestTruth]) -> dict[int, str]:
    """Spread evenly, but the negative vertex, which needs an object, is on the first of them."""
    traps = spread(TRAPS, len(truths))
    home = next((i for i, trap in traps.items() if trap == "negative-vertex"), None)
    place = next((i for i, truth in enumerate(truths) if truth.find("foreign object")), None)
    if home is None or home == place:
        return traps
    del traps[home]
    if place is not None:
        if place in traps:
            traps[home] = traps[place]
        traps[place] = "negative-vertex"
    return traps


def _draw_film(film: Film) -> tuple[bytes, tuple[Region, ...]]:
    drawing = draw(film.truth, film.view, film.side_px)
    return encode_jpeg(drawing.pixels, quality=92), drawing.regions


def _write_table(
    root: Path, part: str, films: Sequence[Film], regions: Sequence[tuple[Region, ...]]
) -> None:
    header = "image_name" if part == "train" else "image_path"
    with (root / f"{part}.csv").open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([header, "annotation"])
        for film, found in zip(films, regions, strict=True):
            if film.part == part:
                writer.writerow([film.name, _annotation(film, found)])


def _annotation(film: Film, regions: Sequence[Region]) -> str:
    """The image's objects, joined by semicolons; blank without one."""
    rng = np.random.default_rng([film.truth.seed, crc32(b"annotation")])
    texts = []
    for region in (region for region in regions if region.name == "foreign object"):
        kind = film.truth.findings[region.finding].kind or "coin"
        shape = "0" if rng.random() < 1 / 3 else _SHAPES[kind]
        if film.trap == "negative-vertex":
            shape = "2"
        box = [region.x_min, region.y_min, region.x_max, region.y_max]
        if shape == "2":
            box = _polygon(region)
            if film.trap == "negative-vertex":
                box[0] = -4
        texts.append(" ".join([shape, *map(str, box)]))
    return ";".join(texts)


def _polygon(region: Region) -> list[int]:
    """The corners of the mask's extremes: six vertices."""
    rows, columns = np.nonzero(region.mask)
    left, right, top, bottom = columns.argmin(), columns.argmax(), rows.argmin(), rows.argmax()
    order = (left, top, right, bottom)
    points = [value for i in order for value in (int(columns[i]), int(rows[i]))]
    return [*points, region.x_min, region.y_max, region.x_max, region.y_min]
