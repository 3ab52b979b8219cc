"""Rows of PadChest's table, cell by cell as the publisher writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np

from sources.record import View
from sources.replicas.spanish import SpanishReport, stem_report, write_spanish
from sources.replicas.truth import ChestTruth

_COLUMN_NAMES: Final = """
    ImageID ImageDir StudyDate_DICOM StudyID PatientID PatientBirth PatientSex_DICOM
    ViewPosition_DICOM Projection MethodProjection Pediatric Modality_DICOM Manufacturer_DICOM
    PhotometricInterpretation_DICOM PixelRepresentation_DICOM PixelAspectRatio_DICOM
    SpatialResolution_DICOM BitsStored_DICOM WindowCenter_DICOM WindowWidth_DICOM Rows_DICOM
    Columns_DICOM XRayTubeCurrent_DICOM Exposure_DICOM ExposureInuAs_DICOM ExposureTime
    RelativeXRayExposure_DICOM ReportID Report MethodLabel Labels Localizations
    LabelsLocalizationsBySentence labelCUIS LocalizationsCUIS
"""
COLUMNS: Final = ("", *_COLUMN_NAMES.split())

_FIRST_YEAR: Final = 2009
_MANUFACTURERS: Final = ("ImagingDynamicsCompanyLtd", "PhilipsMedicalSystems")
_POSITIONS: Final = {
    View.PA: ("POSTEROANTERIOR", "PA", ""),
    View.AP: ("ANTEROPOSTERIOR", "AP", ""),
    View.LATERAL: ("LATERAL", "LL", "RL", ""),
}
_PROJECTIONS: Final = {View.PA: "PA", View.AP: "AP", View.LATERAL: "L"}
_OLDER_SENTENCE: Final = "Hipoexpansión basal izquierda"
_REPORTS: Final = {"report-nan": " nan", "report-dots": " . . . ."}


@dataclass(frozen=True)
class Picture:
    """One image of the replica: its file, and the study it belongs to.

    Args:
        name: the ImageID.
        folder: the ImageDir that the table names.
        bits: BitsStored; 10 or 12.
        height, width: px.
    """

    name: str
    folder: int
    view: View
    bits: int
    height: int
    width: int


def long_number(*parts: object) -> str:
    """39 digits that follow from ``parts``; the first is not 0."""
    rng = np.random.default_rng([crc32(repr(part).encode()) for part in parts])
    digits = rng.integers(0, 10, 39)
    digits[0] = max(int(digits[0]), 1)
    return "".join(map(str, digits))


def study_number(truth: ChestTruth) -> str:
    """StudyID."""
    return long_number("study", truth.seed)


def person_number(truth: ChestTruth, seed: int) -> str:
    """PatientID."""
    return long_number("person", seed, truth.person.number)


def table_row(
    index: int, picture: Picture, truth: ChestTruth, seed: int, trap: str | None
) -> list[str]:
    """One row in COLUMNS' order."""
    rng = np.random.default_rng([truth.seed, crc32(b"padchest"), crc32(picture.name.encode())])
    year = _FIRST_YEAR + (truth.study - 1) // 2
    cells = {
        "": str(index),
        "ImageID": picture.name,
        "ImageDir": str(picture.folder),
        "StudyDate_DICOM": f"{year}{1 + truth.study % 12:02d}{1 + truth.seed % 28:02d}",
        "StudyID": study_number(truth),
        "PatientID": person_number(truth, seed),
        "PatientBirth": "" if trap == "no-birth" else f"{year - truth.age}.0",
        "PatientSex_DICOM": "None" if trap == "no-sex" else truth.person.sex,
        "ViewPosition_DICOM": _pick(rng, _POSITIONS[picture.view]),
        "Projection": _projection(picture.view, trap),
        "MethodProjection": _pick(rng, ("Manual review of DICOM fields", "resnet-50.t7")),
        "Pediatric": "No" if truth.age >= 10 else "PED",
        "Modality_DICOM": _pick(rng, ("CR", "DX")),
        "Manufacturer_DICOM": _MANUFACTURERS[truth.person.number % 2],
        **_pixel_cells(picture, rng),
        "ReportID": str(4_000_000 + truth.seed % 900_000),
        **_report_cells(write_spanish(truth), trap),
        "MethodLabel": "Physician" if rng.random() < 0.27 else "RNN_model",
    }
    return [cells[name] for name in COLUMNS]


def _pick(rng: np.random.Generator, options: Sequence[str]) -> str:
    return options[int(rng.integers(len(options)))]


def _projection(view: View, trap: str | None) -> str:
    odd = {"costal": "COSTAL", "exclude-projection": "EXCLUDE", "horizontal": "AP_horizontal"}
    return odd.get(trap or "", _PROJECTIONS[view])


def _pixel_cells(picture: Picture, rng: np.random.Generator) -> dict[str, str]:
    centre = 2 ** (picture.bits - 1)
    return {
        "PhotometricInterpretation_DICOM": "MONOCHROME2",
        "PixelRepresentation_DICOM": _pick(rng, ("0", "None")),
        "PixelAspectRatio_DICOM": _pick(rng, ("['1', '1']", "None")),
        "SpatialResolution_DICOM": _pick(rng, ("0.14", "None")),
        "BitsStored_DICOM": str(picture.bits),
        "WindowCenter_DICOM": _pick(rng, (f"{centre - 1}.0", f"{centre:e}", str(centre), "None")),
        "WindowWidth_DICOM": _pick(rng, (f"{2 * centre - 1}.0", str(2 * centre), "None")),
        "Rows_DICOM": str(picture.height),
        "Columns_DICOM": str(picture.width),
        "XRayTubeCurrent_DICOM": _pick(rng, ("240", "None")),
        "Exposure_DICOM": "2",
        "ExposureInuAs_DICOM": "2400",
        "ExposureTime": "10",
        "RelativeXRayExposure_DICOM": "-1.00",
    }


def _report_cells(report: SpanishReport, trap: str | None) -> dict[str, str]:
    labels, sentences = _labels(report, trap)
    said = (*report.sentences, _OLDER_SENTENCE) if trap == "older-name" else report.sentences
    places = list(report.localizations)
    if trap == "double-space":
        places = [place.replace("loc ", "loc  ") for place in places]
        sentences = [[item.replace("loc ", "loc  ") for item in group] for group in sentences]
    return {
        "Report": _REPORTS.get(trap or "", stem_report(said)),
        "Labels": "" if trap == "blank-labels" else repr(labels),
        "Localizations": repr(places),
        "LabelsLocalizationsBySentence": repr(sentences),
        "labelCUIS": _concepts(labels),
        "LocalizationsCUIS": _concepts(places),
    }


def _labels(report: SpanishReport, trap: str | None) -> tuple[list[str], list[list[str]]]:
    labels = list(report.labels)
    sentences = [list(group) for group in report.sentence_labels]
    if trap in ("exclude", "suboptimal"):
        only = {"exclude": "exclude", "suboptimal": "suboptimal study"}[trap]
        return [only], [[only]]
    if trap == "spaced-labels":
        labels = [*(f" {name}" for name in labels), "", "suboptimal study"]
    if trap == "older-name":
        return [*labels, "hypoexpansion basal"], [*sentences, ["hypoexpansion basal", "loc left"]]
    return labels, sentences


def _concepts(names: list[str]) -> str:
    """Invented concept ids as numpy prints an array of strings: quotes, no commas."""
    ids = (f"C{crc32(name.strip().encode()) % 10**7:07d}" if name else "" for name in names)
    return "[" + " ".join(repr(item) for item in ids) + "]"
