"""A synthetic CheXpert v1.0-small: JPEG files, train.csv and valid.csv, labels only.

Traps: sex ``Unknown``, age 0 and 90, frontal images marked LL and RL, a row without any label, both
path prefixes (train.csv has the small one, valid.csv the other), and a truncated, an empty and a
missing image file.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sources.record import LabelValue, View
from sources.replicas.files import draw_many, encode_jpeg, write_file
from sources.replicas.phantom import draw
from sources.replicas.traps import EMPTY, spread, truncate
from sources.replicas.truth import ChestTruth, ReplicaSpec, draw_cohort
from sources.replicas.truth_file import TrueStudy, write_truth
from sources.replicas.wording import write_report

LABEL_COLUMNS: Final = (
    "No Finding",
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
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
COLUMNS: Final = ("Path", "Sex", "Age", "Frontal/Lateral", "AP/PA", *LABEL_COLUMNS)
FOLDER: Final = "CheXpert-v1.0-small"

STUDIES_PER_SUBJECT: Final = 2.9
"""187,641 studies of 64,540 patients."""
DOUBT: Final = 0.2
"""Share of doubtful wordings. Our choice: of CheXpert's marks about a seventh are -1."""
_VALID_EVERY: Final = 8
"""Patients 2, 10, 18 … are in valid.csv. Our choice: small replicas need some of them."""
_AGE_CAP: Final = 90

TRAPS: Final = (
    "sex-unknown",
    "truncated",
    "frontal-ll",
    "age-zero",
    "missing",
    "frontal-rl",
    "age-cap",
    "empty",
    "no-label",
)
NUMBERS: Final = {
    LabelValue.POSITIVE: "1.0",
    LabelValue.NEGATIVE: "0.0",
    LabelValue.UNCERTAIN: "-1.0",
    LabelValue.UNMENTIONED: "",
}


@dataclass(frozen=True)
class Film:
    """One image: ``path`` without suffix, e.g. ``train/patient00001/study1/view1_frontal``."""

    path: str
    truth: ChestTruth
    view: View
    side_px: int


def write(root: Path, spec: ReplicaSpec) -> None:
    """Write the replica under ``root``."""
    truths = draw_cohort(spec, "chexpert", studies_per_subject=STUDIES_PER_SUBJECT)
    traps = spread(TRAPS, len(truths))
    films = [film for truth in truths for film in films_of(truth, spec.side_px)]
    damaged = _damaged(truths, traps)
    for film, data in zip(films, draw_many(draw_film, films, spec.processes), strict=True):
        trap = damaged.get(film.path)
        if trap != "missing":
            damage = {"truncated": truncate(data), "empty": EMPTY}
            write_file(root / FOLDER / f"{film.path}.jpg", damage.get(trap or "", data))
    for split, prefix in (("train", FOLDER), ("valid", "CheXpert-v1.0")):
        rows = [
            row
            for index, truth in enumerate(truths)
            if split_folder(truth) == split
            for row in _rows(truth, prefix, traps.get(index))
        ]
        if rows:
            write_csv(root / FOLDER / f"{split}.csv", COLUMNS, rows)
    write_truth(
        root,
        (
            TrueStudy(study_id(truth), truth, _labels(truth, traps.get(index)), traps.get(index))
            for index, truth in enumerate(truths)
        ),
    )


def study_id(truth: ChestTruth) -> str:
    """As the reader names the study."""
    return f"patient{truth.person.number:05d}/study{truth.study}"


def split_folder(truth: ChestTruth) -> str:
    """The publisher's folder: train or valid."""
    return "valid" if truth.person.number % _VALID_EVERY == 2 else "train"


def films_of(truth: ChestTruth, side_px: int) -> Iterator[Film]:
    """The images of one study, with the publisher's names."""
    for number, view in enumerate(truth.views, start=1):
        kind = "frontal" if view.is_frontal else "lateral"
        path = f"{split_folder(truth)}/{study_id(truth)}/view{number}_{kind}"
        yield Film(path, truth, view, side_px)


def draw_film(film: Film) -> bytes:
    """The JPEG file of one image."""
    return encode_jpeg(draw(film.truth, film.view, film.side_px).pixels)


def write_csv(path: Path, header: tuple[str, ...], rows: list[list[str]]) -> None:
    """A comma-separated table with LF line ends, quoted where needed only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def _damaged(truths: list[ChestTruth], traps: dict[int, str]) -> dict[str, str]:
    """Path of the first image of a study to the damage it takes."""
    return {
        next(films_of(truths[index], 0)).path: trap
        for index, trap in traps.items()
        if trap in ("truncated", "empty", "missing")
    }


def _labels(truth: ChestTruth, trap: str | None) -> dict[str, LabelValue]:
    labels = write_report(truth, doubt=DOUBT).labels(truth)
    if labels["No Finding"] is not LabelValue.POSITIVE:
        labels["No Finding"] = LabelValue.UNMENTIONED  # the publisher writes 1.0 or nothing
    if trap == "no-label":
        return dict.fromkeys(labels, LabelValue.UNMENTIONED)
    return labels


def _rows(truth: ChestTruth, prefix: str, trap: str | None) -> Iterator[list[str]]:
    ages = {"age-zero": 0, "age-cap": _AGE_CAP}
    age = ages.get(trap or "", min(truth.age, _AGE_CAP))
    sex = {"F": "Female", "M": "Male"}[truth.person.sex]
    labels = _labels(truth, trap)
    for film in films_of(truth, 0):
        odd = {"frontal-ll": "LL", "frontal-rl": "RL"}.get(trap or "", film.view.value)
        yield [
            f"{prefix}/{film.path}.jpg",
            "Unknown" if trap == "sex-unknown" else sex,
            str(age),
            "Frontal" if film.view.is_frontal else "Lateral",
            odd if film.view.is_frontal else "",
            *(NUMBERS[labels[name]] for name in LABEL_COLUMNS),
        ]
