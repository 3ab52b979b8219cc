"""A synthetic CANDID-PTX: suffix-less DICOM, one-column reports and run-length masks.

Traps: a byte-order mark, ``-1`` and blank masks, several rows per image, an image attached to two
subjects, a tube without a report row, a blank view. Films are square and ``side_px`` wide; with
1024 they have the published size.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from sources.record import View
from sources.replicas.files import DicomStyle, TransferSyntax, draw_many, encode_dicom, write_file
from sources.replicas.phantom import Region, draw
from sources.replicas.traps import spread
from sources.replicas.truth import ChestTruth, ReplicaSpec, draw_cohort
from sources.replicas.truth_file import TrueBox, TrueStudy, write_truth
from sources.replicas.wording import Wording, write_report
from sources.run_length import encode_mask

PNEUMOTHORAX_SHARE: Final = 1 / 6
"""One positive to five negatives (PMC8637219)."""
STUDIES_PER_SUBJECT: Final = 1.3
"""Our choice: the publisher does not say."""
DOUBT: Final = 0.1
"""Share of doubtful wordings. Our choice."""

_SPREAD: Final = ("view-blank", "two-subjects", "mask-blank", "tube-without-report")
_TWO_REGIONS: Final = "two-regions"
TRAPS: Final = (*_SPREAD, _TWO_REGIONS)

REPORT_COLUMNS: Final = (
    "SOPInstanceUID",
    "StudyInstanceUID",
    "filename",
    "EncodedPixels",
    "Report",
)
TUBE_COLUMNS: Final = ("anon_SOPUID", "annotation_id", "mask_rle")

_MASKED: Final = ("pneumothorax", "chest tube", "rib fracture")


@dataclass(frozen=True)
class Film:
    """One study with its only image."""

    number: int
    truth: ChestTruth
    trap: str | None
    side_px: int

    @property
    def image_id(self) -> str:
        return f"1.2.826.0.1.3680043.9.9999.1.{self.truth.seed}"

    @property
    def study_id(self) -> str:
        return f"1.2.826.0.1.3680043.9.9999.2.{self.truth.seed}"


@dataclass(frozen=True)
class Drawn:
    """The file, the masks' texts by what they show, and the true places."""

    data: bytes
    masks: dict[str, tuple[str, ...]]
    regions: tuple[Region, ...]


def write(root: Path, spec: ReplicaSpec) -> None:
    """Write the replica under ``root``."""
    truths = draw_cohort(
        spec,
        "candid_ptx",
        views=(View.AP,),
        studies_per_subject=STUDIES_PER_SUBJECT,
        require=("pneumothorax", PNEUMOTHORAX_SHARE - 0.08),
        exclude=("foreign object",),
    )
    traps = _place_traps(truths)
    films = [Film(i, truth, traps.get(i), spec.side_px) for i, truth in enumerate(truths)]
    drawn: list[Drawn] = []
    for film, item in zip(films, draw_many(_draw_film, films, spec.processes), strict=True):
        write_file(root / "dataset" / film.image_id, item.data)
        drawn.append(item)
    _write_tables(root, films, drawn)
    write_truth(root, (_true_study(film, item) for film, item in zip(films, drawn, strict=True)))


def _place_traps(truths: Sequence[ChestTruth]) -> dict[int, str]:
    """Spread evenly; two regions of one pneumothorax on the first study that has one to cut."""
    traps = spread(_SPREAD, len(truths))
    for index, truth in enumerate(truths):
        if index not in traps and truth.find("pneumothorax") is not None:
            return traps | {index: _TWO_REGIONS}
    return traps


def _true_study(film: Film, drawn: Drawn) -> TrueStudy:
    boxes = tuple(TrueBox.of(film.image_id, region) for region in drawn.regions)
    labels = _report(film.truth).labels(film.truth)
    return TrueStudy(film.study_id, film.truth, labels, film.trap, boxes)


