"""A synthetic hospital: manifest.csv, DICOM files in several transfer syntaxes, PNG and JPEG.

A third of the studies give sections, a third a whole report, a third labels alone. DICOM files have
no view in the table; theirs is in the header, beside an invented name and hospital that must never
get out. Traps, each on one study: a missing file, a path that leaves the root, an unknown word for
the view, an age that is no number, a row without study_id, a truncated and an empty file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from sources.record import OBSERVATIONS, LabelValue, View
from sources.replicas.chexpert import write_csv
from sources.replicas.files import (
    DicomStyle,
    TransferSyntax,
    draw_many,
    encode_dicom,
    encode_jpeg,
    encode_png,
    write_file,
)
from sources.replicas.phantom import draw
from sources.replicas.traps import EMPTY, spread, truncate
from sources.replicas.truth import ChestTruth, ReplicaSpec, draw_cohort
from sources.replicas.truth_file import TrueStudy, write_truth
from sources.replicas.wording import write_report

COLUMNS: Final = (
    "image_path",
    "study_id",
    "subject_id",
    "view",
    "report",
    "indication",
    "findings",
    "impression",
    "age",
    "sex",
    "date",
    "manufacturer",
    "site",
    *OBSERVATIONS,
)
_WORDS: Final = {
    LabelValue.POSITIVE: "positive",
    LabelValue.NEGATIVE: "0",
    LabelValue.UNCERTAIN: "-1",
    LabelValue.UNMENTIONED: "",
}
_SITES: Final = ("North", "South")
_STYLES: Final = (
    DicomStyle(TransferSyntax.EXPLICIT_LITTLE),
    DicomStyle(TransferSyntax.JPEG_2000, bits_stored=16, window=False),
    DicomStyle(TransferSyntax.IMPLICIT_LITTLE, inverted=True),
    DicomStyle(TransferSyntax.JPEG_LOSSLESS, bits_stored=14),
    DicomStyle(TransferSyntax.RLE, bits_stored=10, slope=2.0, intercept=-100.0),
    DicomStyle(TransferSyntax.JPEG_LS, bits_stored=12),
    DicomStyle(TransferSyntax.JPEG_BASELINE, bits_stored=8, window=False),
)
_HEADER_POSITIONS: Final = {View.PA: "PA", View.AP: "AP", View.LATERAL: "LL"}
NAME: Final = "Invented^Person"
HOSPITAL: Final = "Invented Hospital"
"""What the DICOM headers say of person and place; no output may hold either."""

TRAPS: Final = (
    "missing",
    "truncated",
    "outside-root",
    "view-word",
    "age-word",
    "no-study",
    "empty",
)


@dataclass(frozen=True)
class Film:
    """One image.

    Args:
        path: as the table has it.
        study: index of its study.
        number: counts the replica's images from 0 and chooses the format.
    """

    path: str
    study: int
    truth: ChestTruth
    view: View
    number: int
    side_px: int
    trap: str | None

    @property
    def is_dicom(self) -> bool:
        return self.path.endswith(".dcm")


def write(root: Path, spec: ReplicaSpec) -> None:
    """Write the replica under ``root``."""
    truths = draw_cohort(spec, "manifest", studies_per_subject=1.5)
    traps = spread(TRAPS, len(truths))
    films: list[Film] = []
    for index, truth in enumerate(truths):
        films += _films(truth, index, len(films), spec.side_px, traps.get(index))
    for film, data in zip(films, draw_many(draw_film, films, spec.processes), strict=True):
        damage = {"truncated": truncate(data), "empty": EMPTY}
        if film.trap not in ("missing", "outside-root"):
            write_file(root / film.path, damage.get(film.trap or "", data))
    write_csv(root / "manifest.csv", COLUMNS, [_row(film) for film in films])
    write_truth(
        root,
        (
            TrueStudy(f"S{index + 1:05d}", truth, _labels(truth), traps.get(index))
            for index, truth in enumerate(truths)
        ),
    )


def _films(
    truth: ChestTruth, index: int, first: int, side_px: int, trap: str | None
) -> Iterator[Film]:
    """The images of one study; the trap is on the first one."""
    for position, view in enumerate(truth.views):
        number = first + position
        suffix = ("dcm", "png", "dcm", "jpg")[number % 4]
        own = trap if position == 0 else None
        folder = ".." if own == "outside-root" else "images"
        path = f"{folder}/S{index + 1:05d}_{position + 1}.{suffix}"
        yield Film(path, index, truth, view, number, side_px, own)


def draw_film(film: Film) -> bytes:
    """The file of one image: DICOM in one of seven transfer syntaxes, 16-bit PNG, or JPEG."""
    pixels = draw(film.truth, film.view, film.side_px).pixels
    if film.path.endswith(".png"):
        return encode_png(pixels, levels=65535)
    if film.path.endswith(".jpg"):
        return encode_jpeg(pixels)
    tags = {
        "PatientName": NAME,
        "PatientID": f"P{film.truth.person.number:05d}",
        "InstitutionName": HOSPITAL,
        "ViewPosition": _HEADER_POSITIONS[film.view],
        "Modality": "DX",
    }
    style = _STYLES[film.number // 2 % len(_STYLES)]
    return encode_dicom(pixels, replace(style, tags=tags))


def _labels(truth: ChestTruth) -> dict[str, LabelValue]:
    return write_report(truth).labels(truth)


def _row(film: Film) -> list[str]:
    truth = film.truth
    report = write_report(truth)
    cells = dict.fromkeys(COLUMNS, "") | {
        "image_path": film.path,
        "study_id": "" if film.trap == "no-study" else f"S{film.study + 1:05d}",
        "subject_id": f"P{truth.person.number:05d}",
        "view": "" if film.is_dicom else film.view.value,
        "age": "adult" if film.trap == "age-word" else str(truth.age),
        "sex": truth.person.sex,
        "date": f"{2020 + truth.study % 4}-{1 + truth.seed % 12:02d}-{1 + truth.seed % 28:02d}",
        "manufacturer": ("Acme", "Bolt")[truth.person.number % 2],
        "site": _SITES[truth.person.number // 2 % 2],
    }
    if film.trap == "view-word":
        cells["view"] = "OBLIQUE"
    if film.study % 3 == 0:
        cells |= {
            "indication": report.indication,
            "findings": report.findings,
            "impression": report.impression,
        }
    elif film.study % 3 == 1:
        cells["report"] = (
            f"INDICATION: {report.indication}\n\nFINDINGS: {report.findings}\n\n"
            f"IMPRESSION: {report.impression}\n"
        )
    else:
        cells |= {name: _WORDS[value] for name, value in _labels(truth).items()}
    return [cells[name] for name in COLUMNS]
