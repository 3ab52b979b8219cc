"""A synthetic VinDr-CXR: DICOM files without identifiers, votes of three radiologists, boxes.

Traps: radiologists who disagree, ``No finding`` rows with blank boxes and exact duplicates of them,
``Other disease`` in the test table, MONOCHROME1, an 8-bit picture that claims 12 bits, a data set
without any UID under an illegal MediaStorageSOPInstanceUID, ages of ``000Y``.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np

from sources.record import View
from sources.replicas.files import DicomStyle, TransferSyntax, draw_many, encode_dicom, write_file
from sources.replicas.phantom import Region, draw
from sources.replicas.traps import spread
from sources.replicas.truth import ChestTruth, ReplicaSpec, TrueFinding, draw_cohort
from sources.replicas.truth_file import TrueBox, TrueStudy, write_truth
from sources.vindr_cxr import COUNTERPARTS

TEST_EVERY: Final = 6
"""Every sixth image is in the test part: 3,000 of 18,000."""
RADIOLOGISTS: Final = 17
READERS: Final = 3

MISSED: Final = 0.08
"""Chance that one radiologist overlooks a finding. Our choice."""
OVERCALLED: Final = 0.04
"""Chance that one radiologist sees what is not there. Our choice."""
_OVERCALLS: Final = ("Aortic enlargement", "Pleural thickening", "Pulmonary fibrosis", "ILD")

TRAPS: Final = ("eight-bit-as-twelve", "age-zero", "no-age")

_NAMES: Final[dict[str, tuple[str, ...]]] = {
    "cardiomegaly": ("Cardiomegaly",),
    "enlarged mediastinum": ("Other lesion",),
    "pleural effusion": ("Pleural effusion",),
    "pneumothorax": ("Pneumothorax",),
    "consolidation": ("Consolidation",),
    "lung opacity": ("Lung Opacity", "Infiltration"),
    "nodule": ("Nodule/Mass",),
    "edema": ("Edema",),
    "atelectasis": ("Atelectasis",),
    "pleural thickening": ("Pleural thickening",),
    "rib fracture": ("Rib fracture",),
}
"""Each radiologist picks one of the names; devices have none here."""


@dataclass(frozen=True)
class Film:
    """One image of the replica; ``trap`` changes how its file is written."""

    image_id: str
    split: str
    truth: ChestTruth
    trap: str | None
    side_px: int

    @property
    def path(self) -> str:
        return f"{self.split}/{self.image_id}.dicom"


@dataclass(frozen=True)
class _Mark:
    """What one radiologist wrote of one image: a name, and a box for local names."""

    name: str
    box: tuple[float, float, float, float] | None


def write(root: Path, spec: ReplicaSpec) -> None:
    """Write the replica under ``root``."""
    truths = draw_cohort(spec, "vindr_cxr", views=(View.PA,), exclude=("foreign object",))
    traps = spread(TRAPS, len(truths))
    films = [
        Film(
            image_id=md5(f"vindr_cxr {spec.seed} {index}".encode()).hexdigest(),
            split="test" if index % TEST_EVERY == 3 else "train",
            truth=truth,
            trap=traps.get(index),
            side_px=spec.side_px,
        )
        for index, truth in enumerate(truths)
    ]
    regions: list[tuple[Region, ...]] = []
    for film, (data, found) in zip(
        films, draw_many(_draw_film, films, spec.processes), strict=True
    ):
        write_file(root / film.path, data)
        regions.append(found)
    for split in ("train", "test"):
        chosen = [pair for pair in zip(films, regions, strict=True) if pair[0].split == split]
        _write_tables(root / "annotations", split, chosen)
    write_truth(
        root,
        (
            TrueStudy(
                film.image_id, film.truth, trap=film.trap,
                boxes=tuple(TrueBox.of(f"{film.image_id}.dicom", region) for region in found),
            )
            for film, found in zip(films, regions, strict=True)
        ),
    )  # fmt: skip


def _draw_film(film: Film) -> tuple[bytes, tuple[Region, ...]]:
    drawing = draw(film.truth, View.PA, film.side_px)
    rng = np.random.default_rng([film.truth.seed, crc32(b"file")])
    person = film.truth.person
    age = {"age-zero": "000Y", "no-age": ""}.get(film.trap or "", f"{person.age:03d}Y")
    syntaxes = (
        TransferSyntax.EXPLICIT_LITTLE,
        TransferSyntax.IMPLICIT_LITTLE,
        TransferSyntax.JPEG_2000,
        TransferSyntax.JPEG_LOSSLESS,
    )
    is_false_twelve = film.trap == "eight-bit-as-twelve"
    bits = 12 if is_false_twelve else (10, 12, 14, 16)[int(rng.integers(4))]
    style = DicomStyle(
        transfer_syntax=syntaxes[int(rng.integers(4))],
        bits_stored=bits,
        inverted=bool(rng.random() < 0.3),
        window=not is_false_twelve,
        top=255 if is_false_twelve else None,
        tags={"PatientSex": person.sex, "PatientAge": age, "PixelSpacing": [0.139, 0.139]},
        instance_uid=film.image_id,
    )
    return encode_dicom(drawing.pixels, style), drawing.regions


def _write_tables(
    folder: Path, split: str, films: Sequence[tuple[Film, tuple[Region, ...]]]
) -> None:
    """The label table and the box table of one split."""
    other = "Other disease" if split == "test" else "Other diseases"
    names = [other if name == "Other diseases" else name for name in COUNTERPARTS]
    labels: list[list[str]] = []
    boxes: list[list[str]] = []
    for film, regions in films:
        for reader, marks in _readings(film, regions):
            who = [reader] if split == "train" else []
            said = {mark.name for mark in marks}
            votes = [str(int(name in said)) for name in COUNTERPARTS]
            labels.append([film.image_id, *who, *votes])
            for mark in marks:
                if mark.box is not None:
                    cells = [f"{value:.1f}" for value in mark.box]
                    boxes.append([film.image_id, *who, mark.name, *cells])
            if said == {"No finding"}:
                boxes.append([film.image_id, *who, "No finding", "", "", "", ""])
    reader_column = ["rad_id"] if split == "train" else []
    corners = ["x_min", "y_min", "x_max", "y_max"]
    _write_csv(folder / f"image_labels_{split}.csv", ["image_id", *reader_column, *names], labels)
    header = ["image_id", *reader_column, "class_name", *corners]
    _write_csv(folder / f"annotations_{split}.csv", header, boxes)


def _readings(film: Film, regions: Sequence[Region]) -> list[tuple[str, list[_Mark]]]:
    """Radiologist and marks: three who differ for train, the consensus for test."""
    rng = np.random.default_rng([film.truth.seed, crc32(b"readers")])
    if film.split == "test":
        return [("", _marks(film.truth, regions, rng, is_consensus=True))]
    readers = rng.choice(RADIOLOGISTS, size=READERS, replace=False) + 1
    return [(f"R{reader}", _marks(film.truth, regions, rng, False)) for reader in readers]


def _marks(
    truth: ChestTruth, regions: Sequence[Region], rng: np.random.Generator, is_consensus: bool
) -> list[_Mark]:
    marks: list[_Mark] = []
    for index, finding in enumerate(truth.findings):
        if finding.name not in _NAMES or (not is_consensus and rng.random() < MISSED):
            continue
        marks += _marks_of(finding, index, regions, rng, is_consensus)
    if not is_consensus and rng.random() < OVERCALLED:
        name = _OVERCALLS[int(rng.integers(len(_OVERCALLS)))]
        marks.append(_Mark(name, (20.0, 30.0, 60.0, 80.0)))
    return marks or [_Mark("No finding", None)]


def _marks_of(
    finding: TrueFinding,
    index: int,
    regions: Sequence[Region],
    rng: np.random.Generator,
    is_consensus: bool,
) -> list[_Mark]:
    """One mark per region, each radiologist's box a little different; a global one if none."""
    options = _NAMES[finding.name]
    name = options[0] if is_consensus else options[int(rng.integers(len(options)))]
    marks = []
    for region in (region for region in regions if region.finding == index):
        play = 0.0 if is_consensus else 0.04
        width, height = region.x_max - region.x_min, region.y_max - region.y_min
        jitter = rng.uniform(-play, play, 4) * (width, height, width, height)
        left, top = max(0.0, region.x_min + jitter[0]), max(0.0, region.y_min + jitter[1])
        marks.append(_Mark(name, (left, top, region.x_max + jitter[2], region.y_max + jitter[3])))
    marks = marks or [_Mark(name, None)]
    if finding.kind == "pneumonia":
        marks.append(_Mark("Pneumonia", None))
    if finding.kind == "possible pneumonia" and rng.random() < 0.5:
        marks.append(_Mark("Pneumonia", None))
    return marks


def _write_csv(path: Path, header: list[str], rows: list[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