def _draw_film(film: Film) -> Drawn:
    drawing = draw(film.truth, View.AP, film.side_px, aspect=1.0)
    person = film.truth.person
    rng = np.random.default_rng([film.truth.seed, crc32(b"file")])
    style = DicomStyle(
        transfer_syntax=(
            TransferSyntax.EXPLICIT_LITTLE, TransferSyntax.JPEG_LS, TransferSyntax.RLE,
        )[int(rng.integers(3))],
        bits_stored=8,
        window=False,
        tags={
            "SOPClassUID": "1.2.840.10008.5.1.4.1.1.1.1",
            "SOPInstanceUID": film.image_id,
            "StudyInstanceUID": film.study_id,
            "SeriesInstanceUID": f"{film.study_id}.1",
            "Modality": "DX",
            "ViewPosition": "" if film.trap == "view-blank" else "AP",
            "PatientSex": person.sex,
            "PatientAge": f"{film.truth.age:03d}Y",
            "Manufacturer": "Replica Imaging",
        },
        instance_uid=film.image_id,
    )  # fmt: skip
    masks: dict[str, tuple[str, ...]] = dict.fromkeys(_MASKED, ())
    for region in drawing.regions:
        finding = film.truth.findings[region.finding]
        kind = finding.kind if finding.name == "support device" else finding.name
        if kind in masks:
            is_cut = film.trap == _TWO_REGIONS and kind == "pneumothorax"
            parts = _halves(region.mask) if is_cut else _parts(region.mask)
            masks[kind] += tuple(encode_mask(part) for part in parts)
    return Drawn(encode_dicom(drawing.pixels, style), masks, drawing.regions)


def _parts(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """The connected parts of a mask of at least four pixels: annotators draw one at a time."""
    count, labelled = cv2.connectedComponents(mask.astype(np.uint8))
    parts = [np.asarray(labelled == number) for number in range(1, count)]
    return [part for part in parts if part.sum() >= 4] or [mask]


def _halves(mask: NDArray[np.bool_]) -> list[NDArray[np.bool_]]:
    """The upper and the lower half of the mask's rows, as an annotator in two strokes draws it."""
    rows = np.flatnonzero(mask.any(axis=1))
    is_upper = np.arange(mask.shape[0])[:, None] < rows[rows.size // 2]
    return [mask & is_upper, mask & ~is_upper]


def _report(truth: ChestTruth) -> Wording:
    return write_report(truth, doubt=DOUBT)


def _write_tables(root: Path, films: Sequence[Film], drawn: Sequence[Drawn]) -> None:
    reports: list[list[str]] = []
    tubes: list[list[str]] = []
    fractures: list[list[str]] = []
    for film, item in zip(films, drawn, strict=True):
        reports += _report_rows(film, item)
        for table, name in ((tubes, "chest tube"), (fractures, "rib fracture")):
            table += [
                [film.image_id, f"annotation_{film.number}_{part}", mask]
                for part, mask in enumerate(item.masks[name])
            ]
        if film.trap == "tube-without-report":
            tubes.append([f"{film.image_id}.1", f"annotation_{film.number}_9", "100 5 60 5"])
        if film.number % 10 == 0 and not item.masks["chest tube"]:
            tubes.append([film.image_id, f"annotation_{film.number}_0", "-1"])
    _write_csv(root / "Pneumothorax_reports.csv", REPORT_COLUMNS, reports, "utf-8-sig")
    _write_csv(root / "chest_tube.csv", TUBE_COLUMNS, tubes)
    _write_csv(root / "Rib_fracture_mask_rle.csv", TUBE_COLUMNS, fractures)


def _report_rows(film: Film, drawn: Drawn) -> list[list[str]]:
    """One row per region, ``-1`` where there is none; the second subject of the trap below."""
    report = _report(film.truth)
    text = f"Indication: {report.indication} {report.findings} {report.impression}"
    masks = drawn.masks["pneumothorax"] or ("-1",)
    if film.trap == "mask-blank":
        masks = ("",)
    numbers = [film.truth.person.number]
    if film.trap == "two-subjects":
        numbers.append(film.truth.person.number + 100_000)
    return [
        [film.image_id, film.study_id, f"P{number}_{film.image_id}", mask, text]
        for number in numbers
        for mask in masks
    ]


def _write_csv(
    path: Path, header: tuple[str, ...], rows: list[list[str]], encoding: str = "utf-8"
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)
