"""A synthetic BRAX: PNG files and the 26-field master spreadsheet, labels only.

Traps, each on one study: age ``85 or more``, sex O, ViewPosition ``AP LLD``, ``RL``, ``LT-DECUB``,
``RLO`` and blank, a PNG of the list of unreadable ones (its DICOM file is there), a truncated and
a missing PNG. In all rows: a blank index column, a DICOM column, Lung Lesion before Lung Opacity,
ages in groups of five years, manufacturers as numbers, dates that are fiction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from zlib import crc32

import numpy as np

from sources.brax import UNREADABLE
from sources.record import LabelValue, View
from sources.replicas.chexpert import write_csv
from sources.replicas.files import (
    DicomStyle,
    draw_many,
    encode_dicom,
    encode_png,
    write_file,
)
from sources.replicas.phantom import draw
from sources.replicas.traps import spread, truncate
from sources.replicas.truth import ChestTruth, ReplicaSpec, draw_cohort
from sources.replicas.truth_file import TrueStudy, write_truth
from sources.replicas.wording import write_report

LABEL_COLUMNS: Final = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Lesion",
    "Lung Opacity",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
)
COLUMNS: Final = (
    "",
    "DicomPath",
    "PngPath",
    "PatientID",
    "PatientSex",
    "PatientAge",
    "AccessionNumber",
    "StudyDate",
    *LABEL_COLUMNS,
    "ViewPosition",
    "Rows",
    "Columns",
    "Manufacturer",
)
STUDIES_PER_SUBJECT: Final = 1.3
"""Our choice: the publisher's patient count is not established."""
_DOUBT: Final = 0.1
_OLDEST: Final = 85
_ASPECT: Final = 2048 / 2500
_NUMBERS: Final = {
    LabelValue.POSITIVE: "1",
    LabelValue.NEGATIVE: "0",
    LabelValue.UNCERTAIN: "-1",
    LabelValue.UNMENTIONED: "",
}
_POSITIONS: Final = {View.PA: "PA", View.AP: "AP", View.LATERAL: "L"}
_ODD_POSITIONS: Final = {
    "decubitus": "AP LLD",
    "right-lateral": "RL",
    "left-decubitus": "LT-DECUB",
    "oblique": "RLO",
    "blank-view": "",
}
TRAPS: Final = (
    "oldest",
    "truncated",
    "decubitus",
    "unreadable",
    "blank-view",
    "missing",
    "sex-other",
    "right-lateral",
    "left-decubitus",
    "oblique",
)
_STUDY_TRAPS: Final = ("oldest", "sex-other")
"""Traps of the person, which all rows of a study share."""


@dataclass(frozen=True)
class Film:
    """One image: paths under the root, how it is drawn, and what is wrong with it."""

    png: str
    dicom: str
    truth: ChestTruth
    view: View
    height: int
    width: int
    trap: str | None


def write(root: Path, spec: ReplicaSpec) -> None:
    """Write the replica under ``root``."""
    truths = draw_cohort(spec, "brax", studies_per_subject=STUDIES_PER_SUBJECT)
    traps = spread(TRAPS, len(truths))
    films = [
        film for index, truth in enumerate(truths) for film in _films(truth, spec, traps.get(index))
    ]
    for film, data in zip(films, draw_many(draw_film, films, spec.processes), strict=True):
        if film.trap == "unreadable":
            write_file(root / film.dicom, data)
            write_file(root / film.png, truncate(truncate(data)))
        elif film.trap != "missing":
            write_file(root / film.png, truncate(data) if film.trap == "truncated" else data)
    rows = [_row(index, film, spec.seed) for index, film in enumerate(films)]
    write_csv(root / "master_spreadsheet_update.csv", COLUMNS, rows)
    write_truth(
        root,
        (
            TrueStudy(
                f"{person_id(truth, spec.seed)}/{_digits('study', truth.seed)}",
                replace(truth, views=_views(truth, traps.get(index))),
                write_report(truth, doubt=_DOUBT).labels(truth),
                traps.get(index),
            )
            for index, truth in enumerate(truths)
        ),
    )


def person_id(truth: ChestTruth, seed: int) -> str:
    """PatientID: ``id_`` and five groups of eight hexadecimal digits."""
    rng = np.random.default_rng([seed, crc32(b"brax-person"), truth.person.number])
    return "id_" + "-".join(f"{int(part):08x}" for part in rng.integers(0, 2**32, 5))


def _digits(kind: str, seed: int, separator: str = ".") -> str:
    rng = np.random.default_rng([seed, crc32(kind.encode())])
    return separator.join(f"{int(part):08d}" for part in rng.integers(0, 10**8, 5))


def _films(truth: ChestTruth, spec: ReplicaSpec, trap: str | None) -> Iterator[Film]:
    """The images of one study; a trap of files or views is on the first one alone."""
    study = f"{person_id(truth, spec.seed)}/Study_{_digits('study', truth.seed)}"
    for number, view in enumerate(_views(truth, trap)):
        own = trap if number == 0 or trap in _STUDY_TRAPS else None
        name = f"image-{_digits(f'image{number}', truth.seed, '-')}.png"
        if own == "unreadable":
            name = UNREADABLE[0]
        stem = f"{study}/Series_{_digits(f'series{number}', truth.seed)}/{name}"
        yield Film(
            png=f"images/{stem}",
            dicom=f"Anonymized_DICOMs/{stem.removesuffix('.png')}.dcm",
            truth=truth,
            view=view,
            height=round(spec.side_px / _ASPECT),
            width=spec.side_px,
            trap=own,
        )


def _views(truth: ChestTruth, trap: str | None) -> tuple[View, ...]:
    """What is drawn: an RL film is a lateral one, whatever was planned."""
    return (View.LATERAL, *truth.views[1:]) if trap == "right-lateral" else truth.views


def draw_film(film: Film) -> bytes:
    """The 8-bit PNG file of one image; the DICOM file of the one whose PNG is unreadable."""
    pixels = draw(film.truth, film.view, film.width, film.width / film.height).pixels
    if film.trap == "unreadable":
        style = DicomStyle(inverted=True)
        return encode_dicom(pixels, style)
    return encode_png(pixels)


def _row(index: int, film: Film, seed: int) -> list[str]:
    truth = film.truth
    labels = write_report(truth, doubt=_DOUBT).labels(truth)
    age = _OLDEST if film.trap == "oldest" else 5 * (truth.age // 5)
    cells = {
        "": str(index),
        "DicomPath": film.dicom,
        "PngPath": film.png,
        "PatientID": person_id(truth, seed),
        "PatientSex": "O" if film.trap == "sex-other" else truth.person.sex,
        "PatientAge": f"{_OLDEST} or more" if age >= _OLDEST else str(age),
        "AccessionNumber": _digits("study", truth.seed),
        "StudyDate": f"20{10 + truth.study % 10}{1 + truth.seed % 12:02d}{1 + truth.seed % 28:02d}",
        **{name: _NUMBERS[labels[name]] for name in LABEL_COLUMNS},
        "ViewPosition": _ODD_POSITIONS.get(film.trap or "", _POSITIONS[film.view]),
        "Rows": str(film.height),
        "Columns": str(film.width),
        "Manufacturer": str(1 + truth.person.number % 3),
    }
    return [cells[name] for name in COLUMNS]
